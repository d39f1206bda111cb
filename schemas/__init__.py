"""The shared language: one immutable Avro file per event version, and the classes generated from the newest ones.

`make schemas` (`headwater schemas generate`) rewrites `<context>/events.py`, `catalogue.py` and `schemas.lock`.
See docs/schemas.md.
"""
