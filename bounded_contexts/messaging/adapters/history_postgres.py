"""Messages at rest: one row each, keyed by message id, numbered within their conversation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bounded_contexts.messaging.adapters.tables import erasure, message, message_edit
from bounded_contexts.messaging.application.ports import Page, Version
from bounded_contexts.messaging.domain.message import Message
from infra.postgres import Database
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent

# A conversation lies in one partition and its group's position is locked by now, so nobody else is numbering it.
SENT = """
insert into message (message_id, conversation_id, seq, sender_id, client_id, body, sent_at, erased_at)
select g.message_id, conversation_id,
       coalesce((select max(seq) from message m where m.conversation_id = g.conversation_id), 0)
           + row_number() over (partition by conversation_id order by place),
       sender_id, client_id, case when e.message_id is null then body else '' end, sent_at, e.erased_at
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])
     with ordinality as g(message_id, conversation_id, sender_id, client_id, body, sent_at, place)
     left join erasure e on e.message_id = g.message_id
where not exists (select from message m where m.message_id = g.message_id)
order by place
"""


class PostgresHistory:
    """Ports `HistoryWriter` and `History`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sent(self, messages: Sequence[MessageSent]) -> None:
        first: dict[UUID, MessageSent] = {}
        for each in messages:
            first.setdefault(each.message_id, each)  # a repeat keeps what came first
        rows = [
            (each.message_id, each.conversation_id, each.sender_id, each.client_id, each.body, each.sent_at)
            for each in first.values()
        ]
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(SENT, tuple(list(column) for column in zip(*rows, strict=True)))

    async def edited(self, edit: MessageEdited) -> None:
        async with self._database.transaction() as connection:
            former = sa.select(
                sa.literal(edit.edit_id),
                message.c.message_id,
                message.c.version,
                message.c.body,
                sa.func.coalesce(message.c.edited_at, message.c.sent_at),
            ).where(
                message.c.message_id == edit.message_id, message.c.deleted_at.is_(None), message.c.erased_at.is_(None)
            )
            columns = ["edit_id", "message_id", "version", "body", "written_at"]
            known = sa.select(message_edit.c.edit_id).where(message_edit.c.edit_id == edit.edit_id)
            former = former.where(~sa.exists(known))
            kept = sa.insert(message_edit).from_select(columns, former).returning(message_edit.c.version)
            if (await connection.execute(kept)).first() is None:
                return
            await connection.execute(
                sa.update(message)
                .where(message.c.message_id == edit.message_id)
                .values(body=edit.body, version=message.c.version + 1, edited_at=edit.edited_at)
            )

    async def deleted(self, deletion: MessageDeleted) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(
                sa.update(message)
                .where(message.c.message_id == deletion.message_id, message.c.deleted_at.is_(None))
                .values(deleted_at=deletion.deleted_at)
            )

    async def erased(self, erasure_: MessageErased) -> None:
        this, at = erasure_.message_id, erasure_.erased_at
        async with self._database.transaction() as connection:
            await connection.execute(insert(erasure).values(message_id=this, erased_at=at).on_conflict_do_nothing())
            await connection.execute(sa.delete(message_edit).where(message_edit.c.message_id == this))
            gone = sa.update(message).where(message.c.message_id == this, message.c.erased_at.is_(None))
            await connection.execute(gone.values(body="", erased_at=at))

    async def page(self, conversation: UUID, page: Page) -> list[Message]:
        query = _stretch(page).where(message.c.conversation_id == conversation)
        async with self._database.transaction() as connection:
            return [_message(row) for row in (await connection.execute(query)).mappings()]

    async def pages(self, conversations: Sequence[UUID], page: Page) -> dict[UUID, list[Message]]:
        wanted = sa.func.unnest(sa.cast(list(conversations), ARRAY(sa.Uuid))).table_valued("id", name="wanted")
        wanted = wanted.render_derived()
        of_each = _stretch(page).where(message.c.conversation_id == wanted.c.id).lateral("of_each")
        query = sa.select(of_each).select_from(wanted.join(of_each, sa.true())).order_by(_order(of_each.c.seq, page))
        found: dict[UUID, list[Message]] = {each: [] for each in conversations}
        async with self._database.transaction() as connection:
            for row in (await connection.execute(query)).mappings():
                found[row["conversation_id"]].append(_message(row))
        return found

    async def message(self, message_id: UUID) -> Message | None:
        async with self._database.transaction() as connection:
            found = await connection.execute(sa.select(message).where(message.c.message_id == message_id))
            row = found.mappings().first()
        return _message(row) if row else None

    async def versions(self, message_id: UUID) -> list[Version]:
        former = sa.select(message_edit.c.version, message_edit.c.body, message_edit.c.written_at)
        current = sa.select(message.c.version, message.c.body, sa.func.coalesce(message.c.edited_at, message.c.sent_at))
        query = sa.union_all(
            former.where(message_edit.c.message_id == message_id),
            current.where(message.c.message_id == message_id, message.c.erased_at.is_(None)),
        ).order_by("version")
        async with self._database.transaction() as connection:
            return [Version(*row) for row in await connection.execute(query)]

    async def seq_at(self, conversation: UUID, at: datetime) -> int:
        query = sa.select(sa.func.max(message.c.seq)).where(
            message.c.conversation_id == conversation, message.c.sent_at <= at
        )
        async with self._database.transaction() as connection:
            return int(await connection.scalar(query) or 0)


def _stretch(page: Page) -> sa.Select[Any]:
    query = sa.select(message).limit(page.limit).order_by(_order(message.c.seq, page))
    if page.before is not None:
        query = query.where(message.c.seq < page.before)
    return query.where(message.c.seq > page.after) if page.after is not None else query


def _order(seq: sa.ColumnElement[int], page: Page) -> sa.ColumnElement[int]:
    return seq.desc() if page.order == "newest" else seq


def _message(row: sa.RowMapping) -> Message:
    fields: dict[str, Any] = dict(row)
    return Message(**(fields | {"body": "" if row["deleted_at"] else row["body"]}))
