"""Ideas every context uses. Standard library only, no I/O."""
