"""What public events mean for clients: a name, whom it concerns, and data as JSON will show it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bounded_contexts.realtime.application.subscriptions import Channel
from schemas.messaging.events import (
    ConversationArchived,
    ConversationDescribed,
    ConversationRenamed,
    ConversationStarted,
    MemberJoined,
    MemberLeft,
    MessageDeleted,
    MessageEdited,
    MessageErased,
    MessageSent,
)
from shared_kernel.events import Event

Recipient = UUID | Channel  # a user, or whoever has subscribed

EVENTS: tuple[type[Event], ...] = (
    MessageSent,
    MessageEdited,
    MessageDeleted,
    MessageErased,
    ConversationStarted,
    ConversationRenamed,
    ConversationDescribed,
    ConversationArchived,
    MemberJoined,
    MemberLeft,
)
SUMMARIES: Mapping[str, str] = {
    "message.created": "Somebody said something in one of your conversations.",
    "message.updated": "The sender replaced the text of a message.",
    "message.deleted": "A message is no longer shown.",
    "message.erased": "An admin removed a message's text for good: remove it where you keep it.",
    "conversation.created": "You are a member of a new conversation.",
    "conversation.updated": "A group has another title or other metadata.",
    "conversation.archived": "A group is over: it can only be read.",
    "member.joined": "Somebody became a member of a group.",
    "member.left": "Somebody is no longer a member of a group.",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """How the sender of a message asked for it."""

    sender_id: UUID
    client_id: str
    conversation_id: UUID


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as clients hear it. Who did it is among the recipients: their other devices want to know."""

    name: str
    recipients: frozenset[Recipient]
    data: Mapping[str, Any]
    origin: Origin | None = None  # of a new message
    expires_at: datetime | None = None  # from when on nobody is to hear of it


def delivery_of(event: Event) -> Delivery | None:  # noqa: C901 – one case an event
    """Return what clients hear of the event, None if they do not.

    Every event names everybody it concerns, but those about a change of a group do so only since their version 2:
    of an older one only they hear who did it and whom it was done to."""
    match event:
        case MessageSent():
            return _sent(event)
        case MessageEdited():
            return _edited(event)
        case MessageDeleted():
            return _deleted(event)
        case MessageErased():
            return _erased(event)
        case ConversationStarted():
            return _started(event)
        case ConversationRenamed():
            return _renamed(event)
        case ConversationDescribed():
            return _described(event)
        case ConversationArchived():
            return _archived(event)
        case MemberJoined():
            return _joined(event)
        case MemberLeft():
            return _left(event)
    return None


def _sent(event: MessageSent) -> Delivery:
    people = frozenset((*event.recipient_ids, event.sender_id))
    data = {
        "id": str(event.message_id),
        "conversation_id": str(event.conversation_id),
        "client_id": event.client_id,
        "sender_id": str(event.sender_id),
        "body": event.body,
        "created_at": rfc3339(event.sent_at),
        "participants": _ids(people),
    }
    return Delivery("message.created", people, data, Origin(event.sender_id, event.client_id, event.conversation_id))


def _edited(event: MessageEdited) -> Delivery:
    people = frozenset((*event.recipient_ids, event.editor_id))
    data = {
        "id": str(event.message_id),
        "conversation_id": str(event.conversation_id),
        "edit_id": str(event.edit_id),
        "editor_id": str(event.editor_id),
        "body": event.body,
        "edited_at": rfc3339(event.edited_at),
        "participants": _ids(people),
    }
    return Delivery("message.updated", people, data)


def _deleted(event: MessageDeleted) -> Delivery:
    people = frozenset((*event.recipient_ids, event.deleted_by))
    data = {
        "id": str(event.message_id),
        "conversation_id": str(event.conversation_id),
        "deleted_by": str(event.deleted_by),
        "deleted_at": rfc3339(event.deleted_at),
        "participants": _ids(people),
    }
    return Delivery("message.deleted", people, data)


def _erased(event: MessageErased) -> Delivery:
    people = frozenset(event.recipient_ids)
    data = {
        "id": str(event.message_id),
        "conversation_id": str(event.conversation_id),
        "erased_by": str(event.erased_by),
        "erased_at": rfc3339(event.erased_at),
        "participants": _ids(people),
    }
    return Delivery("message.erased", people, data)


def _started(event: ConversationStarted) -> Delivery:
    data = {
        "id": str(event.conversation_id),
        "kind": event.kind,
        "title": event.title,
        "started_by": str(event.started_by),
        "member_ids": [str(member) for member in event.member_ids],
        "started_at": rfc3339(event.started_at),
    }
    return Delivery("conversation.created", frozenset((*event.member_ids, event.started_by)), data)


def _described(event: ConversationDescribed) -> Delivery:
    data = {
        "id": str(event.conversation_id),
        "metadata": dict(event.metadata),
        "described_by": str(event.described_by),
        "described_at": rfc3339(event.described_at),
    }
    return Delivery("conversation.updated", frozenset((*event.member_ids, event.described_by)), data)


def _archived(event: ConversationArchived) -> Delivery:
    data = {
        "id": str(event.conversation_id),
        "archived_by": str(event.archived_by),
        "archived_at": rfc3339(event.archived_at),
    }
    return Delivery("conversation.archived", frozenset((*event.member_ids, event.archived_by)), data)


def _renamed(event: ConversationRenamed) -> Delivery:
    data = {
        "id": str(event.conversation_id),
        "title": event.title,
        "renamed_by": str(event.renamed_by),
        "renamed_at": rfc3339(event.renamed_at),
    }
    return Delivery("conversation.updated", frozenset((*event.member_ids, event.renamed_by)), data)


def _joined(event: MemberJoined) -> Delivery:
    data = {
        "conversation_id": str(event.conversation_id),
        "member_id": str(event.member_id),
        "added_by": str(event.added_by),
        "joined_at": rfc3339(event.joined_at),
    }
    people = frozenset((*event.member_ids, event.member_id, event.added_by))
    return Delivery("member.joined", people, data)


def _left(event: MemberLeft) -> Delivery:
    data = {
        "conversation_id": str(event.conversation_id),
        "member_id": str(event.member_id),
        "removed_by": str(event.removed_by),
        "left_at": rfc3339(event.left_at),
    }
    people = frozenset((*event.member_ids, event.member_id, event.removed_by))
    return Delivery("member.left", people, data)


def rfc3339(at: datetime) -> str:
    """Return the time, which must be UTC, as clients read it."""
    return at.isoformat().replace("+00:00", "Z")


def _ids(people: frozenset[UUID]) -> list[str]:
    return sorted(str(person) for person in people)
