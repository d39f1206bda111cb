"""REST face of notifications: parse, call, answer."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bounded_contexts.notifications.application.commands import mark_read
from bounded_contexts.notifications.application.ports import InboxItem, Ports
from infra.download_links import seal_link
from infra.http import (
    Body,
    Cursor,
    Limit,
    MinPosition,
    Moment,
    NextPage,
    PreferWait,
    SignedIn,
    Tokens,
    command_status,
    open_place,
    problems,
    seal_place,
    seal_position,
    wait_until_stored,
)
from infra.opaque import OpaqueTokens

LINK = timedelta(hours=1)


class NotificationAnswer(BaseModel):
    id: UUID
    kind: Annotated[str, Field(description="What happened (docs/notifications.md).", examples=["message.received"])]
    message_id: Annotated[UUID | None, Field(description="Of kind `message.received`.")]
    conversation_id: Annotated[UUID | None, Field(description="Of kind `message.received`.")]
    order_id: Annotated[UUID | None, Field(description="Of kinds `order.…`.")]
    document_id: Annotated[UUID | None, Field(description="Of kinds `conversion.…` and `document.…`.")]
    download: Annotated[
        str | None,
        Field(description="Of kind `document.rendered`: a link that holds for an hour from now (docs/generation.md)."),
    ]
    actor_id: Annotated[UUID | None, Field(description="Null where the house did it: fulfilment, conversions.")]
    preview: str
    created_at: datetime
    read_at: datetime | None


class InboxPage(BaseModel):
    data: list[NotificationAnswer]
    page: NextPage


class Counts(BaseModel):
    total: int
    unread: int


class Mark(Body):
    """Which notifications have been seen: some by id, all up to a time, or both."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "read", "all_until": "2026-01-31T12:00:00Z"}]})
    state: Literal["read"]
    ids: Annotated[list[UUID], Field(default_factory=list, max_length=200)]
    all_until: Moment | None = None

    @model_validator(mode="after")
    def _something(self) -> "Mark":
        if not self.ids and self.all_until is None:
            raise ValueError("name ids, all_until or both")
        return self


class Marked(BaseModel):
    status: Literal["accepted", "stored"]
    position: str


def router(ports: Ports) -> APIRouter:
    """Return every route of the context."""
    routes = APIRouter(tags=["notifications"], responses=problems(401, 422, 503))

    @routes.get("/notifications")
    async def list_notifications(
        user: SignedIn,
        tokens: Tokens,
        min_position: MinPosition,
        limit: Limit = 50,
        cursor: Cursor = None,
        unread: Annotated[bool, Query(description="Only what has not been read.")] = False,
    ) -> InboxPage:
        """List your notifications, newest first."""
        await wait_until_stored(min_position, ports.stored)
        inbox = inbox_of(user.id)
        before = open_place(tokens, cursor, inbox)
        found = await ports.inbox.page(user.id, limit + 1, before, unread_only=unread)
        more = len(found) > limit
        last = found[limit - 1] if more else None
        next_ = seal_place(tokens, last.raised_at, last.notification_id, inbox) if last else None
        data = [notification_answer(item, tokens, ports.now()) for item in found[:limit]]
        return InboxPage(data=data, page=NextPage(next_cursor=next_, has_more=more))

    @routes.get("/notifications/counts")
    async def count_notifications(user: SignedIn, min_position: MinPosition) -> Counts:
        """Count your notifications and the unread ones."""
        await wait_until_stored(min_position, ports.stored)
        total, unread = await ports.inbox.counts(user.id)
        return Counts(total=total, unread=unread)

    @routes.post("/notifications:mark", status_code=202, responses=problems(404) | {200: {"model": Marked}})
    async def mark_notifications(
        marks: Mark, user: SignedIn, tokens: Tokens, wait: PreferWait, response: Response
    ) -> Marked:
        """Mark notifications read; twice is once."""
        position = await mark_read(user.id, marks.ids, marks.all_until, ports)
        status = await command_status(position, wait, ports.stored, response)
        return Marked(status=status, position=seal_position(tokens, position))

    return routes


def inbox_of(user: UUID) -> str:
    """Return what cursors of the user's list are for."""
    return f"notifications:{user}"


def notification_answer(item: InboxItem, tokens: OpaqueTokens, now: datetime) -> NotificationAnswer:
    """Return the entry as its user sees it; links are made when it is read, so that none is stored."""
    is_there = item.kind == "document.rendered"
    return NotificationAnswer(
        id=item.notification_id,
        kind=item.kind,
        message_id=item.cause_id if item.conversation_id else None,
        conversation_id=item.conversation_id,
        order_id=item.cause_id if item.kind.startswith("order.") else None,
        document_id=item.cause_id if item.kind.startswith(("conversion.", "document.")) else None,
        download=seal_link(tokens, f"/api/v1/documents/{item.cause_id}/content", now + LINK) if is_there else None,
        actor_id=item.actor_id,
        preview=item.preview,
        created_at=item.raised_at,
        read_at=item.read_at,
    )
