"""Clients without login."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from infra.access_tokens import User
from infra.rate_limit import network_of

ADDRESSES = UUID("6f0b1d5c-5d0a-4a53-9d8e-0a3c8f5b7f11")  # the namespace of their ids
FAR = datetime(8000, 1, 1, tzinfo=UTC)


class Anonymous(User):
    """Who has not signed in: known by the address alone, which is what is counted."""


def anonymous(address: str) -> Anonymous:
    """Return the client at that address."""
    return Anonymous(uuid5(ADDRESSES, network_of(address) if address else ""), frozenset(), FAR)
