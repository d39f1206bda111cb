"""Who is on which channels of which nodes, and what has changed of that for webhooks: port `Occupancy`, and the chore that has
each change wait for the endpoints that want it, once. As with presence, what a node told counts while its lease does."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bounded_contexts.realtime.adapters.tables import webhook, webhook_delivery
from bounded_contexts.realtime.application.presence import LEASE
from bounded_contexts.realtime.application.webhooks import (
    MOST_WAITING,
    Change,
    Endpoint,
    Settled,
    Standing,
    body_of,
    of_changes,
    settle,
)
from infra.postgres import Database

LOCK = 7_300  # advisory: one process at a time looks for changes, and none while the first endpoint is made
PAGE = 10_000  # subjects that are looked at together; those that wait for longest come first
TOO_MANY = f"more than {MOST_WAITING} were waiting"

HERE = """
select o.subject from occupied o join node n on n.node = o.node where n.seen_at > $1
union select 'user:' || s.user_id from session s join node n on n.node = s.node
where s.ended_at is null and n.seen_at > $1"""
STANDINGS = f"""
with here as ({HERE})
select coalesce(h.subject, t.subject) as subject, h.subject is not null as is_here, coalesce(t.is_told, false) as is_told,
       t.differs_since
from here h full join webhook_subject t on t.subject = h.subject
where t.subject is null or t.is_told <> (h.subject is not null) or t.differs_since is not null
order by t.differs_since, subject limit {PAGE}"""  # noqa: S608 – constants
BEGIN = f"insert into webhook_subject (subject, is_told) select subject, true from ({HERE}) here"  # noqa: S608 – a constant
KEEP = """
insert into webhook_subject (subject, is_told, differs_since)
select * from unnest($1::text[], $2::bool[], $3::timestamptz[])
on conflict (subject) do update set is_told = excluded.is_told, differs_since = excluded.differs_since"""
FORGET = "delete from webhook_subject where subject = any($1::text[])"
CAME = """
insert into occupied (node, subject) select $1::uuid, unnest($2::text[]) on conflict do nothing"""
LEFT = "delete from occupied where node = $1::uuid and subject = any($2::text[])"


class PostgresOccupancy:
    """Port `Occupancy`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def change(self, node: UUID, came: Sequence[str], left: Sequence[str]) -> None:
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(CAME, (node, list(came)))
            await connection.exec_driver_sql(LEFT, (node, list(left)))


class Changes:
    """What has changed since endpoints were told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell(self) -> None:
        """Have what has changed wait for endpoints: in one transaction with noting that it does. May be called by several
        processes at once."""
        async with self._database.transaction() as connection:
            taken = sa.select(sa.func.pg_try_advisory_xact_lock(LOCK))
            if not (await connection.execute(taken)).scalar_one():
                return
            endpoints = [endpoint_of(row) for row in await connection.execute(sa.select(webhook))]
            if not endpoints:
                return
            now = datetime.now(UTC)
            rows = await connection.exec_driver_sql(STANDINGS, (now - LEASE,))
            settled = settle([_standing(row) for row in rows], now)
            await _remember(connection, settled)
            if settled.changes:
                await _have_wait(connection, endpoints, settled.changes, now)


async def begin(connection: AsyncConnection) -> None:
    """Take what is now as told, in the transaction that makes the first endpoint."""
    await connection.exec_driver_sql("delete from webhook_subject")
    await connection.exec_driver_sql(BEGIN, (datetime.now(UTC) - LEASE,))


def endpoint_of(row: Any) -> Endpoint:
    return Endpoint(row.webhook_id, row.url, tuple(row.kinds), tuple(row.channels), row.made_at)


async def _remember(connection: AsyncConnection, settled: Settled) -> None:
    if settled.kept:
        columns = zip(*((each.subject, each.is_told, each.differs_since) for each in settled.kept), strict=True)
        await connection.exec_driver_sql(KEEP, tuple(list(column) for column in columns))
    if settled.forgotten:
        await connection.exec_driver_sql(FORGET, (settled.forgotten,))


async def _have_wait(
    connection: AsyncConnection, endpoints: Sequence[Endpoint], changes: Sequence[Change], now: datetime
) -> None:
    counting = sa.select(webhook_delivery.c.webhook_id, sa.func.count()).group_by(webhook_delivery.c.webhook_id)
    waiting: dict[UUID, int] = {row[0]: row[1] for row in await connection.execute(counting)}
    rows: list[dict[str, Any]] = []
    given_up: dict[UUID, int] = {}
    for endpoint, change in of_changes(endpoints, changes):
        id_ = endpoint.webhook_id
        if waiting.get(id_, 0) >= MOST_WAITING:
            given_up[id_] = given_up.get(id_, 0) + 1
            continue
        waiting[id_] = waiting.get(id_, 0) + 1
        rows.append(
            {
                "delivery_id": uuid4(),
                "webhook_id": id_,
                "subject": change.subject,
                "body": body_of(change),
                "made_at": now,
                "due_at": now,
            }
        )
    if rows:
        await connection.execute(sa.insert(webhook_delivery), rows)
    for id_, count in given_up.items():
        values = {"given_up": webhook.c.given_up + count, "last_error": TOO_MANY, "failed_at": now}
        await connection.execute(sa.update(webhook).where(webhook.c.webhook_id == id_).values(values))


def _standing(row: Any) -> Standing:
    return Standing(row.subject, row.is_here, row.is_told, row.differs_since)
