"""Events of the messaging context."""
