"""Move rows from a context's outbox to Kafka: in order, at least once, one relay per database (docs/event-store.md).

Rows are deleted when the broker has them and never passed by a high-water mark: ids are given out before commit, so a
lower id can appear after a higher one was sent. What is under way is left out by its ids. A relay that dies in between sends
some rows again with the same event id, and each stream's events come first in their order: the next event of a stream is
stored after the one before it was committed, so nobody reads it without that one.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from infra import tracing
from infra.crash_points import crash_point
from infra.kafka_producer import KafkaProducer, Outgoing
from infra.metrics import Sample, sample
from infra.outbox_metrics import ACTIVE, RELAYED
from infra.postgres import Database, is_transient

BATCH = 1_000  # rows
AHEAD = 1  # batches that are handed over while the broker still writes the one before
NAP_S = 0.01  # while the outbox is empty
DOZE_S = 0.05  # when it has been for long
AWAKE_S = 30.0  # after the last row
AGAIN_S = 0.5  # after a failure
PATIENCE_S = 10 * 365 * 86_400  # with another relay: as long as it lives

# The rows that have been sent go, and the next ones come: one round trip. What goes is still there for the reading.
NEXT = """
with sent as (delete from {schema}.outbox where id = any($1))
select id, topic, key, body, headers::text from {schema}.outbox
where id not in (select unnest($1::bigint[] || $2::bigint[])) order by id limit $3"""

_headers = msgspec.json.Decoder(list[tuple[str, str]]).decode

log = structlog.get_logger()


def relay_lock(schema: str) -> int:
    """Return the advisory lock of whoever sends the context's events."""
    return zlib.crc32(f"outbox {schema}".encode())


class _Batch(NamedTuple):
    """Rows that have been handed over."""

    ids: Sequence[int]
    sent: "asyncio.Future[None]"
    spans: tracing.Spans


class OutboxRelay:
    """Sends one context's events. A second relay of the same context waits for the lock and takes over."""

    def __init__(self, database: Database, schema: str, producer: KafkaProducer) -> None:
        self._database = database
        self._schema = schema
        self._producer = producer
        self._next = NEXT.format(schema=schema)
        self._lock = relay_lock(schema)
        self._relayed = RELAYED.labels(schema)  # at 0 from the beginning: a rate takes two values
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
            await self._relay(connection)
        finally:
            # The lock ends with its session. Unlocking would not do: a wait that is cancelled here may still be granted
            # there, and the lock would stay with a connection in the pool.
            connection.terminate()

    async def _relay(self, connection: Any) -> None:
        """Send for ever. While the broker writes a batch the next is read, and while that is read, one is handed over."""
        rows: Sequence[Any] = ()
        sent: Sequence[int] = ()  # ids of rows that are to be deleted
        under_way: deque[_Batch] = deque()
        now = asyncio.get_running_loop().time
        busy_at = now()
        while True:
            known = [*(row["id"] for row in rows), *(id_ for batch in under_way for id_ in batch.ids)]
            reading = asyncio.create_task(connection.fetch(self._next, sent, known, BATCH))
            try:
                await asyncio.sleep(0)  # the question goes out before the loop is busy with the rows
                if rows:
                    under_way.append(self._handed_over(rows))
                sent_before, sent = sent, ()
                if under_way and (len(rows) < BATCH or len(under_way) > AHEAD):
                    sent = await self._acknowledged(under_way.popleft())
                rows = await reading
            finally:
                reading.cancel()
            if sent_before:
                crash_point("relay.after-deletion")
            if rows or sent or under_way:
                busy_at = now()
            else:
                await asyncio.sleep(NAP_S if now() - busy_at < AWAKE_S else DOZE_S)

    def _handed_over(self, rows: Sequence[Any]) -> _Batch:
        crash_point("relay.before-publish")
        spans = tracing.Spans()
        sent = self._producer.send_all(list(_outgoing(rows, spans)))
        sent.add_done_callback(_noted)
        crash_point("relay.after-publish")
        return _Batch([row["id"] for row in rows], sent, spans)

    async def _acknowledged(self, batch: _Batch) -> Sequence[int]:
        """Return the ids once the broker has the rows."""
        with batch.spans:
            await batch.sent
        crash_point("relay.after-acknowledgement")
        self._relayed.inc(len(batch.ids))
        return batch.ids


def _noted(sent: "asyncio.Future[None]") -> None:
    """Take note of a failure, for a batch that was given up together with one before it."""
    if not sent.cancelled():
        sent.exception()


def _outgoing(rows: Iterable[Any], spans: tracing.Spans) -> Iterator[Outgoing]:
    is_traced = tracing.is_on()
    for _, topic, key, body, stored in rows:
        headers: Sequence[tuple[str, str | bytes]] = _headers(stored)
        if is_traced:
            headers = spans.send(topic, [(name, str(value).encode()) for name, value in headers])
        yield Outgoing(topic, key, body, headers)
