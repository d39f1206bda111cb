"""Running sagas: their state, their timers, and what operators do with them (docs/sagas.md)."""
