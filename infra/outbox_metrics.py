"""How much waits in an outbox and for how long: asked of the table itself, so a relay that stands still is seen too."""

import asyncio
import math
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter, Gauge

from infra.metrics import SampledGauge
from infra.postgres import Database

LOOK_S = 5.0
MOST = 100_000  # rows are counted up to here: a long outbox must not be made slower by counting it

RECORDS = Gauge("headwater_outbox_records", f"Events that wait to be relayed, {MOST} at most.", ("context",))
OLDEST = Gauge("headwater_outbox_oldest_age_seconds", "How long the first of them has waited.", ("context",))
ACTIVE = SampledGauge("headwater_relay_active", "1 while this process relays, 0 while it waits its turn.", ("context",))
RELAYED = Counter("headwater_relay_records", "Events relayed and acknowledged.", ("context",))

WAITING = "select count(*) from (select from {schema}.outbox limit $1) as waiting"
FIRST = """
select (select header ->> 1 from jsonb_array_elements(headers) as header where header ->> 0 = 'ce_time')
from {schema}.outbox order by id limit 1
"""

log = structlog.get_logger()


async def watch_outbox(database: Database, schema: str) -> None:
    """Look for ever. While the database is away the figures are not numbers."""
    while True:
        try:
            count, age = await look(database, schema)
        except Exception as error:
            log.warning("outbox.not_seen", schema=schema, error=str(error))
            count = age = math.nan
        RECORDS.labels(schema).set(count)
        OLDEST.labels(schema).set(age)
        await asyncio.sleep(LOOK_S)


async def look(database: Database, schema: str) -> tuple[float, float]:
    """Return how many events wait, and for how many seconds the first of them has."""
    async with database.driver() as connection:
        count = await connection.fetchval(WAITING.format(schema=schema), MOST)
        written = await connection.fetchval(FIRST.format(schema=schema))
    age = (datetime.now(UTC) - datetime.fromisoformat(written)).total_seconds() if written else 0.0
    return count, max(age, 0.0)
