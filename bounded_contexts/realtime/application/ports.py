"""What realtime needs from the outside."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bounded_contexts.realtime.application.presence import Attendance, Audience, Status
from bounded_contexts.realtime.application.signals import Signal
from shared_kernel.events import Recorded
from shared_kernel.module import Offsets, SocketCommand


class NotKept(Exception):
    """Some of the records asked for are gone."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some records of the topics."""

    events: Sequence[Recorded]  # those of the feed
    reached: Offsets  # what comes after all of them


class Past(Protocol):
    """The topics, as far back as they go."""

    def read(self, start: Offsets) -> AsyncGenerator[Stretch, None]:
        """Yield what follows `start`, in order per partition, for ever; stretches without events too.

        Raise `NotKept`, before anything is yielded, if records after `start` are gone, and `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class SessionNote:
    """A socket and what was queued for it."""

    sid: str
    user_id: UUID
    connected_at: datetime
    acknowledged: Offsets | None  # the position it came with
    begins: Offsets  # what comes from there on
    reached: Offsets | None  # up to there; None: as far as its node is
    ended_at: datetime | None


class SessionLog(Protocol):
    """What traces know of sockets. Both raise `Unavailable`."""

    async def note(self, node_id: UUID, reached: Offsets, notes: Sequence[SessionNote]) -> None:
        """Store how far the node is and what there is to say about some of its sockets."""
        ...

    async def prune(self) -> None:
        """Forget what ended long ago."""
        ...


class Signals(Protocol):
    """Nodes among themselves."""

    async def send(self, *signals: Signal) -> None:
        """Tell every node that listens, this one too. Raise `Unavailable`."""
        ...

    async def hear(self, heard: Callable[[Signal], None]) -> None:
        """Call for each signal from now on, for ever; those are lost that come while the server is away."""
        ...


class PresenceStore(Protocol):
    """What is known of who is there. All raise `Unavailable`."""

    async def choose(self, user: UUID, status: Status) -> None:
        """Store what the user shows, and tell the nodes."""
        ...

    async def show_to(self, user: UUID, who: Audience) -> None:
        """Store who sees it, and tell the nodes."""
        ...

    async def of(self, users: Sequence[UUID]) -> list[Attendance]:
        """Return what is known of each, of those nobody has heard of, too."""
        ...

    async def nodes(self) -> frozenset[UUID]:
        """Return the nodes that are there."""
        ...


class KeptChannels(Protocol):
    """The channels of sockets that may be taken up by another node, each with the end of the right to it, None without one.
    Both raise `Unavailable`."""

    async def keep(self, pid: str, channels: Mapping[str, datetime | None]) -> None:
        """Store them in place of the former ones."""
        ...

    async def of(self, pid: str) -> Mapping[str, datetime | None] | None:
        """Return them, None if none were stored, or too long ago."""
        ...


@dataclass(frozen=True, slots=True)
class OpenSocket:
    sid: str
    user_id: UUID
    node_id: UUID
    connected_at: datetime


class Connections(Protocol):
    """The open sockets of all nodes. All raise `Unavailable`."""

    async def of_user(self, user: UUID, limit: int) -> list[OpenSocket]:
        """Return a user's, oldest first."""
        ...

    async def count(self, user: UUID, beside: UUID) -> int:
        """Return how many a user has on other nodes than the one, as far as those have told."""
        ...

    async def end(self, user: UUID, sid: str | None, reason: str) -> None:
        """Have every node end the user's sockets, or the one of them."""
        ...

    async def give(self, user: UUID, sid: str | None, channels: Sequence[str], until: datetime) -> None:
        """Have every node subscribe the user's sockets that take channels, or the one of them."""
        ...

    async def take(self, user: UUID, sid: str | None, channels: Sequence[str], reason: str) -> None:
        """Have every node end these subscriptions."""
        ...


# Takes a user and others; returns those of them who are in a conversation with the user. Raises `Unavailable`.
Contacts = Callable[[UUID, Sequence[UUID]], Awaitable[frozenset[UUID]]]
# Takes a conversation and one of its members; returns them all. Raises `NotFound` for who is none, `Unavailable`.
Members = Callable[[UUID, UUID], Awaitable[frozenset[UUID]]]


@dataclass(frozen=True, slots=True)
class Ports:
    past: Past
    sessions: SessionLog
    commands: Mapping[str, SocketCommand]  # event name → what a client may ask
    signals: Signals
    members: Members
    presences: PresenceStore
    contacts: Contacts
    connections: Connections
    kept_channels: KeptChannels
