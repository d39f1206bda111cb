"""What nodes tell each other: at once, in no order, and kept nowhere. One that is lost is not told again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

PEOPLE = 150  # in one signal, which has 8,000 bytes at most


@dataclass(frozen=True, slots=True)
class Typed:
    """Somebody types, or has stopped."""

    conversation_id: UUID
    user_id: UUID
    others: tuple[UUID, ...]  # members who are told; of a large group some, the rest stand in another signal
    expires_at: datetime | None  # None: stopped


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Users who came, went or show themselves in another way."""

    user_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Disconnection:
    """Sockets of a user are to end."""

    user_id: UUID
    sid: str | None  # None: all of them
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelsGiven:
    """Sockets of a user are to hear channels."""

    user_id: UUID
    sid: str | None  # None: all of them
    channels: tuple[str, ...]  # so few that a signal takes them
    until: datetime


@dataclass(frozen=True, slots=True)
class ChannelsTaken:
    """Sockets of a user are to hear channels no more."""

    user_id: UUID
    sid: str | None
    channels: tuple[str, ...]
    reason: str


Signal = Typed | PresenceChanged | Disconnection | ChannelsGiven | ChannelsTaken
KINDS: dict[str, type[Signal]] = {
    kind.__name__: kind for kind in (Typed, PresenceChanged, Disconnection, ChannelsGiven, ChannelsTaken)
}


def in_parts(people: Sequence[UUID]) -> list[tuple[UUID, ...]]:
    """Return the people as signals take them."""
    return [tuple(people[at : at + PEOPLE]) for at in range(0, len(people), PEOPLE)]
