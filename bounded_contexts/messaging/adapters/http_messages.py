"""REST face of messaging, messages: parse, call, answer."""

from datetime import datetime
from functools import partial
from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Query, Response

from bounded_contexts.messaging.adapters.bodies import (
    Accepted,
    Changed,
    Erasure,
    MessageAnswer,
    MessagePage,
    NewMessage,
    NewMessageTo,
    NewText,
    VersionAnswer,
    VersionList,
    message_answer,
    message_page,
)
from bounded_contexts.messaging.adapters.cursors import open_cursor, seal_cursor
from bounded_contexts.messaging.application.commands import (
    delete_message,
    edit_message,
    erase_message,
    send_message,
    send_to_participants,
)
from bounded_contexts.messaging.application.earlier import message_as_of
from bounded_contexts.messaging.application.members import message_for, state_for
from bounded_contexts.messaging.application.ports import Page, Ports
from bounded_contexts.messaging.domain.commands import DeleteMessage, EditMessage, EraseMessage, SendMessage
from bounded_contexts.messaging.domain.identity import direct_id
from infra.access_tokens import User
from infra.feed_positions import seal_feed
from infra.http import (
    AsOf,
    Cursor,
    Limit,
    MinPosition,
    Moment,
    PreferWait,
    SignedIn,
    Tokens,
    command_status,
    problems,
    seal_position,
    wait_until_stored,
)
from infra.opaque import OpaqueTokens
from schemas.messaging.events import MessageSent
from shared_kernel.errors import NotFound, Refused
from shared_kernel.events import Position
from shared_kernel.permissions import permissions

Seq = Annotated[int | None, Query(ge=0, le=2**53)]
FORMER = "messaging:former"  # the permission to read former texts
IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=128, description="Stands for `client_id` if that is absent.")
]


