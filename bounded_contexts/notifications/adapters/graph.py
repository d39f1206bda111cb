"""GraphQL face of notifications. The rules are those of the REST routes."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import strawberry

from bounded_contexts.notifications.adapters.http import Mark, inbox_of, notification_answer
from bounded_contexts.notifications.application.commands import mark_read
from bounded_contexts.notifications.application.ports import InboxItem, Ports
from infra.graph import FIRST, Connection, Info, Part, Status, Users, page_by_place, scoped, seen, status_of
from infra.http import seal_position
from infra.opaque import OpaqueTokens


@strawberry.type
class NotificationCounts:
    total: int
    unread: int


@strawberry.type(description="The broker has the mark; `position` reads your own write through `minPosition`.")
class NotificationsMarked:
    status: Status
    position: str


@strawberry.input(description="Which notifications have been seen: some by id, all up to a time, or both.")
class MarkInput:
    ids: list[UUID] = strawberry.field(default_factory=list)
    all_until: datetime | None = None
    wait_seconds: int = strawberry.field(default=0, description="How long to wait until reads show it, 10 at most.")


def graph(ports: Ports, users: Users) -> Part:
    """Return what the context offers to the schema."""

    @strawberry.type
    class Notification:
        id: UUID
        kind: str
        message_id: UUID | None = strawberry.field(description="Of kind `message.received`.")
        conversation_id: UUID | None = strawberry.field(description="Of kind `message.received`.")
        order_id: UUID | None = strawberry.field(description="Of kinds `order.…`.")
        document_id: UUID | None = strawberry.field(description="Of kinds `conversion.…` and `document.…`.")
        download: str | None = strawberry.field(
            description="Of kind `document.rendered`: a link that holds for an hour from now."
        )
        actor_id: UUID | None = strawberry.field(description="Null where the house did it.")
        preview: str
        created_at: datetime
        read_at: datetime | None

        @scoped("users:read", graphql_type=users.type)
        async def actor(self, info: Info) -> Any:
            return await users.one(info.context, self.actor_id) if self.actor_id else None

    def shown(item: InboxItem, tokens: OpaqueTokens) -> Notification:
        return Notification(**dict(notification_answer(item, tokens, ports.now())))

    @strawberry.type
    class Query:
        @scoped("notifications:read", "Your notifications, newest first.")
        async def notifications(
            self,
            info: Info,
            first: int = FIRST,
            after: str | None = None,
            unread: bool = False,
            min_position: str | None = None,
        ) -> Connection[Notification] | None:
            await seen(info.context, min_position, ports.stored)
            id_ = info.context.user.id
            return await page_by_place(
                info.context,
                partial(ports.inbox.page, id_, unread_only=unread),
                partial(shown, tokens=info.context.tokens),
                lambda item: (item.raised_at, item.notification_id),
                first,
                after,
                inbox_of(id_),
            )

        @scoped("notifications:read", "How many there are.")
        async def notification_counts(self, info: Info, min_position: str | None = None) -> NotificationCounts | None:
            await seen(info.context, min_position, ports.stored)
            total, unread = await ports.inbox.counts(info.context.user.id)
            return NotificationCounts(total=total, unread=unread)

    @strawberry.type
    class Mutation:
        @scoped("notifications:write", "Mark them read; twice is once.")
        async def mark_notifications(self, info: Info, input: MarkInput) -> NotificationsMarked | None:  # noqa: A002
            until = input.all_until and input.all_until.isoformat()
            marks = Mark.model_validate({"state": "read", "ids": input.ids, "all_until": until})
            position = await mark_read(info.context.user.id, marks.ids, marks.all_until, ports)
            status = await status_of(position, input.wait_seconds, ports.stored)
            return NotificationsMarked(status=status, position=seal_position(info.context.tokens, position))

    return Part(Query, Mutation)
