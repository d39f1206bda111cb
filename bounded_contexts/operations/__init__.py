"""Operations: how the consumer groups do, and what operators can do about it (docs/consumers.md).

Group        the members that share a subscription, and where they stand.
Dead letter  a record a group could not handle; redriven: tried again, discarded: given up.
"""
