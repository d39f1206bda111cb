"""Ids that follow from what they name, so that the same request is the same order without a look-up (docs/adr/0007)."""

from uuid import NAMESPACE_URL, UUID, uuid5


def order_id(buyer: UUID, key: str) -> UUID:
    """Return the id of the order that somebody placed by this key of theirs."""
    return uuid5(NAMESPACE_URL, f"headwater:order:{buyer}:{key}")
