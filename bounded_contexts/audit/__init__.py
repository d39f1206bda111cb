"""Audit: what happened, from the topics themselves (docs/audit.md).

Tail  the decoded events of a topic, from a place on, live.
"""
