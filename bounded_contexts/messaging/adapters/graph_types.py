"""What clients send to messaging over GraphQL, and the answers that lead nowhere else."""

from typing import Any
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from infra.graph import Status

WAIT = "How long to wait until reads show it, 10 at most."
CLIENT_ID = "Your name for it; the same one is done once."


@strawberry.type(description="The broker has it; `position` reads your own write through `minPosition`.")
class MessageSent:
    message_id: UUID
    conversation_id: UUID
    client_id: str
    status: Status
    position: str


@strawberry.type(description="The broker has the edit or the deletion.")
class MessageChanged:
    message_id: UUID
    status: Status
    position: str


@strawberry.input
class SendInput:
    conversation_id: UUID
    client_id: str = strawberry.field(description=CLIENT_ID)
    body: str
    wait_seconds: int = strawberry.field(default=0, description=WAIT)


@strawberry.input(description="To exactly these people, you included; the conversation follows from them.")
class SendToPeopleInput:
    participants: list[UUID]
    client_id: str = strawberry.field(description=CLIENT_ID)
    body: str
    wait_seconds: int = strawberry.field(default=0, description=WAIT)


@strawberry.input
class EditInput:
    message_id: UUID
    body: str
    client_id: str | None = strawberry.field(default=None, description="The same one is the same edit.")
    wait_seconds: int = strawberry.field(default=0, description=WAIT)


@strawberry.input
class NewGroupInput:
    title: str
    member_ids: list[UUID] = strawberry.field(default_factory=list, description="You are in it anyway.")
    public: bool = strawberry.field(default=False, description="Anybody may find and join it.")
    metadata: JSON | None = strawberry.field(default=None, description="Texts by name, your own.")
    client_id: str | None = strawberry.field(default=None, description=CLIENT_ID)
    wait_seconds: int = strawberry.field(default=0, description=WAIT)


def payload(given: Any) -> dict[str, Any]:
    """Return what was given as REST and sockets would have it."""
    return {
        name: [str(each) for each in value]
        if isinstance(value, list)
        else str(value)
        if isinstance(value, UUID)
        else value
        for name, value in vars(given).items()
        if value is not None and name != "wait_seconds"
    }
