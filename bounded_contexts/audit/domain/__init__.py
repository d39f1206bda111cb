"""What makes a kept record tamper-evident. Standard library only, so that anybody can check it by hand (docs/audit.md)."""
