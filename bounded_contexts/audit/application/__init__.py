"""What the audit log does: keep, seal, verify."""
