"""What notifications needs from the outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from shared_kernel.events import EventLog, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to know."""

    notification_id: UUID  # follows from the event and the recipient
    recipient_id: UUID
    kind: str  # message.received, order.confirmed …: docs/notifications.md
    cause_id: UUID  # the message or the order
    conversation_id: UUID | None  # of a message
    actor_id: UUID | None  # None: nobody, the house itself
    preview: str  # at most PREVIEW_LIMIT characters
    raised_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem(Entry):
    """An entry as its user sees it."""

    read_at: datetime | None


class InboxWriter(Protocol):
    """Events come in the order of their topics, those of different topics in any order; a repeat changes nothing."""

    async def raised(self, entries: Sequence[Entry]) -> None:
        """Add entries, one per id."""
        ...

    async def revised(self, cause: UUID, preview: str) -> None:
        """Show another preview in every entry that the cause raised."""
        ...

    async def withdrawn(self, cause: UUID, at: datetime) -> None:
        """Show the entries of the cause no more, keep no preview of them, and raise none for it again."""
        ...

    async def read(self, recipient: UUID, ids: Sequence[UUID], all_until: datetime | None, at: datetime) -> None:
        """Mark entries read, the listed ones and all raised up to a time; those read before keep their time."""
        ...


class Inbox(Protocol):
    async def page(
        self, recipient: UUID, limit: int, before: tuple[datetime, UUID] | None, *, unread_only: bool
    ) -> list[InboxItem]:
        """Return entries, newest first, those after `before` in that order."""
        ...

    async def counts(self, recipient: UUID) -> tuple[int, int]:
        """Return how many entries there are and how many are unread."""
        ...

    async def owned(self, recipient: UUID, ids: Sequence[UUID]) -> set[UUID]:
        """Return which of the ids are entries of this recipient."""
        ...


class ReadState(Protocol):
    async def reached(self, position: Position, timeout_s: float) -> bool:
        """Wait until the write at `position` is stored; False when it was not within `timeout_s` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    log: EventLog
    inbox_writer: InboxWriter
    inbox: Inbox
    stored: ReadState
    now: Callable[[], datetime]  # time-zone aware, UTC
