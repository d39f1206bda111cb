"""What inventory decides, pure: no clock, no I/O, no randomness."""
