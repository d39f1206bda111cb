"""Events of the notifications context."""
