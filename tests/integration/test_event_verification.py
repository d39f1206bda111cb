"""`headwater events verify` and `headwater relay rebuild` on real servers: what is wrong is found, what was lost comes back."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from bounded_contexts.messaging.domain.conversation import ConversationEvent
from headwater import tasks, wiring
from headwater.wiring import House
from infra.consumer import ConsumerRunner
from infra.event_store_postgres import PostgresEventStore
from infra.event_verification import Report
from infra.kafka_reader import KafkaReader, Raw
from infra.outbox_relay import OutboxRelay
from infra.postgres import Database
from tests.contract.test_event_store import renamed, started
from tests.integration.conftest import house_on_its_own_database
from tests.integration.test_group_operations import command, environment
from tests.probes import during, eventually
from tests.servers import Servers
from tests.topics import delete_topics

TOPIC, HISTORY = "conversations", "messaging.history"
STREAMS, EVENTS_EACH = 5, 8

OUTBOX = "select not exists (select from messaging.outbox)"
TABLE = "select * from messaging.conversation order by conversation_id"


@dataclass
class Place:
    """A house with a database of its own, and its messaging."""

    house: House
    owner: Database

    @property
    def store(self) -> PostgresEventStore[ConversationEvent]:
        return PostgresEventStore(self.house.databases["messaging"], "messaging", self.house.codec)

    @property
    def relay(self) -> OutboxRelay:
        return OutboxRelay(self.house.databases["messaging"], "messaging", self.house.bulk)

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self.owner.driver() as connection:
            return list(await connection.fetch(query, *arguments))

    async def fill(self) -> list[UUID]:
        """Have some streams, relayed."""
        streams = [uuid4() for _ in range(STREAMS)]
        for stream in streams:
            await self.store.append(stream, 0, [started(stream)])
        for version in range(1, EVENTS_EACH):
            await asyncio.gather(*(self.store.append(each, version, [renamed(each, str(version))]) for each in streams))
        await self.relayed()
        return streams

    async def relayed(self) -> None:
        """Relay until nothing waits."""
        async with during(self.relay.run()):
            await eventually(lambda: self.fetch(OUTBOX), until=lambda rows: rows[0][0])

    async def records(self) -> list[Raw]:
        """Return what lies on the topic, partition by partition."""
        found: list[Raw] = []
        async with KafkaReader(self.house.kafka).open([TOPIC]) as reader:
            ends = await reader.ends()
            reader.seek(await reader.beginnings())
            async for batch in reader.batches():
                found += batch
                if await reader.positions() == ends:
                    return sorted(found, key=lambda raw: (raw.partition, raw.offset))
        raise AssertionError

    async def send(self, raw: Raw) -> None:
        """Put the record on its topic once more."""
        await self.house.bulk.send(TOPIC, raw.key, raw.value, list(raw.headers))

    async def verified(self) -> Report:
        (report,) = await tasks.verify_events(self.house.settings, ["messaging"], lambda *_: None)
        return report


@pytest.fixture
async def place(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    async with house_on_its_own_database(servers) as (house, owner):
        for name, value in environment(house).items():
            monkeypatch.setenv(name, value)
        yield Place(house, owner)


async def test_what_is_stored_and_relayed_holds(place: Place) -> None:
    await place.fill()

    answer = await command("events", "verify", "--json")

    assert answer.exit_code == 0, answer.output
    reports = {each["context"]: each for each in json.loads(answer.stdout)}
    assert {"messaging", "identity", "realtime"} <= reports.keys()
    assert all(each["holds"] for each in reports.values())
    seen = {name: reports["messaging"][name] for name in ("streams", "events", "records", "waiting", "repeats")}
    events = STREAMS * EVENTS_EACH
    assert seen == {"streams": STREAMS, "events": events, "records": events, "waiting": 0, "repeats": 0}


async def test_what_waits_for_the_relay_and_what_came_twice_is_told_and_no_fault(place: Place) -> None:
    streams = await place.fill()
    await place.send((await place.records())[0])
    await place.store.append(streams[0], EVENTS_EACH, [renamed(streams[0], "a"), renamed(streams[0], "b")])

    report = await place.verified()

    assert report.holds, report.findings
    assert (report.waiting, report.repeats) == (2, 1)


async def test_it_holds_while_events_are_appended_and_relayed(place: Place) -> None:
    await place.fill()
    over = asyncio.Event()

    async def append() -> int:
        count = 0
        while not over.is_set():
            stream = uuid4()
            await place.store.append(stream, 0, [started(stream), renamed(stream, "b")])
            count += 2
        return count

    async with during(place.relay.run()):
        writing = [asyncio.create_task(append()) for _ in range(4)]
        reports = [await place.verified() for _ in range(3)]
        over.set()
        written = sum(await asyncio.gather(*writing))

    assert [report.findings for report in reports] == [[], [], []]
    assert reports[0].events < reports[1].events < reports[2].events <= written + STREAMS * EVENTS_EACH


async def test_every_kind_of_fault_is_found(place: Place) -> None:
    one, two, three, four, five = await place.fill()
    records = {dict(raw.headers)["ce_id"].decode(): raw for raw in await place.records()}

    async def event(stream: UUID, version: int) -> UUID:
        rows = await place.fetch("select id from messaging.event where stream = $1 and version = $2", stream, version)
        return UUID(str(rows[0]["id"]))

    sample = records[str(await event(one, 3))]
    await place.fetch("delete from messaging.event where stream = $1 and version = 3", one)  # gap, and unknown
    await place.fetch("update messaging.event set body = '\\x00' where stream = $1 and version = 2", two)
    await place.store.append(three, EVENTS_EACH, [renamed(three, "lost")])  # missing
    await place.fetch("delete from messaging.outbox")
    for title in ("first", "second"):  # relayed the wrong way round
        await place.store.append(four, EVENTS_EACH + (title == "second"), [renamed(four, title)])
    first, second = [
        (row["key"], row["body"], json.loads(row["headers"]))
        for row in await place.fetch("select key, body, headers::text from messaging.outbox order by id")
    ]
    await place.fetch("delete from messaging.outbox")
    for key, body, headers in (second, first):
        await place.house.bulk.send(TOPIC, key, body, [(name, text.encode()) for name, text in headers])
    await place.fetch("update messaging.event set headers = headers - 0 where stream = $1 and version = 5", five)
    await place.fetch(
        "insert into messaging.outbox (topic, key, body, headers) values ('conversations', 'k', '', $1)",
        json.dumps([["ce_id", str(uuid4())]]),
    )

    answer = await command("events", "verify", "--context", "messaging", "--json")

    assert answer.exit_code == 1
    (report,) = json.loads(answer.stdout)
    expected = {"gap": 1, "unknown": 1, "altered": 2, "missing": 1, "reordered": 1, "leftover": 1}
    assert report["counts"] == expected, report["findings"]
    assert str(await event(three, EVENTS_EACH + 1)) in str(report["findings"])
    assert f"{TOPIC}/{sample.partition}/{sample.offset}" in str(report["findings"])
    told = await command("events", "verify", "--context", "messaging")
    assert "1 missing" in told.output


async def test_a_context_that_is_not_there_is_refused(place: Place) -> None:
    answer = await command("events", "verify", "--context", "nowhere")

    assert answer.exit_code == 1
    assert "context_not_found" in answer.output


async def test_a_lost_topic_is_filled_again_and_its_read_model_rebuilt_from_it(place: Place) -> None:
    streams = await place.fill()
    before = seen(await place.records())
    (history,) = [c for m in place.house.modules for c in m.consumers if c.group == HISTORY]

    def running() -> Any:
        store = place.house.groups["messaging"]
        return during(ConsumerRunner(history, place.house.broker, place.house.codec, store, place.house.bulk).run())

    async def listed() -> list[Any]:
        return await place.fetch(TABLE)

    async with running():
        await eventually(listed, until=lambda rows: sorted({row["title"] for row in rows}) == [str(EVENTS_EACH - 1)])
    table = await listed()

    await asyncio.to_thread(delete_topics, place.house.kafka, TOPIC)
    await place.store.append(streams[0], EVENTS_EACH, [renamed(streams[0], "meanwhile")])
    await eventually(lambda: made_anew(place.house))
    assert (await place.verified()).counts == {"missing": STREAMS * EVENTS_EACH}
    answer = await command("relay", "rebuild", "--context", "messaging", "--topic", TOPIC)
    await place.relayed()

    assert answer.exit_code == 0, answer.output
    assert f"{STREAMS * EVENTS_EACH} event(s)" in answer.stdout
    assert HISTORY in answer.stdout
    after = seen(await place.records())
    assert {stream: records[:EVENTS_EACH] for stream, records in after.items()} == before
    assert len(after[str(streams[0]).encode()]) == EVENTS_EACH + 1
    assert (await place.verified()).findings == []

    await place.fetch('delete from messaging."position" where topic = $1', place.house.kafka.topic(TOPIC))
    async with running():  # it begins anew, and meets what it stored before
        rebuilt = await command("rebuild", HISTORY)
        await eventually(listed, until=lambda rows: "meanwhile" in [row["title"] for row in rows])
    assert rebuilt.exit_code == 0, rebuilt.output
    assert [row for row in await listed() if row["conversation_id"] != streams[0]] == [
        row for row in table if row["conversation_id"] != streams[0]
    ]


async def test_a_topic_is_not_filled_while_it_has_records_or_a_relay_runs_or_nothing_is_stored(place: Place) -> None:
    await place.fill()
    fill = ("relay", "rebuild", "--context", "messaging", "--topic")

    full, foreign, facts = [await command(*fill, topic) for topic in (TOPIC, "users", "messages")]
    async with during(place.relay.run()):
        relaying = place.relay  # another one, which would have to wait
        assert not relaying.sending
        await eventually(lambda: lock_is_held(place))
        held = await command(*fill, TOPIC, "--again")
    again = await command(*fill, TOPIC, "--again")

    assert [each.exit_code for each in (full, foreign, facts, held)] == [1, 1, 1, 1]
    for answer, code in ((full, "topic_not_empty"), (foreign, "topic_not_found"), (facts, "nothing_stored")):
        assert code in answer.output
    assert "relay_running" in held.output
    assert again.exit_code == 0, again.output
    report = await place.verified()
    assert report.holds, report.findings
    assert report.repeats == STREAMS * EVENTS_EACH


async def made_anew(house: House) -> bool:
    """Return whether the topic is there again: the broker needs a moment to forget the former one."""
    reports = await wiring.make_topics(house.settings)
    return all(report.ok for report in reports) and "created" not in {report.outcome for report in reports}


async def lock_is_held(place: Place) -> bool:
    rows = await place.fetch(
        "select 1 from pg_locks where locktype = 'advisory' and granted "
        "and database = (select oid from pg_database where datname = current_database())"
    )
    return bool(rows)


def seen(records: list[Raw]) -> dict[bytes, list[tuple[Any, ...]]]:
    """Return what the records say, by key, in their order."""
    found: dict[bytes, list[tuple[Any, ...]]] = {}
    for raw in records:
        found.setdefault(raw.key, []).append((raw.value, tuple(raw.headers)))
    return found
