"""Compare a context's event store with its topics: nothing is lacking in a stream, and every event is on its topic as it was
stored, in the order of its stream (docs/event-store.md).

The system may run meanwhile, and no transaction stays open: the topics are read up to their ends, then the store; streams of
which something was not found are looked at again, once it is known what waits for the relay and the topics were read on. What
was read of the topics is in a temporary table of the context's database, so that memory does not depend on how much there is.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from infra.envelope import open_headers
from infra.kafka_client import KafkaConfig
from infra.kafka_reader import KafkaReader, OpenReader, Raw
from infra.postgres import Database

BATCH = 1_000  # events
MOST = 100  # findings that are told one by one; the others are only counted
START = UUID(int=0)

TABLES = """
create temporary table seen (id uuid, topic text, partition int, place bigint, digest bytea);
create temporary table left_over (stream uuid, first int, last int);
create temporary table waiting (id uuid)"""
INDEX = "create index on seen (id)"
SEEN = ("id", "topic", "partition", "place", "digest")
COPIES = "select id, topic, partition, place, digest from seen where id = any($1)"
EVENTS = """
select stream, version, id, type, body, headers::text as headers from {schema}.event
where (stream, version) > ($1, $2) order by stream, version limit $3"""
# Whole streams, for the order in them; what was stored after the first look is not asked for.
AGAIN = """
select e.stream, e.version, e.id, e.type, e.body, e.headers::text as headers, l.first
from left_over l join {schema}.event e on e.stream = l.stream and e.version <= l.last
where (e.stream, e.version) > ($1, $2) order by e.stream, e.version limit $3"""
WAITING = """
insert into waiting
select (select (header ->> 1)::uuid from jsonb_array_elements(headers) header where header ->> 0 = 'ce_id' limit 1)
from {schema}.outbox"""
ARE_WAITING = "select id from waiting where id = any($1)"
LEFTOVERS = "select id from waiting w where not exists (select from {schema}.event e where e.id = w.id)"
UNKNOWN = """
select id, topic, partition, place from seen s where not exists (select from {schema}.event e where e.id = s.id)"""

_headers = msgspec.json.Decoder(list[tuple[str, str]]).decode
Told = Callable[[str, int, int], None]  # what is read, how much of it, of how much


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    # gap: a version is lacking. missing: an event is not on its topic. altered: it is there otherwise than it was stored.
    # reordered: before an earlier one of its stream. unknown: a record of an event that is not in the store. leftover: a row
    # of the outbox without an event.
    kind: str
    detail: str


@dataclass(slots=True)
class Report:
    """What one context's event store and its topics look like. Everything committed before `moment` was looked at."""

    context: str
    moment: datetime
    streams: int = 0
    events: int = 0
    records: int = 0  # on the topics, of types that are in the store
    waiting: int = 0  # for the relay
    repeats: int = 0  # records of an event that was there before: allowed, readers go by ids
    counts: Counter[str] = field(default_factory=Counter)  # findings by kind
    findings: list[Finding] = field(default_factory=list)  # the first of them

    @property
    def holds(self) -> bool:
        """Return whether nothing was found."""
        return not self.counts

    def add(self, kind: str, detail: str) -> None:
        """Note a finding."""
        self.counts[kind] += 1
        if len(self.findings) < MOST:
            self.findings.append(Finding(kind, detail))


@dataclass(slots=True)
class _Stream:
    """How far a stream was followed."""

    id: UUID
    version: int = 0
    left_over_from: int | None = None  # the first event that was not found
    places: dict[tuple[str, int], int] = field(default_factory=dict)  # of the last event on each partition


class Verification:
    """One look at one context. For one use."""

    def __init__(
        self, database: Database, context: str, config: KafkaConfig, topics: Mapping[str, str], told: Told
    ) -> None:
        """`topics` says where events of each type belong."""
        self._database = database
        self._context = context
        self._reader = KafkaReader(config)
        self._topics = topics
        self._told = told
        self._types: frozenset[str] = frozenset()

    async def run(self) -> Report | None:
        """Return what was found, or None for a context without an event store. Raise `Unavailable`."""
        async with self._database.apart() as connection:
            if await connection.fetchval("select to_regclass($1)", f"{self._context}.event") is None:
                return None
            await connection.execute(TABLES)
            rows = await connection.fetch(self._query("select distinct type from {schema}.event"))
            self._types = frozenset(row["type"] for row in rows)
            topics = sorted({self._topics[type_] for type_ in self._types if type_ in self._topics})
            if not topics:
                return await self._compared(connection, None)
            async with self._reader.open(topics) as reader:
                reader.seek(await reader.beginnings())
                return await self._compared(connection, reader)

    async def _compared(self, connection: "asyncpg.Connection[asyncpg.Record]", reader: OpenReader | None) -> Report:
        report = Report(self._context, await connection.fetchval("select now()"))
        await self._read(connection, reader, report)
        await connection.execute(INDEX)
        report.moment = await connection.fetchval("select now()")
        look = _Look(connection, report, self._topics)
        total = await connection.fetchval(self._query("select count(*) from {schema}.event"))
        async for events in _batches(connection, self._query(EVENTS)):
            await look.first(events)
            self._told("events", report.events, max(total, report.events))
        await look.end()
        # Whatever of it is no longer in the outbox is on its topic: before the ends that are asked for next.
        await connection.execute(self._query(WAITING))
        report.waiting = await connection.fetchval("select count(*) from waiting")
        await self._read(connection, reader, report)
        async for events in _batches(connection, self._query(AGAIN)):
            await look.again(events)
        for row in await connection.fetch(self._query(LEFTOVERS)):
            report.add("leftover", f"the outbox has a row of an event {row['id']} that is not stored")
        async with connection.transaction():
            async for row in connection.cursor(self._query(UNKNOWN)):
                report.add(
                    "unknown", f"{row['topic']}/{row['partition']}/{row['place']}: event {row['id']} is not stored"
                )
        return report

    async def _read(
        self, connection: "asyncpg.Connection[asyncpg.Record]", reader: OpenReader | None, report: Report
    ) -> None:
        """Go on reading the topics up to where they end now."""
        if reader is None:
            return
        ends = await reader.ends()
        begun = sum((await reader.positions()).values())
        async for batch in reader.batches():
            rows = [row for raw in batch if (row := self._row(reader, raw)) is not None]
            await connection.copy_records_to_table("seen", records=rows, columns=SEEN)
            report.records += len(rows)
            positions = await reader.positions()
            self._told("records", sum(positions.values()) - begun, sum(ends.values()) - begun)
            if all(positions[partition] >= end for partition, end in ends.items()):
                return

    def _row(self, reader: OpenReader, raw: Raw) -> tuple[UUID, str, int, int, bytes] | None:
        envelope = open_headers(raw.headers)
        if envelope.type not in self._types:
            return None
        try:
            id_ = UUID(envelope.id)
        except ValueError:
            id_ = START  # which no event has
        return id_, reader.topic_of(raw), raw.partition, raw.offset, _digest(raw.key, raw.value, raw.headers)

    def _query(self, text: str) -> str:
        return text.format(schema=self._context)


