"""What messaging needs from the outside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from bounded_contexts.messaging.domain.conversation import ConversationEvent
from bounded_contexts.messaging.domain.message import Message
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent
from shared_kernel.events import EventLog, EventStore, Position


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a conversation: at most `limit` messages with `after < seq < before`, from the end that `order` names."""

    limit: int
    order: Literal["newest", "oldest"] = "newest"
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """A text a message once had."""

    version: int
    body: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation as lists show it."""

    conversation_id: UUID
    kind: Literal["direct", "group"]
    title: str | None
    member_ids: tuple[UUID, ...]
    started_at: datetime
    last_message_at: datetime | None
    public: bool
    metadata: Mapping[str, str]
    archived_at: datetime | None


class HistoryWriter(Protocol):
    """Where messages are kept. Events come in the order of their topic; one that comes again changes nothing."""

    async def sent(self, messages: Sequence[MessageSent]) -> None:
        """Store new messages and number them within their conversations: 1, 2, 3 … without gaps."""
        ...

    async def edited(self, edit: MessageEdited) -> None:
        """Replace the text, keeping the former one as a version. A deleted or erased message stays as it is."""
        ...

    async def deleted(self, deletion: MessageDeleted) -> None:
        """Show the message no more."""
        ...

    async def erased(self, erasure: MessageErased) -> None:
        """Remove every text the message has had from what is kept, and store none that comes later: the message may
        come after its erasure."""
        ...


class History(Protocol):
    """What has been stored of messages."""

    async def page(self, conversation: UUID, page: Page) -> list[Message]:
        """Return messages in the order asked for. Deleted and erased ones are there, without their text."""
        ...

    async def pages(self, conversations: Sequence[UUID], page: Page) -> dict[UUID, list[Message]]:
        """Return the same stretch of each of the conversations."""
        ...

    async def message(self, message: UUID) -> Message | None:
        """Return one message."""
        ...

    async def versions(self, message: UUID) -> list[Version]:
        """Return every text the message has had, oldest first, also of a deleted one; none of an erased one."""
        ...

    async def seq_at(self, conversation: UUID, at: datetime) -> int:
        """Return the seq of the last message sent at or before the time (UTC), 0 if there is none."""
        ...


class ConversationWriter(Protocol):
    """The list of conversations. Events come in order; one that comes again changes nothing."""

    async def changed(self, event: ConversationEvent) -> None:
        """Take over a start, a title, a member more or less."""
        ...

    async def talked(self, messages: Sequence[MessageSent]) -> None:
        """Note the latest message; list a direct conversation that nobody opened."""
        ...


class ConversationReader(Protocol):
    async def of_member(
        self, member: UUID, limit: int, before: tuple[datetime, UUID] | None, *, archived: bool
    ) -> list[Listed]:
        """Return the member's conversations, the open or the archived ones, last started first, those after `before`."""
        ...

    async def public(self, limit: int, before: tuple[datetime, UUID] | None) -> list[Listed]:
        """Return the open groups that anybody may join, in the same order."""
        ...

    async def contacts(self, user: UUID, among: Sequence[UUID]) -> frozenset[UUID]:
        """Return those of them who are in a conversation with the user."""
        ...

    async def listed(self, conversation: UUID) -> Listed | None:
        """Return one conversation."""
        ...


class ReadState(Protocol):
    """How far the stored state has come."""

    async def reached(self, position: Position, timeout_s: float) -> bool:
        """Wait until the write at `position` is stored; False when it was not within `timeout_s` seconds."""
        ...

    async def positions(self) -> Mapping[str, Mapping[int, int]]:
        """Return topic → partition → next offset of what is stored."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    store: EventStore[ConversationEvent]
    log: EventLog
    history_writer: HistoryWriter
    history: History
    conversation_writer: ConversationWriter
    conversations: ConversationReader
    stored: ReadState
    now: Callable[[], datetime]  # time-zone aware, UTC
