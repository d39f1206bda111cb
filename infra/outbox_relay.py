"""Move rows from a context's outbox to Kafka: in order, at least once, one relay per database (docs/event-store.md).

Rows are deleted when the broker has them and never passed by a high-water mark: ids are given out before commit, so a
lower id can appear after a higher one was sent. A relay that dies in between sends some rows again with the same event
id, and each stream's events come first in their order.
"""

import asyncio
import json
import zlib
from collections.abc import Iterator
from typing import Any

import structlog

from infra import tracing
from infra.crash_points import crash_point
from infra.kafka_producer import KafkaProducer
from infra.metrics import Sample, sample
from infra.outbox_metrics import ACTIVE, RELAYED
from infra.postgres import Database, is_transient

BATCH = 1_000  # rows
NAP_S = 0.01  # while the outbox is empty
AGAIN_S = 0.5  # after a failure
PATIENCE_S = 10 * 365 * 86_400  # with another relay: as long as it lives

NEXT = "select id, topic, key, body, headers::text from {schema}.outbox order by id limit $1"
SENT = "delete from {schema}.outbox where id = any($1)"

log = structlog.get_logger()


class OutboxRelay:
    """Sends one context's events. A second relay of the same context waits for the lock and takes over."""

    def __init__(self, database: Database, schema: str, producer: KafkaProducer) -> None:
        self._database = database
        self._schema = schema
        self._producer = producer
        self._lock = zlib.crc32(f"outbox {schema}".encode())
        self.sending = False  # whether this process holds the lock
        sample(self)

    def samples(self) -> Iterator[Sample]:
        """Yield whether this process is the one that relays."""
        yield ACTIVE, (self._schema,), self.sending

    async def run(self) -> None:
        """Relay until cancelled; after a lost connection begin anew, lock first."""
        while True:
            try:
                async with self._database.driver() as connection:
                    await self._drain(connection)
            except Exception as error:
                if not is_transient(error):
                    log.error("relay.failed", schema=self._schema, exc_info=error)
                await asyncio.sleep(AGAIN_S)
            finally:
                self.sending = False

    async def _drain(self, connection: Any) -> None:
        try:
            await connection.execute("set statement_timeout = 0")
            await connection.execute("select pg_advisory_lock($1)", self._lock, timeout=PATIENCE_S)
            await connection.execute("reset statement_timeout")
            self.sending = True
            while True:
                if not await self._send_batch(connection):
                    await asyncio.sleep(NAP_S)
        finally:
            # The lock ends with its session. Unlocking would not do: a wait that is cancelled here may still be granted
            # there, and the lock would stay with a connection in the pool.
            connection.terminate()

    async def _send_batch(self, connection: Any) -> int:
        rows = await connection.fetch(NEXT.format(schema=self._schema), BATCH)
        if rows:
            crash_point("relay.before-publish")
            with tracing.Spans() as spans:
                sends = [
                    self._producer.send(
                        row["topic"], row["key"], row["body"], spans.send(row["topic"], _headers(row["headers"]))
                    )
                    for row in rows
                ]
                crash_point("relay.after-publish")
                await asyncio.gather(*sends)
            crash_point("relay.after-acknowledgement")
            await connection.execute(SENT.format(schema=self._schema), [row["id"] for row in rows])
            crash_point("relay.after-deletion")
            RELAYED.labels(self._schema).inc(len(rows))
        return len(rows)


def _headers(stored: str) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in json.loads(stored)]
