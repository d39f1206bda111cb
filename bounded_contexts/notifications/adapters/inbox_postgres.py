"""Inbox entries at rest: ports `InboxWriter` and `Inbox`.

What was read is kept apart from the entries, because an entry and its mark come from two topics, in any order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.notifications.adapters.tables import entry, mark, mark_all
from bounded_contexts.notifications.application.ports import Entry, InboxItem
from infra.postgres import Database

RAISED = """
insert into entry (notification_id, recipient_id, kind, cause_id, conversation_id, actor_id, preview, raised_at)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::timestamptz[])
     as g(notification_id, recipient_id, kind, cause_id, conversation_id, actor_id, preview, raised_at)
where cause_id not in (
    select e.cause_id from entry e where e.cause_id = any($4) and e.withdrawn_at is not null)
on conflict (notification_id) do nothing
"""
COLUMNS = ("notification_id", "recipient_id", "kind", "cause_id", "conversation_id", "actor_id", "preview", "raised_at")

read_at = sa.func.coalesce(
    mark.c.read_at, sa.case((entry.c.raised_at <= mark_all.c.until, mark_all.c.read_at), else_=None)
).label("read_at")
shown = (
    sa.select(*(entry.c[name] for name in COLUMNS), read_at)
    .outerjoin(mark, mark.c.notification_id == entry.c.notification_id)
    .outerjoin(mark_all, mark_all.c.recipient_id == entry.c.recipient_id)
    .where(entry.c.withdrawn_at.is_(None))
)


class PostgresInbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def raised(self, entries: Sequence[Entry]) -> None:
        columns = tuple([getattr(each, name) for each in entries] for name in COLUMNS)
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(RAISED, columns)

    async def revised(self, cause: UUID, preview: str) -> None:
        await self._execute(
            sa.update(entry).where(entry.c.cause_id == cause, entry.c.withdrawn_at.is_(None)).values(preview=preview)
        )

    async def withdrawn(self, cause: UUID, at: datetime) -> None:
        gone = sa.update(entry).where(entry.c.cause_id == cause, entry.c.withdrawn_at.is_(None))
        await self._execute(gone.values(withdrawn_at=at, preview=""))

    async def read(self, recipient: UUID, ids: Sequence[UUID], all_until: datetime | None, at: datetime) -> None:
        async with self._database.transaction():
            if ids:
                rows = [{"notification_id": id_, "recipient_id": recipient, "read_at": at} for id_ in ids]
                await self._execute(insert(mark).values(rows).on_conflict_do_nothing())
            if all_until is not None:
                marked = insert(mark_all).values(recipient_id=recipient, until=all_until, read_at=at)
                later = {"until": marked.excluded.until, "read_at": marked.excluded.read_at}
                only_later = mark_all.c.until < marked.excluded.until
                await self._execute(
                    marked.on_conflict_do_update(index_elements=["recipient_id"], set_=later, where=only_later)
                )

    async def page(
        self, recipient: UUID, limit: int, before: tuple[datetime, UUID] | None, *, unread_only: bool
    ) -> list[InboxItem]:
        query = shown.where(entry.c.recipient_id == recipient)
        if before:
            query = query.where(sa.tuple_(entry.c.raised_at, entry.c.notification_id) < sa.tuple_(*before))
        if unread_only:
            query = query.where(read_at.element.is_(None))
        query = query.order_by(entry.c.raised_at.desc(), entry.c.notification_id.desc()).limit(limit)
        async with self._database.transaction() as connection:
            return [_item(row) for row in (await connection.execute(query)).mappings()]

    async def counts(self, recipient: UUID) -> tuple[int, int]:
        mine = shown.where(entry.c.recipient_id == recipient).subquery()
        unread = sa.func.count().filter(mine.c.read_at.is_(None))
        async with self._database.transaction() as connection:
            row = (await connection.execute(sa.select(sa.func.count(), unread).select_from(mine))).one()
        return row[0], row[1]

    async def owned(self, recipient: UUID, ids: Sequence[UUID]) -> set[UUID]:
        query = sa.select(entry.c.notification_id).where(
            entry.c.recipient_id == recipient, entry.c.notification_id.in_(ids), entry.c.withdrawn_at.is_(None)
        )
        async with self._database.transaction() as connection:
            return set((await connection.execute(query)).scalars())

    async def _execute(self, statement: sa.Executable) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(statement)


def _item(row: sa.RowMapping) -> InboxItem:
    fields: dict[str, Any] = dict(row)
    return InboxItem(**fields)
