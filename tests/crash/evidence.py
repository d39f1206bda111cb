"""What there is after a run, read past our code: Kafka by aiokafka and fastavro, tables by SQL, histories over REST."""

import json
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import asyncpg
import fastavro
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.crash.history import Operation

TOPICS = ("messages", "conversations", "notifications")
PAGE = 200
HEADER = 5  # bytes before the Avro datum: a zero and the id of its schema
Partition = tuple[str, int]
Row = dict[str, Any]

# One statement sees one moment.
MOMENT = """
select json_build_object(
  'positions', (select json_agg(json_build_array(topic, partition, next)) from {schema}.position where consumer = $1),
  'counts', (select json_object_agg(conversation_id, n) from
             (select conversation_id, count(*) n from {schema}.{table} group by 1) c))"""
EFFECTS = {"messaging.history": ("messaging", "message"), "notifications.inbox": ("notifications", "entry")}


@dataclass(frozen=True, slots=True)
class Event:
    """A record as it lies on its topic, the topic named without prefix."""

    topic: str
    partition: int
    offset: int
    key: str
    id: str
    type: str  # without its name space
    data: Row


@dataclass(frozen=True, slots=True)
class Moment:
    """A group's positions and what it had stored, at one moment of the run."""

    group: str
    positions: Mapping[Partition, int]
    counts: Mapping[str, int]  # rows of each conversation


@dataclass(frozen=True, slots=True)
class Heard:
    """What a socket heard, in that order; ids that were heard before are left out."""

    type: str
    conversation: str
    name: str  # the text


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything the checker judges by. Ids are text."""

    operations: list[Operation]
    events: list[Event]  # each partition in its order
    ends: dict[Partition, int]
    messages: list[Row]
    entries: list[Row]
    titles: dict[str, str]
    stored: list[Row]  # the event store, by stream and version
    outbox: int
    positions: list[Row]
    dead: list[Row]
    histories: dict[tuple[str, str], list[Row]]  # (reader, conversation) → as REST shows it, oldest first
    unread: dict[str, tuple[int, int]]  # user → all and unread, by REST
    heard: dict[str, list[Heard]] = field(default_factory=dict)  # user → by socket
    moments: list[Moment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to read."""

    kafka: str
    prefix: str
    database_url: str
    registry_url: str
    rest: Callable[[str], httpx.AsyncClient]  # of a user


async def collect(sources: Sources, operations: list[Operation]) -> Evidence:
    """Read everything. Nothing may be at work any more."""
    tables = await _tables(sources)
    dead = {(row["topic"], row["partition"], row["place"]) for row in tables["dead"]}
    events, ends = await read(sources, TOPICS, dead)
    said = {each.data["conversation_id"]: each.data for each in events if each.type == "MessageSent"}
    histories: dict[tuple[str, str], list[Row]] = {}
    people: set[str] = set()
    for conversation, data in said.items():
        members = sorted([data["sender_id"], *data["recipient_ids"]])
        people.update(members)
        for reader in members[:2]:
            histories[reader, conversation] = await _history(sources.rest(reader), conversation)
    unread = {each: await _counts(sources.rest(each)) for each in sorted(people)}
    return Evidence(operations=operations, events=events, ends=ends, histories=histories, unread=unread, **tables)


async def moment(connection: "asyncpg.Connection[asyncpg.Record]", group: str, prefix: str) -> Moment:
    """Return where a group stands and what it has stored right now."""
    schema, table = EFFECTS[group]
    found = json.loads(await connection.fetchval(MOMENT.format(schema=schema, table=table), group))
    positions = {(topic.removeprefix(prefix), number): next_ for topic, number, next_ in found["positions"] or ()}
    return Moment(group, positions, found["counts"] or {})