def message_routes(ports: Ports) -> APIRouter:
    """Return the routes that read and write messages."""
    routes = APIRouter(tags=["messages"], responses=problems(401, 404, 422, 503))

    async def accepted(
        sent: MessageSent, position: Position, wait: float, tokens: OpaqueTokens, response: Response
    ) -> Accepted:
        response.headers["Location"] = f"/api/v1/messages/{sent.message_id}"
        return Accepted(
            message_id=sent.message_id,
            conversation_id=sent.conversation_id,
            client_id=sent.client_id,
            status=await command_status(position, wait, ports.stored, response, done=201),
            position=seal_position(tokens, position),
        )

    async def changed(
        position: Position, message_id: UUID, wait: float, tokens: OpaqueTokens, response: Response
    ) -> Changed:
        status = await command_status(position, wait, ports.stored, response)
        return Changed(message_id=message_id, status=status, position=seal_position(tokens, position))

    @routes.post("/messages", status_code=202, responses=problems(403) | {201: {"model": Accepted}})
    async def send_to_people(
        new: NewMessageTo,
        user: SignedIn,
        wait: PreferWait,
        tokens: Tokens,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> Accepted:
        """Send to exactly these people; the conversation follows from them, whatever their order."""
        ask = _send(direct_id(new.participants), new, user, idempotency_key, ports)
        sent, position = await send_to_participants(ask, tuple(new.participants), ports)
        return await accepted(sent, position, wait, tokens, response)

    @routes.post(
        "/conversations/{conversation_id:uuid}/messages", status_code=202, responses={201: {"model": Accepted}}
    )
    async def send_to_a_conversation(
        conversation_id: UUID,
        new: NewMessage,
        user: SignedIn,
        wait: PreferWait,
        tokens: Tokens,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> Accepted:
        """Send to a conversation you belong to. Accepted once the broker has it; `Prefer: wait=S` waits until it is stored."""
        sent, position = await send_message(_send(conversation_id, new, user, idempotency_key, ports), ports)
        return await accepted(sent, position, wait, tokens, response)

    @routes.get("/conversations/{conversation_id:uuid}/messages")
    async def read_messages(
        conversation_id: UUID,
        user: SignedIn,
        tokens: Tokens,
        min_position: MinPosition,
        limit: Limit = 50,
        order: Literal["newest", "oldest"] = "newest",
        cursor: Cursor = None,
        before_seq: Seq = None,
        after_seq: Seq = None,
        around_seq: Seq = None,
        at: Annotated[Moment | None, Query(description="Around the message sent last before this time.")] = None,
    ) -> MessagePage:
        """Read a conversation by cursor, or from one anchor: before, after or around a seq, or at a time."""
        if sum(start is not None for start in (cursor, before_seq, after_seq, around_seq, at)) > 1:
            raise Refused("validation_failed", "give one of cursor, before_seq, after_seq, around_seq and at")
        await wait_until_stored(min_position, ports.stored)
        await state_for(conversation_id, user.id, ports)
        position = seal_feed(tokens, await ports.stored.positions())
        if at is not None:
            around_seq = await _seq_at(conversation_id, at, ports)
        if around_seq is not None:
            order, before_seq, after_seq = "oldest", None, max(around_seq - limit // 2 - 1, 0)
        page = Page(limit + 1, order, before_seq, after_seq)
        if cursor:
            page = open_cursor(tokens, cursor, conversation_id, limit + 1)
        messages = await ports.history.page(conversation_id, page)
        seal = partial(seal_cursor, tokens, conversation_id, page.order)
        return message_page(messages, limit, seal, page.order, position)

    @routes.get("/messages/{message_id:uuid}", responses=problems(403))
    async def read_a_message(message_id: UUID, user: SignedIn, min_position: MinPosition, as_of: AsOf) -> MessageAnswer:
        """Read one message of a conversation you belong to, as it is or as it was; former texts are for moderators."""
        await wait_until_stored(min_position, ports.stored)
        if as_of:
            may_see_former = FORMER in permissions(user.roles)
            return message_answer(await message_as_of(message_id, user.id, as_of, ports, may_see_former=may_see_former))
        return message_answer(await message_for(message_id, user.id, ports))

    @routes.patch("/messages/{message_id:uuid}", status_code=202, responses=problems(403) | {200: {"model": Changed}})
    async def edit_a_message(
        message_id: UUID,
        new: NewText,
        user: SignedIn,
        tokens: Tokens,
        min_position: MinPosition,
        wait: PreferWait,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> Changed:
        """Replace the text of your own message. Former texts stay readable for moderators."""
        await wait_until_stored(min_position, ports.stored)
        key = idempotency_key or str(uuid4())
        ask = EditMessage(message_id=message_id, editor_id=user.id, body=new.body, request_key=key, at=ports.now())
        return await changed(await edit_message(ask, ports), message_id, wait, tokens, response)

    @routes.delete("/messages/{message_id:uuid}", status_code=202, responses=problems(403) | {200: {"model": Changed}})
    async def delete_a_message(
        message_id: UUID,
        user: SignedIn,
        tokens: Tokens,
        min_position: MinPosition,
        wait: PreferWait,
        response: Response,
    ) -> Changed:
        """Take back your own message; twice is once."""
        await wait_until_stored(min_position, ports.stored)
        ask = DeleteMessage(message_id=message_id, asker_id=user.id, at=ports.now())
        return await changed(await delete_message(ask, ports), message_id, wait, tokens, response)

    @routes.post(
        "/messages/{message_id:uuid}:erase", status_code=202, responses=problems(403) | {200: {"model": Changed}}
    )
    async def erase_a_message(
        message_id: UUID,
        user: SignedIn,
        tokens: Tokens,
        min_position: MinPosition,
        wait: PreferWait,
        response: Response,
        why: Erasure | None = None,
    ) -> Changed:
        """Remove the text of anybody's message and its former texts for good; for admins. Twice is once."""
        await wait_until_stored(min_position, ports.stored)
        reason = why.reason if why else ""
        ask = EraseMessage(
            message_id=message_id, asker_id=user.id, asker_roles=user.roles, reason=reason, at=ports.now()
        )
        return await changed(await erase_message(ask, ports), message_id, wait, tokens, response)

    @routes.get("/messages/{message_id:uuid}/versions")
    async def read_versions(message_id: UUID, user: SignedIn) -> VersionList:
        """Read every text a message has had, oldest first; for moderators."""
        if FORMER not in permissions(user.roles):
            raise NotFound("message_not_found")
        message = await ports.history.message(message_id)
        if message is None:
            raise NotFound("message_not_found")
        versions = await ports.history.versions(message_id)
        data = [VersionAnswer(version=each.version, body=each.body, written_at=each.written_at) for each in versions]
        return VersionList(data=data, erased_at=message.erased_at)

    return routes


def _send(conversation_id: UUID, new: NewMessage, user: User, key: str | None, ports: Ports) -> SendMessage:
    client_id = new.client_id or key or str(uuid4())
    return SendMessage(
        conversation_id=conversation_id, sender_id=user.id, client_id=client_id, body=new.body, at=ports.now()
    )


async def _seq_at(conversation_id: UUID, at: datetime, ports: Ports) -> int:
    return max(await ports.history.seq_at(conversation_id, at), 1)
