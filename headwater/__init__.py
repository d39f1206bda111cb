"""The front door: command line, settings, wiring, roles and the supervisor."""
