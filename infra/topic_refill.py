"""Fill a topic that was lost or emptied from the context's event store: the same ids, headers and bytes, in the order of each
stream (docs/event-store.md).

The relay's lock is held meanwhile: what waits in the outbox comes after what is filled in. Repeating it after a failure puts
events there twice, in their order; readers go by ids.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

import asyncpg
import msgspec

from infra.kafka_client import KafkaConfig
from infra.kafka_producer import KafkaProducer, Outgoing
from infra.kafka_reader import KafkaReader
from infra.outbox_relay import relay_lock
from infra.postgres import Database
from shared_kernel.errors import Conflict, Refused

BATCH = 1_000  # events
AHEAD = 1  # batches that are handed over while the broker still writes the one before

# The next event of a stream has a higher place than the one before it. What is in the outbox the relay will send.
STORED = """
with waiting as materialized (
    select (select (header ->> 1)::uuid from jsonb_array_elements(headers) header where header ->> 0 = 'ce_id' limit 1) as id
    from {schema}.outbox where topic = $1
)
select body, headers::text as headers from {schema}.event e
where type = any($2) and not exists (select from waiting w where w.id = e.id) order by place"""
COUNT = "select count(*) from {schema}.event where type = any($1)"

_headers = msgspec.json.Decoder(list[tuple[str, str]]).decode


class Refill:
    """Refills the topics of one context. The database's statements may take as long as they take."""

    def __init__(self, database: Database, context: str, config: KafkaConfig, producer: KafkaProducer) -> None:
        self._database = database
        self._context = context
        self._config = config
        self._producer = producer

    async def run(
        self, topic: str, types: Collection[str], told: Callable[[int, int], None], *, again: bool = False
    ) -> int:
        """Put every event of these types on the topic that does not wait for the relay; return how many.

        Raise `Conflict` while a relay of the context runs, `Refused` where the store has none of these events, or the topic
        has records and it is not meant `again`."""
        async with self._database.apart() as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", relay_lock(self._context)):
                raise Conflict("relay_running", f"stop every process with the role relay: one relays {self._context}")
            total = await connection.fetchval(COUNT.format(schema=self._context), list(types))
            if not total:
                raise Refused("nothing_stored", f"{self._context} has stored no event that belongs on {topic}")
            if not again:
                await self._require_empty(topic)
            # It waits for the broker, for longer than transactions may be idle.
            await connection.execute("set idle_in_transaction_session_timeout = 0")
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await self._filled(connection, topic, types, lambda done: told(done, total))

    async def _require_empty(self, topic: str) -> None:
        async with KafkaReader(self._config).open([topic]) as reader:
            beginnings, ends = await reader.beginnings(), await reader.ends()
        if full := sorted(partition for partition, end in ends.items() if end > beginnings[partition]):
            raise Refused(
                "topic_not_empty", f"{full[0][0]}/{full[0][1]} has records; --again puts the events behind them"
            )

    async def _filled(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        topic: str,
        types: Collection[str],
        told: Callable[[int], None],
    ) -> int:
        under_way: deque[Any] = deque()
        done = 0
        cursor = await connection.cursor(STORED.format(schema=self._context), topic, list(types))
        while rows := await cursor.fetch(BATCH):
            under_way.append(self._producer.send_all(_outgoing(topic, rows)))
            if len(under_way) > AHEAD:
                await under_way.popleft()
            done += len(rows)
            told(done)
        while under_way:
            await under_way.popleft()
        return done


def _outgoing(topic: str, rows: Sequence[Any]) -> list[Outgoing]:
    sealed = [(row["body"], _headers(row["headers"])) for row in rows]
    return [Outgoing(topic, dict(headers)["ce_subject"], body, headers) for body, headers in sealed]
