"""Messaging over a socket: the same commands as over REST, answered by an ack (docs/messaging.md)."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID, uuid4

from pydantic import Field, model_validator

from bounded_contexts.messaging.adapters.bodies import ClientId, Text
from bounded_contexts.messaging.application.commands import (
    delete_message,
    edit_message,
    send_message,
    send_to_participants,
)
from bounded_contexts.messaging.application.ports import Ports
from bounded_contexts.messaging.domain.commands import DeleteMessage, EditMessage, SendMessage
from bounded_contexts.messaging.domain.conversation import MEMBER_LIMIT
from bounded_contexts.messaging.domain.identity import direct_id
from infra.access_tokens import User
from infra.http import Body, seal_position
from infra.opaque import OpaqueTokens
from shared_kernel.module import SocketCommand

SEND, EDIT, DELETE = "message.send", "message.edit", "message.delete"


class Send(Body):
    """To a conversation by its id, or to participants."""

    client_id: ClientId
    body: Text
    conversation_id: UUID | None = None
    participants: Annotated[list[UUID], Field(min_length=2, max_length=MEMBER_LIMIT)] | None = None

    @model_validator(mode="after")
    def _one_target(self) -> "Send":
        if (self.conversation_id is None) == (self.participants is None):
            raise ValueError("name either conversation_id or participants")
        return self


class Edit(Body):
    message_id: UUID
    body: Text
    client_id: ClientId | None = None  # the same one is the same edit


class Delete(Body):
    message_id: UUID


def socket_commands(ports: Ports, tokens: OpaqueTokens) -> dict[str, SocketCommand]:
    """Return what a client may ask over `/chat`."""

    async def send(user: User, payload: Any) -> Mapping[str, Any]:
        new = Send.model_validate(payload)
        conversation_id = new.conversation_id or direct_id(new.participants or ())
        ask = SendMessage(
            conversation_id=conversation_id, sender_id=user.id, client_id=new.client_id, body=new.body, at=ports.now()
        )
        sending = (
            send_to_participants(ask, tuple(new.participants), ports) if new.participants else send_message(ask, ports)
        )
        sent, position = await sending
        return {
            "message_id": str(sent.message_id),
            "conversation_id": str(sent.conversation_id),
            "client_id": sent.client_id,
            "position": seal_position(tokens, position),
        }

    async def edit(user: User, payload: Any) -> Mapping[str, Any]:
        new = Edit.model_validate(payload)
        key = new.client_id or str(uuid4())
        ask = EditMessage(message_id=new.message_id, editor_id=user.id, body=new.body, request_key=key, at=ports.now())
        return {"position": seal_position(tokens, await edit_message(ask, ports))}

    async def delete(user: User, payload: Any) -> Mapping[str, Any]:
        ask = DeleteMessage(message_id=Delete.model_validate(payload).message_id, asker_id=user.id, at=ports.now())
        return {"position": seal_position(tokens, await delete_message(ask, ports))}

    return {SEND: send, EDIT: edit, DELETE: delete}
