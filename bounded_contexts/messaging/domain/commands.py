"""What people can ask of messaging."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5

from bounded_contexts.messaging.domain.identity import message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDirect:
    """Open the conversation of exactly these people; opening it again is no change."""

    participants: tuple[UUID, ...]  # sorted, the starter included
    starter_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartGroup:
    conversation_id: UUID
    title: str
    member_ids: tuple[UUID, ...]
    starter_id: UUID
    at: datetime
    public: bool = False  # anybody may find it and join
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    conversation_id: UUID
    title: str
    asker_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """Give a group other metadata, all of it."""

    conversation_id: UUID
    metadata: Mapping[str, str]
    asker_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """End a group: it is read, and that is all."""

    conversation_id: UUID
    asker_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMember:
    """Add somebody, or join a public group: then `member_id` is the asker."""

    conversation_id: UUID
    member_id: UUID
    asker_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMember:
    """Remove somebody, or leave: then `member_id` is the asker."""

    conversation_id: UUID
    member_id: UUID
    asker_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessage:
    conversation_id: UUID
    sender_id: UUID
    client_id: str  # chosen by the client; the same one is the same message for ever
    body: str
    at: datetime

    @property
    def message_id(self) -> UUID:
        return message_id(self.conversation_id, self.sender_id, self.client_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMessage:
    message_id: UUID
    editor_id: UUID
    body: str
    request_key: str  # the same key is the same edit
    at: datetime

    @property
    def edit_id(self) -> UUID:
        return uuid5(self.message_id, f"{self.editor_id}/{self.request_key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMessage:
    message_id: UUID
    asker_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseMessage:
    """Remove a message's text for good, whoever sent it."""

    message_id: UUID
    asker_id: UUID
    asker_roles: frozenset[str]
    reason: str
    at: datetime
