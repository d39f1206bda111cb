"""Ids that follow from what they name, so that the same request is the same thing without a look-up (docs/adr/0007)."""

from collections.abc import Iterable
from uuid import NAMESPACE_URL, UUID, uuid5

PARTICIPANTS = UUID("6f2f7a6e-5f0b-5d0c-9a55-3d1f0d5f7c11")  # name space of direct conversations; never change it


def participants(ids: Iterable[UUID]) -> tuple[UUID, ...]:
    """Return the ids sorted, each once."""
    return tuple(sorted(set(ids)))


def direct_id(of: Iterable[UUID]) -> UUID:
    """Return the id of the direct conversation of these people, in whatever order they are named."""
    return uuid5(PARTICIPANTS, ",".join(str(id_) for id_ in participants(of)))


def message_id(conversation: UUID, sender: UUID, client_id: str) -> UUID:
    """Return the id of the message a sender calls `client_id` in a conversation."""
    return uuid5(conversation, f"{sender}/{client_id}")


def group_id(starter: UUID, key: str) -> UUID:
    """Return the id of the group that somebody started by this key of theirs."""
    return uuid5(NAMESPACE_URL, f"headwater:group:{starter}:{key}")
