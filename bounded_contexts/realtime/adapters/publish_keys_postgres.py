"""Publish keys and the signed requests that were seen, in PostgreSQL. A secret has to be known to be compared with a signature,
so that it lies sealed with a key that only the installation's secret yields."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.realtime.adapters.tables import publish_key, signed_request
from bounded_contexts.realtime.application.publish_keys import ListedKey, SigningKey
from infra import secret_keys
from infra.postgres import Database
from infra.webhooks import TOLERANCE
from shared_kernel.errors import Taken

FRESH_S = 5.0  # a key is looked up again after that: so long one that was revoked may hold
REMEMBERED = 1_000  # keys
PRUNE_S = 60.0


class PostgresPublishKeys:
    """Port `PublishKeys`."""

    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._key = secret_keys.derived(secret, "realtime publish keys")
        self._known: OrderedDict[UUID, tuple[float, Any]] = OrderedDict()  # rows

    async def add(self, key: ListedKey, secret: bytes) -> None:
        row = sa.insert(publish_key).values(
            key_id=key.key_id,
            name=key.name,
            channels=list(key.channels),
            may_public=key.may_public,
            sealed=self._sealed(key.key_id, secret),
            made_at=key.made_at,
        )
        async with self._database.transaction() as connection:
            await connection.execute(row)

    async def rotate(self, key_id: UUID, secret: bytes, at: datetime, former_until: datetime) -> ListedKey:
        changed = (
            sa.update(publish_key)
            .where(publish_key.c.key_id == key_id)
            .values(
                former=publish_key.c.sealed,
                former_until=former_until,
                sealed=self._sealed(key_id, secret),
                rotated_at=at,
            )
        )
        async with self._database.transaction() as connection:
            return _listed((await connection.execute(changed.returning(publish_key))).one())

    async def remove(self, key_id: UUID) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(publish_key).where(publish_key.c.key_id == key_id))

    async def listed(self) -> list[ListedKey]:
        query = sa.select(publish_key).order_by(publish_key.c.made_at, publish_key.c.key_id)
        async with self._database.transaction() as connection:
            return [_listed(row) for row in await connection.execute(query)]

    async def signing(self, key_id: UUID, now: datetime) -> SigningKey | None:
        row = await self._row(key_id)
        if row is None:
            return None
        sealed = [row.sealed] + ([row.former] if row.former_until and row.former_until > now else [])
        secrets = tuple(secret_keys.opened(self._key, each, key_id.bytes) for each in sealed)
        return SigningKey(key_id, tuple(row.channels), row.may_public, secrets)

    async def _row(self, key_id: UUID) -> Any:
        """Return the key's row; one that is not there is looked for each time."""
        known = self._known.get(key_id)
        if known and monotonic() - known[0] < FRESH_S:
            return known[1]
        self._known.pop(key_id, None)
        async with self._database.transaction() as connection:
            row = (await connection.execute(sa.select(publish_key).where(publish_key.c.key_id == key_id))).first()
        if row is not None:
            self._known[key_id] = (monotonic(), row)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return row

    def _sealed(self, key_id: UUID, secret: bytes) -> bytes:
        return secret_keys.seal(self._key, secret, key_id.bytes)


class PostgresSeenRequests:
    """Port `SeenRequests`: one row a request, written in a transaction that lasts until the broker has acknowledged. Of two that
    come at once the second waits for what becomes of the first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pruned = monotonic()

    @asynccontextmanager
    async def once(self, key_id: UUID, request_id: str, now: datetime) -> AsyncIterator[None]:
        seen = insert(signed_request).values(key_id=key_id, request_id=request_id, seen_at=now)
        async with self._database.transaction() as connection:
            if (await connection.execute(seen.on_conflict_do_nothing())).rowcount == 0:
                raise Taken("replayed", "a request with this webhook-id was accepted before")
            yield
        if monotonic() - self._pruned > PRUNE_S:
            self._pruned = monotonic()
            await self._prune(now)

    async def _prune(self, now: datetime) -> None:
        """Forget what is refused by its time: a clock that is ahead has its requests hold twice the tolerance."""
        old = sa.delete(signed_request).where(signed_request.c.seen_at < now - 2 * TOLERANCE)
        async with self._database.transaction() as connection:
            await connection.execute(old)


def _listed(row: Any) -> ListedKey:
    return ListedKey(row.key_id, row.name, tuple(row.channels), row.may_public, row.made_at, row.rotated_at)
