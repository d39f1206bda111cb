"""What people, sagas and events can make the context do."""
