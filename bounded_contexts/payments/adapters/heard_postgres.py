"""Which webhooks were taken: port `Heard`."""

from datetime import datetime
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.payments.adapters.tables import webhook
from infra.postgres import Database
from infra.webhooks import TOLERANCE

PRUNE_S = 60.0


class PostgresHeard:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._pruned = monotonic()

    async def first(self, event_id: str, attempted_at: int, now: datetime) -> bool:
        seen = insert(webhook).values(event_id=event_id, attempted_at=attempted_at, heard_at=now)
        async with self._database.transaction() as connection:
            is_first = (await connection.execute(seen.on_conflict_do_nothing())).rowcount == 1
        if monotonic() - self._pruned > PRUNE_S:
            self._pruned = monotonic()
            await self._prune(now)
        return is_first

    async def _prune(self, now: datetime) -> None:
        """Forget what is refused by its time: a clock that is ahead has its requests hold twice the tolerance."""
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(webhook).where(webhook.c.heard_at < now - 2 * TOLERANCE))
