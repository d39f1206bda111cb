"""What people and events can make the context do."""
