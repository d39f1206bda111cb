"""Webhook endpoints and what waits for them, in PostgreSQL: port `Endpoints`, and the queue that is sent from. Secrets lie
sealed, as those of publish keys do."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from bounded_contexts.realtime.adapters import occupancy_postgres
from bounded_contexts.realtime.adapters.occupancy_postgres import LOCK, endpoint_of
from bounded_contexts.realtime.adapters.tables import webhook, webhook_delivery, webhook_subject
from bounded_contexts.realtime.application.webhooks import MOST, Delivery, Endpoint, ListedEndpoint
from infra import secret_keys
from infra.postgres import Database
from shared_kernel.errors import NotFound, Refused

SENDING = timedelta(seconds=60)  # after which another process sends what one has taken, and died or was cut off
CLAIM = """
update webhook_delivery taken set due_at = $3 from webhook w
where w.webhook_id = taken.webhook_id and taken.nth in (
    select d.nth from webhook_delivery d
    where d.webhook_id = $1 and d.due_at <= $2 and not exists (
        select from webhook_delivery former
        where former.webhook_id = d.webhook_id and former.subject = d.subject and former.nth < d.nth)
    order by d.nth limit $4 for update skip locked)
returning taken.delivery_id, taken.webhook_id, w.url, taken.body, taken.attempts, taken.made_at, w.sealed"""
FAIL = """
update webhook_delivery d set attempts = d.attempts + 1, due_at = failed.due_at
from unnest($1::uuid[], $2::timestamptz[]) failed(id, due_at) where d.delivery_id = failed.id"""


class PostgresWebhooks:
    """Port `Endpoints`, and the queue."""

    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._key = secret_keys.derived(secret, "realtime webhooks")

    async def add(self, endpoint: Endpoint, secret: bytes, made_by: UUID) -> None:
        row = sa.insert(webhook).values(
            webhook_id=endpoint.webhook_id,
            url=endpoint.url,
            kinds=list(endpoint.kinds),
            channels=list(endpoint.channels),
            sealed=secret_keys.seal(self._key, secret, endpoint.webhook_id.bytes),
            made_by=made_by,
            made_at=endpoint.made_at,
        )
        async with self._database.transaction() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            count = (await connection.execute(sa.select(sa.func.count()).select_from(webhook))).scalar_one()
            if count >= MOST:
                raise Refused("too_many_webhooks", f"at most {MOST}: remove one first")
            if count == 0:
                await occupancy_postgres.begin(connection)
            await connection.execute(row)

    async def remove(self, webhook_id: UUID) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            gone = await connection.execute(sa.delete(webhook).where(webhook.c.webhook_id == webhook_id))
            if gone.rowcount == 0:
                raise NotFound("webhook_not_found")
            await connection.execute(sa.delete(webhook_delivery).where(webhook_delivery.c.webhook_id == webhook_id))
            if (await connection.execute(sa.select(webhook.c.webhook_id).limit(1))).first() is None:
                await connection.execute(sa.delete(webhook_subject))

    async def listed(self) -> list[ListedEndpoint]:
        waiting = (
            sa.select(sa.func.count())
            .where(webhook_delivery.c.webhook_id == webhook.c.webhook_id)
            .scalar_subquery()
            .label("waiting")
        )
        query = sa.select(webhook, waiting).order_by(webhook.c.made_at, webhook.c.webhook_id)
        async with self._database.transaction() as connection:
            return [_listed(row) for row in await connection.execute(query)]

    async def due(self) -> list[UUID]:
        """Return the endpoints for which something is due."""
        waits = sa.exists().where(
            webhook_delivery.c.webhook_id == webhook.c.webhook_id, webhook_delivery.c.due_at <= datetime.now(UTC)
        )
        async with self._database.transaction() as connection:
            return list((await connection.execute(sa.select(webhook.c.webhook_id).where(waits))).scalars())

    async def claim(self, webhook_id: UUID, most: int) -> list[Delivery]:
        """Take what is due next, of each subject one: nobody else gets it for a while."""
        now = datetime.now(UTC)
        async with self._database.transaction() as connection:
            rows = (await connection.exec_driver_sql(CLAIM, (webhook_id, now, now + SENDING, most))).all()
        return [
            Delivery(
                row.delivery_id,
                row.url,
                row.body,
                row.attempts,
                row.made_at,
                secret_keys.opened(self._key, row.sealed, row.webhook_id.bytes),
            )
            for row in rows
        ]

    async def note(
        self,
        webhook_id: UUID,
        taken: Sequence[UUID],
        later: Sequence[tuple[UUID, datetime]],
        given_up: Sequence[UUID],
        error: str | None,
    ) -> None:
        """Note what became of deliveries: they were taken, are tried again at a time, or never."""
        now = datetime.now(UTC)
        values: dict[str, Any] = {"given_up": webhook.c.given_up + len(given_up)}
        values |= {"delivered_at": now} if taken else {}
        values |= {"last_error": error, "failed_at": now} if error else {}
        over = sa.delete(webhook_delivery).where(webhook_delivery.c.delivery_id.in_([*taken, *given_up]))
        async with self._database.transaction() as connection:
            await connection.execute(sa.update(webhook).where(webhook.c.webhook_id == webhook_id).values(values))
            await connection.execute(over)
            if later:
                ids, times = zip(*later, strict=True)
                await connection.exec_driver_sql(FAIL, (list(ids), list(times)))


def _listed(row: Any) -> ListedEndpoint:
    return ListedEndpoint(endpoint_of(row), row.waiting, row.given_up, row.delivered_at, row.last_error, row.failed_at)