async def read(
    sources: Sources, topics: Iterable[str], dead: Set[tuple[str, int, int]] = frozenset()
) -> tuple[list[Event], dict[Partition, int]]:
    """Return what lies on the topics but the dead, which need not be events, and where the topics end."""
    schemas: dict[int, Any] = {}
    events: list[Event] = []
    consumer = AIOKafkaConsumer(bootstrap_servers=sources.kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(*each) for each in await partitions(sources, topics)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        async with httpx.AsyncClient() as http:
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    alive = [each for each in records if (each.topic, each.partition, each.offset) not in dead]
                    events += [await _event(each, sources, schemas, http) for each in alive]
    finally:
        await consumer.stop()
    events.sort(key=lambda each: (each.topic, each.partition, each.offset))
    return events, {(place.topic.removeprefix(sources.prefix), place.partition): end for place, end in ends.items()}


async def partitions(sources: Sources, topics: Iterable[str] = TOPICS) -> list[Partition]:
    """Return the partitions of our topics, by their names on the broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=sources.kafka)
    await admin.start()
    try:
        found = await admin.describe_topics([sources.prefix + topic for topic in topics])
        return sorted((each["topic"], place["partition"]) for each in found for place in each["partitions"])
    finally:
        await admin.close()


async def _event(record: Any, sources: Sources, schemas: dict[int, Any], http: httpx.AsyncClient) -> Event:
    schema = int.from_bytes(record.value[1:HEADER], "big")
    if schema not in schemas:
        answer = await http.get(f"{sources.registry_url}/schemas/ids/{schema}")
        schemas[schema] = fastavro.parse_schema(json.loads(answer.raise_for_status().json()["schema"]))
    data: Any = fastavro.schemaless_reader(BytesIO(record.value[HEADER:]), schemas[schema])
    headers = {name: value.decode() for name, value in record.headers}
    return Event(
        record.topic.removeprefix(sources.prefix),
        record.partition,
        record.offset,
        record.key.decode(),
        headers["ce_id"],
        headers["ce_type"].rpartition(".")[2],
        as_text(data),
    )


async def _tables(sources: Sources) -> dict[str, Any]:
    connection = await asyncpg.connect(sources.database_url)

    async def rows(query: str) -> list[Row]:
        return [as_text(dict(row)) for row in await connection.fetch(query)]

    def of_both(columns: str, table: str) -> str:
        return " union all ".join(
            f"select {columns} from {schema}.{table}" for schema in ("messaging", "notifications")
        )

    try:
        positions = await rows(of_both('consumer as "group", topic, partition, next, beyond', "position"))
        return {
            "messages": await rows("select * from messaging.message order by conversation_id, seq"),
            "entries": await rows("select * from notifications.entry"),
            "titles": {
                row["conversation_id"]: row["title"]
                for row in await rows(
                    "select conversation_id, title from messaging.conversation where title is not null"
                )
            },
            "stored": await rows("select stream, version, id from messaging.event order by stream, version"),
            "outbox": await connection.fetchval("select count(*) from messaging.outbox"),
            "positions": [row | {"topic": row["topic"].removeprefix(sources.prefix)} for row in positions],
            "dead": await rows(of_both('consumer as "group", topic, partition, place, error', "dead_letter")),
        }
    finally:
        await connection.close()


async def _history(api: httpx.AsyncClient, conversation: str) -> list[Row]:
    shown: list[Row] = []
    cursor: dict[str, str] = {}
    while True:
        query = {"order": "oldest", "limit": str(PAGE)} | cursor
        answer = await api.get(f"/conversations/{conversation}/messages", params=query)
        if answer.status_code == httpx.codes.NOT_FOUND:  # nothing of it is stored
            return shown
        page = answer.raise_for_status().json()
        shown += page["data"]
        if not page["page"]["next_cursor"]:
            return shown
        cursor = {"cursor": page["page"]["next_cursor"]}


async def _counts(api: httpx.AsyncClient) -> tuple[int, int]:
    counts = (await api.get("/notifications/counts")).raise_for_status().json()
    return counts["total"], counts["unread"]


def as_text(row: Mapping[str, Any]) -> Row:
    """Return the row with ids and what else is no plain value as text, times as they are."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, type(None), bool)):
        return value
    if isinstance(value, Mapping):
        return as_text(value)
    if isinstance(value, Iterable):
        return [_plain(each) for each in value]
    return str(value) if not hasattr(value, "timestamp") else value