class _Look:
    """Follows the streams through the store, with what was seen on the topics at hand."""

    def __init__(
        self, connection: "asyncpg.Connection[asyncpg.Record]", report: Report, topics: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._report = report
        self._topics = topics
        self._stream = _Stream(START)

    async def first(self, events: Sequence[Any]) -> None:
        """Compare; leave the rest of a stream over from the first event on that was not found."""
        copies = await self._copies(events)
        for event in events:
            if event["stream"] != self._stream.id:
                await self.end()
                self._stream = _Stream(event["stream"])
                self._report.streams += 1
            self._report.events += 1
            self._follow(event)
            if event["id"] not in copies and self._stream.left_over_from is None:
                self._stream.left_over_from = event["version"]
            if self._stream.left_over_from is None:
                self._compare(event, copies[event["id"]], is_told=True)

    async def end(self) -> None:
        """Note what is left over of the stream that was followed, and that it ends here."""
        stream, self._stream = self._stream, _Stream(START)
        if stream.left_over_from is not None:
            rows = [(stream.id, stream.left_over_from, stream.version)]
            await self._connection.copy_records_to_table("left_over", records=rows)

    async def again(self, events: Sequence[Any]) -> None:
        """Compare what was left over, now that all of it has to be there or wait for the relay."""
        copies = await self._copies(events)
        lacking = [event["id"] for event in events if event["id"] not in copies]
        waiting = {row["id"] for row in await self._connection.fetch(ARE_WAITING, lacking)}
        for event in events:
            if event["stream"] != self._stream.id:
                self._stream = _Stream(event["stream"])
            if event["id"] in copies:
                self._compare(event, copies[event["id"]], is_told=event["version"] >= event["first"])
            elif event["id"] not in waiting:
                self._report.add("missing", f"{_named(event)} is not on its topic")

    def _follow(self, event: Any) -> None:
        stream = self._stream
        if event["version"] != stream.version + 1:
            self._report.add("gap", f"stream {stream.id} has version {event['version']} after {stream.version}")
        stream.version = event["version"]

    def _compare(self, event: Any, copies: Sequence[Any], *, is_told: bool) -> None:
        first = min(copies, key=lambda copy: int(copy["place"]))
        partition = (first["topic"], first["partition"])
        before = self._stream.places.get(partition, -1)
        self._stream.places[partition] = first["place"]
        if not is_told:
            return
        self._report.repeats += len(copies) - 1
        if first["place"] < before:
            self._report.add("reordered", f"{_named(event)} lies at {_place(first)}, before an earlier one")
        headers = _headers(event["headers"])
        digest = _digest(dict(headers)["ce_subject"].encode(), event["body"], headers)
        for copy in copies:
            if copy["digest"] != digest or copy["topic"] != self._topics.get(event["type"], copy["topic"]):
                self._report.add("altered", f"{_named(event)} lies at {_place(copy)} otherwise than it was stored")

    async def _copies(self, events: Sequence[Any]) -> dict[UUID, list[Any]]:
        """Return the records of the events by id, of those that have any."""
        found: dict[UUID, list[Any]] = {}
        for row in await self._connection.fetch(COPIES, [event["id"] for event in events]):
            found.setdefault(row["id"], []).append(row)
        return found


async def _batches(connection: "asyncpg.Connection[asyncpg.Record]", query: str) -> AsyncIterator[Sequence[Any]]:
    """Yield rows in the order of streams and versions, each batch by a statement of its own."""
    at: tuple[UUID, int] = (START, 0)
    while rows := await connection.fetch(query, *at, BATCH):
        yield rows
        at = (rows[-1]["stream"], rows[-1]["version"])
        await asyncio.sleep(0)


def _digest(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, str | bytes | None]]) -> bytes:
    """Return what is another one for another record. The relay's own span takes the place of the stored traceparent."""
    digest = blake2b(digest_size=16)
    others = [part for name, text in headers if name != "traceparent" for part in (name, text)]
    for part in (key, value, *others):
        content = part.encode() if isinstance(part, str) else part or b""
        digest.update(len(content).to_bytes(4, "big") + content)
    return digest.digest()


def _named(event: Any) -> str:
    return f"event {event['id']} ({event['type']}, version {event['version']} of stream {event['stream']})"


def _place(copy: Any) -> str:
    return f"{copy['topic']}/{copy['partition']}/{copy['place']}"
