"""Audit: what happened, from the topics themselves (docs/audit.md).

Tail   the decoded events of a topic, from a place on, live.
Range  the decoded events of a topic between two times or places.
Log    a copy of every record, one hash chain per partition.
Chain  the kept records of one partition; its head is the last of them.
Root   the heads of all chains at a moment, signed.
Trace  the events of one correlation, by cause.
"""
