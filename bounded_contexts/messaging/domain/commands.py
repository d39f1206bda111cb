"""What people can ask of messaging."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    conversation_id: UUID
    title: str
    asker_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMember:
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
