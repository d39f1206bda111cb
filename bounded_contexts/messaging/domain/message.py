"""Message: what a member may say, change and take back. Facts: each follows from the request and what is known."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bounded_contexts.messaging.domain.commands import DeleteMessage, EditMessage, EraseMessage, SendMessage
from bounded_contexts.messaging.domain.text import checked
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent
from shared_kernel.errors import Forbidden, NotFound, Refused
from shared_kernel.permissions import require

BODY_LIMIT = 4000  # characters
CLIENT_ID_LIMIT = 128  # characters
REASON_LIMIT = 500  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it is shown now."""

    message_id: UUID
    conversation_id: UUID
    seq: int  # 1, 2, 3 … within the conversation, without gaps
    sender_id: UUID
    client_id: str
    body: str  # empty once deleted or erased
    version: int  # 1, and one more with each edit
    sent_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    erased_at: datetime | None = None


def say(members: frozenset[UUID], ask: SendMessage) -> MessageSent:
    """Return the fact. Raise `Forbidden` for an outsider, `Refused` for an empty or overlong body or client id."""
    if ask.sender_id not in members:
        raise Forbidden("not_a_member", "only members send")
    checked(ask.client_id, CLIENT_ID_LIMIT, "client_id_length")
    return MessageSent(
        message_id=ask.message_id,
        conversation_id=ask.conversation_id,
        sender_id=ask.sender_id,
        recipient_ids=_others(members, ask.sender_id),
        client_id=ask.client_id,
        body=checked(ask.body, BODY_LIMIT, "body_length"),
        sent_at=ask.at,
    )


def edit(message: Message | None, members: frozenset[UUID], ask: EditMessage) -> MessageEdited:
    """Return the fact. Raise `NotFound` for outsiders and deleted messages, `Refused` for erased ones, `Forbidden` for
    members who did not send it."""
    message = _shown(message, members, ask.editor_id)
    if message.sender_id != ask.editor_id:
        raise Forbidden("not_the_sender", "only the sender edits a message")
    return MessageEdited(
        edit_id=ask.edit_id,
        message_id=ask.message_id,
        conversation_id=message.conversation_id,
        editor_id=ask.editor_id,
        recipient_ids=_others(members, ask.editor_id),
        body=checked(ask.body, BODY_LIMIT, "body_length"),
        edited_at=ask.at,
    )


def delete(message: Message | None, members: frozenset[UUID], ask: DeleteMessage) -> MessageDeleted:
    """Return the fact, as often as asked. Raise as `edit` does."""
    message = _shown(message, members, ask.asker_id, deleted_too=True)
    if message.sender_id != ask.asker_id:
        raise Forbidden("not_the_sender", "only the sender deletes a message")
    return MessageDeleted(
        message_id=ask.message_id,
        conversation_id=message.conversation_id,
        deleted_by=ask.asker_id,
        recipient_ids=_others(members, ask.asker_id),
        deleted_at=ask.at,
    )


def require_admin(ask: EraseMessage) -> None:
    """Raise `Forbidden` for everybody else. Ask before looking: nobody else learns whether the message is there."""
    require(ask.asker_roles, "messaging:erase")


def erase(message: Message | None, members: frozenset[UUID], ask: EraseMessage) -> MessageErased:
    """Return the fact, as often as asked. Raise `NotFound`, `Forbidden`, `Refused` for an overlong reason."""
    require_admin(ask)
    if message is None:
        raise NotFound("message_not_found")
    return MessageErased(
        message_id=ask.message_id,
        conversation_id=message.conversation_id,
        erased_by=ask.asker_id,
        recipient_ids=tuple(sorted(members)),
        reason=checked(ask.reason, REASON_LIMIT, "reason_length") if ask.reason else "",
        erased_at=ask.at,
    )


def _shown(message: Message | None, members: frozenset[UUID], asker: UUID, *, deleted_too: bool = False) -> Message:
    if message is None or asker not in members:
        raise NotFound("message_not_found")
    if message.erased_at:
        raise Refused("message_erased", "an admin erased the message")
    if message.deleted_at and not deleted_too:
        raise NotFound("message_not_found")
    return message


def _others(members: frozenset[UUID], one: UUID) -> tuple[UUID, ...]:
    return tuple(sorted(members - {one}))
