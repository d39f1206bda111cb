"""What conversations and messages were at a time, for those who may read them now."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from bounded_contexts.messaging.application.members import message_for, state_for
from bounded_contexts.messaging.application.ports import Page, Ports, Version
from bounded_contexts.messaging.domain import conversation
from bounded_contexts.messaging.domain.conversation import Conversation
from bounded_contexts.messaging.domain.message import Message
from shared_kernel.decider import state_of
from shared_kernel.errors import Forbidden, NotFound


async def conversation_as_of(
    conversation_id: UUID, asker: UUID, at: datetime, ports: Ports
) -> tuple[Conversation, datetime | None]:
    """Return the conversation of then and when something had last been said in it. Raise `NotFound` for those who do not
    belong to it now, and when it had not begun."""
    now = await state_for(conversation_id, asker, ports)
    state, version = await state_of(conversation, ports.store, conversation_id, at)
    seq = await ports.history.seq_at(conversation_id, at)
    last = await ports.history.page(conversation_id, Page(1, before=seq + 1)) if seq else []
    if not version:  # a direct conversation begins with its first message; nobody need have opened it
        first = await ports.history.page(conversation_id, Page(1, "oldest")) if last else []
        if now.kind != "direct" or not first:
            raise _not_there_yet()
        state = Conversation(now.members, "direct", None, first[0].sent_at)
    return state, last[0].sent_at if last else None


async def message_as_of(message_id: UUID, asker: UUID, at: datetime, ports: Ports, *, may_see_former: bool) -> Message:
    """Return the message of then. Raise `NotFound` as a read does and when it had not been sent, `Forbidden` for a text
    that its members are not shown any more."""
    message = await message_for(message_id, asker, ports)
    if message.sent_at > at:
        raise _not_there_yet()
    texts = await ports.history.versions(message_id)
    if not texts:  # erased, if only this moment
        return replace(message, body="")
    then = _folded(message, texts, at)
    if then.body and not may_see_former and (message.deleted_at or then.version != texts[-1].version):
        raise Forbidden("former_text", "its text has changed or was deleted since; former texts are for moderators")
    return then


def _folded(message: Message, texts: Sequence[Version], at: datetime) -> Message:
    """Return the message as its texts up to the time and its deletion leave it."""
    deleted_at = message.deleted_at if message.deleted_at and message.deleted_at <= at else None
    text = [each for each in texts if each.written_at <= at][-1]
    return replace(
        message,
        body="" if deleted_at else text.body,
        version=text.version,
        edited_at=text.written_at if text.version > 1 else None,
        deleted_at=deleted_at,
    )


def _not_there_yet() -> NotFound:
    return NotFound("not_there_yet", "it is there now, but was not at `as_of`")
