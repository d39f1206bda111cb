"""The routes of older services about chat, for clients that move over: switched on by `HEADWATER_COMPAT_ROUTES`."""

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from bounded_contexts.messaging.application.commands import send_to_participants
from bounded_contexts.messaging.application.ports import Page, Ports
from bounded_contexts.messaging.domain.commands import SendMessage
from bounded_contexts.messaging.domain.conversation import MEMBER_LIMIT
from bounded_contexts.messaging.domain.identity import direct_id
from bounded_contexts.messaging.domain.message import BODY_LIMIT
from infra.http import Body, SignedIn, anybody, problems
from shared_kernel.errors import Forbidden, Refused

COUNTED = ("messages", "conversations")  # topics


class OldMessage(Body):
    participants: Annotated[list[UUID], Field(min_length=2, max_length=MEMBER_LIMIT)]
    content: Annotated[str, Field(min_length=1, max_length=BODY_LIMIT)]


class OldAnswer(BaseModel):
    id: UUID
    sender: UUID
    content: str
    created_at: datetime


class Health(BaseModel):
    service: str
    status: str = "ok"


class Figures(BaseModel):
    """What happened since the topics began, repeats included, as far as history has stored it."""

    events: dict[str, int]  # topic → count


def compat_routes(ports: Ports) -> APIRouter:
    """Return the old routes of the three services that messaging stands for."""
    routes = APIRouter()
    routes.include_router(_messages(ports))
    routes.include_router(_services(ports))
    return routes


def _services(ports: Ports) -> APIRouter:
    routes = APIRouter(tags=["compatibility"], responses=problems(429, 503))

    @routes.get("/chat", name="chat", dependencies=[Depends(anybody)])
    @routes.get("/chat/health", name="chat_health", dependencies=[Depends(anybody)])
    @routes.get("/analytics/health", name="analytics_health", dependencies=[Depends(anybody)])
    async def health(request: Request) -> Health:
        """Say that messages can be read; 503 while they cannot."""
        await ports.stored.positions()
        return Health(service=request.url.path.split("/")[1])

    @routes.get("/analytics", responses=problems(401))
    async def analytics(_: SignedIn) -> Figures:
        """Count what happened, by topic."""
        stored = await ports.stored.positions()
        return Figures(events={topic: sum(stored.get(topic, {}).values()) for topic in COUNTED})

    return routes


def _messages(ports: Ports) -> APIRouter:
    routes = APIRouter(prefix="/api/messages", tags=["compatibility"], responses=problems(401, 403, 422, 503))

    @routes.post("", status_code=202)
    async def send_a_message(old: OldMessage, user: SignedIn) -> dict[str, str]:
        """Send to exactly these people. Without a name of the client's own a repeat is another message."""
        conversation = direct_id(old.participants)
        ask = SendMessage(
            conversation_id=conversation, sender_id=user.id, client_id=str(uuid4()), body=old.content, at=ports.now()
        )
        sent, _ = await send_to_participants(ask, tuple(old.participants), ports)
        return {"status": "message queued", "id": str(sent.message_id)}

    @routes.get("/get")
    async def read_messages(
        user: SignedIn,
        participants: Annotated[
            list[str], Query(max_length=MEMBER_LIMIT, description="Ids, comma-separated or one parameter each.")
        ],
        page: Annotated[int, Query(ge=1, le=10_000)] = 1,
        size: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> list[OldAnswer]:
        """Read newest first by page number; pages shift while others write, which is why the newer routes use cursors."""
        people = _ids(",".join(participants))
        if user.id not in people:
            raise Forbidden("not_a_member", "you are not among the participants")
        conversation = direct_id(people)
        newest = await ports.history.page(conversation, Page(1))
        before = newest[0].seq + 1 - (page - 1) * size if newest else 0
        found = await ports.history.page(conversation, Page(size, "newest", before)) if before > 0 else []
        return [
            OldAnswer(id=each.message_id, sender=each.sender_id, content=each.body, created_at=each.sent_at)
            for each in found
        ]

    return routes


def _ids(text: str) -> list[UUID]:
    try:
        return [UUID(each) for each in text.split(",")]
    except ValueError:
        raise Refused("validation_failed", "participants: comma-separated UUIDs") from None
