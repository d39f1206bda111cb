"""The relay on real Kafka and PostgreSQL: nothing lost, order per stream, another one takes over."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from bounded_contexts.messaging.domain.conversation import ConversationEvent
from headwater.wiring import House
from infra.event_store_postgres import PostgresEventStore
from infra.kafka_reader import KafkaReader, Raw
from infra.outbox_metrics import watch_outbox
from infra.outbox_relay import OutboxRelay
from schemas.messaging.events import ConversationRenamed, ConversationStarted
from shared_kernel.causation import Cause, because
from tests.integration.conftest import house_on_its_own_database
from tests.integration.test_metrics import until, value
from tests.probes import during, eventually
from tests.servers import Servers

Store = PostgresEventStore[ConversationEvent]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN = UUID(int=1)
WRITERS, EVENTS_EACH, SLOW = 16, 25, 4


@pytest.fixture(scope="module")
async def house(servers: Servers) -> AsyncIterator[House]:
    """A house with a database of its own: the other tests' relay holds the lock of theirs."""
    async with house_on_its_own_database(servers) as (house, _):
        yield house


@pytest.fixture
def store(house: House) -> Store:
    return PostgresEventStore(house.databases["messaging"], "messaging", house.codec)


@asynccontextmanager
async def relaying(house: House) -> AsyncIterator[OutboxRelay]:
    """Run one relay while the block lasts."""
    relay = OutboxRelay(house.databases["messaging"], "messaging", house.bulk)
    async with during(relay.run()):
        yield relay


def events_of(stream: UUID, count: int) -> list[ConversationEvent]:
    """Return what happens in a stream: its start, then one title after the other."""
    started = ConversationStarted(
        metadata={}, conversation_id=stream, kind="group", title="0", started_by=ANN, member_ids=(ANN,), started_at=NOW
    )
    titles = [
        ConversationRenamed(conversation_id=stream, title=str(n), renamed_by=ANN, renamed_at=NOW)
        for n in range(1, count)
    ]
    return [started, *titles]


async def append_one_by_one(store: Store, events: Sequence[ConversationEvent], version: int = 0) -> None:
    for number, event in enumerate(events, version):
        await store.append(event.conversation_id, number, [event])


async def heard(house: House, streams: Collection[UUID], count: int) -> list[Raw]:
    """Return the streams' records, once there are `count` different events or more, without repeats."""
    found: dict[bytes, Raw] = {}
    keys = {str(stream).encode() for stream in streams}
    async with asyncio.timeout(30), KafkaReader(house.kafka).open(["conversations"]) as reader:
        reader.seek(await reader.beginnings())
        async for batch in reader.batches():
            for raw in batch:
                if raw.key in keys:
                    found.setdefault(dict(raw.headers)["ce_id"], raw)
            if len(found) >= count:
                break
    return list(found.values())


def of_stream(house: House, records: Sequence[Raw], stream: UUID) -> list[object]:
    return [house.codec.decode(raw.value) for raw in records if raw.key == str(stream).encode()]


async def waiting(house: House) -> int:
    """Return how many rows are in the outbox."""
    async with house.databases["messaging"].transaction() as connection:
        return int(await connection.scalar(sa.text("select count(*) from messaging.outbox")) or 0)


async def kill_the_relays_connection(house: House, killed: set[int]) -> None:
    """End the backend that holds the lock, once one does that was not ended before."""
    holder = """select pid from pg_locks where locktype = 'advisory' and granted
                and database = (select oid from pg_database where datname = current_database())"""

    async def kill() -> bool:
        async with house.databases["messaging"].transaction() as connection:
            pid = await connection.scalar(sa.text(holder))
            if pid is None or pid in killed:
                return False
            killed.add(pid)
            return bool(await connection.scalar(sa.text(f"select pg_terminate_backend({pid})")))

    await eventually(kill)


async def is_sending(relay: OutboxRelay) -> bool:
    return relay.sending


async def test_events_reach_their_topic_in_the_order_of_their_stream(house: House, store: Store) -> None:
    streams = [uuid4() for _ in range(5)]

    async with relaying(house):
        await asyncio.gather(*(append_one_by_one(store, events_of(stream, 10)) for stream in streams))
        together = uuid4()
        await store.append(together, 0, events_of(together, 10))
        records = await heard(house, [*streams, together], 60)

    for stream in (*streams, together):
        assert of_stream(house, records, stream) == events_of(stream, 10)


async def test_headers_say_which_event_it_is_and_what_caused_it(house: House, store: Store) -> None:
    stream, actor, trace = uuid4(), uuid4(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    with because(Cause("the request", "the command", trace, actor)):
        await store.append(stream, 0, events_of(stream, 1))
    async with relaying(house):
        (record,) = await heard(house, [stream], 1)

    async with house.databases["messaging"].transaction() as connection:
        stored = await connection.scalar(sa.text("select id from messaging.event where stream = :s"), {"s": stream})
    headers = {name: value.decode() for name, value in record.headers}
    assert headers.pop("ce_time").endswith("Z")
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": str(stored),
        "ce_type": ConversationStarted.NAME,
        "ce_source": "/headwater/messaging",
        "ce_subject": str(stream),
        "content-type": "application/avro",
        "ce_correlationid": "the request",
        "ce_causationid": "the command",
        "ce_actor": str(actor),
        "traceparent": trace,
    }


async def test_what_was_sent_leaves_the_outbox(house: House, store: Store) -> None:
    stream = uuid4()
    async with relaying(house):
        await eventually(lambda: waiting(house), until=lambda count: count == 0)
    await append_one_by_one(store, events_of(stream, 3))
    before = await waiting(house)

    async with relaying(house):
        await eventually(lambda: waiting(house), until=lambda count: count == 0)

    assert before == 3
    assert of_stream(house, await heard(house, [stream], 3), stream) == events_of(stream, 3)


async def test_what_was_written_while_no_relay_ran_is_sent_by_the_next(house: House, store: Store) -> None:
    stream = uuid4()
    await append_one_by_one(store, events_of(stream, 5))

    async with relaying(house):
        records = await heard(house, [stream], 5)

    assert of_stream(house, records, stream) == events_of(stream, 5)


async def test_of_two_relays_one_sends_and_the_other_takes_over_when_it_ends(house: House, store: Store) -> None:
    stream = uuid4()
    events = events_of(stream, 10)

    async with relaying(house) as second:
        await eventually(lambda: is_sending(second))
        async with relaying(house) as first:
            await append_one_by_one(store, events[:5])
            await heard(house, [stream], 5)
            both = (first.sending, second.sending)
        async with relaying(house) as third:
            await append_one_by_one(store, events[5:7], version=5)
            await heard(house, [stream], 7)
            while_second_lived = third.sending
            assert second.sending
    async with relaying(house) as last:
        await append_one_by_one(store, events[7:], version=7)
        records = await heard(house, [stream], 10)
        assert last.sending

    assert both == (False, True)
    assert not while_second_lived
    assert of_stream(house, records, stream) == events


async def test_the_waiting_relay_takes_over_at_once(house: House, store: Store) -> None:
    stream = uuid4()

    first = relaying(house)
    leaving = await first.__aenter__()
    await eventually(lambda: is_sending(leaving))
    async with relaying(house) as second:
        await append_one_by_one(store, events_of(stream, 2))
        await heard(house, [stream], 2)
        waited = not second.sending
        await first.__aexit__(None, None, None)
        await eventually(lambda: is_sending(second))
        await append_one_by_one(store, events_of(stream, 4)[2:], version=2)
        records = await heard(house, [stream], 4)

    assert waited
    assert not leaving.sending
    assert of_stream(house, records, stream) == events_of(stream, 4)


async def test_many_writers_and_slow_transactions_lose_nothing_and_keep_each_streams_order(
    house: House, store: Store
) -> None:
    streams, slow = [uuid4() for _ in range(WRITERS)], [uuid4() for _ in range(SLOW)]
    release, drawn = asyncio.Event(), asyncio.Semaphore(0)

    async def hold_an_early_id(stream: UUID) -> None:
        """Draw outbox ids before all others and commit them after all others were sent."""
        async with house.databases["messaging"].transaction():
            await store.append(stream, 0, events_of(stream, 3)[:2])
            drawn.release()
            await release.wait()
        await append_one_by_one(store, events_of(stream, 3)[2:], version=2)

    async with relaying(house):
        holders = [asyncio.create_task(hold_an_early_id(stream)) for stream in slow]
        for _ in slow:
            await drawn.acquire()
        async with relaying(house):
            await asyncio.gather(*(append_one_by_one(store, events_of(stream, EVENTS_EACH)) for stream in streams))
            await heard(house, streams, WRITERS * EVENTS_EACH)
        release.set()
        await asyncio.gather(*holders)
        records = await heard(house, [*streams, *slow], WRITERS * EVENTS_EACH + SLOW * 3)
        await eventually(lambda: waiting(house), until=lambda count: count == 0)

    for stream in streams:
        assert of_stream(house, records, stream) == events_of(stream, EVENTS_EACH)
    for stream in slow:
        assert of_stream(house, records, stream) == events_of(stream, 3)


async def test_relays_that_come_and_go_amid_writers_lose_nothing_and_keep_each_streams_order(
    house: House, store: Store
) -> None:
    streams = [uuid4() for _ in range(WRITERS)]
    done = asyncio.Event()

    async def come_and_go() -> None:
        while not done.is_set():
            async with relaying(house) as relay:
                await eventually(lambda: is_sending(relay))
                await asyncio.sleep(0)

    relays = [asyncio.create_task(come_and_go()) for _ in range(2)]
    await asyncio.gather(*(append_one_by_one(store, events_of(stream, EVENTS_EACH)) for stream in streams))
    done.set()
    await asyncio.gather(*relays)
    async with relaying(house):
        records = await heard(house, streams, WRITERS * EVENTS_EACH)

    for stream in streams:
        assert of_stream(house, records, stream) == events_of(stream, EVENTS_EACH)


async def test_a_relay_whose_connection_is_killed_begins_anew(house: House, store: Store) -> None:
    stream, kills = uuid4(), 10  # more than the pool has connections: none of the dead ones may come back
    events = events_of(stream, kills)

    killed: set[int] = set()

    async with relaying(house):
        for number in range(kills):
            await kill_the_relays_connection(house, killed)
            await append_one_by_one(store, events[number : number + 1], version=number)
        records = await heard(house, [stream], kills)

    assert of_stream(house, records, stream) == events


async def test_of_two_relays_the_other_goes_on_when_ones_connection_is_killed(house: House, store: Store) -> None:
    stream = uuid4()

    async with relaying(house) as first:
        await eventually(lambda: is_sending(first))
        async with relaying(house) as second:
            await kill_the_relays_connection(house, set())
            await eventually(lambda: is_sending(second))
            await append_one_by_one(store, events_of(stream, 5))
            records = await heard(house, [stream], 5)

    assert of_stream(house, records, stream) == events_of(stream, 5)


async def test_an_outbox_that_nobody_relays_grows_old_in_sight(house: House) -> None:
    database = house.databases["messaging"]
    store: PostgresEventStore[ConversationRenamed] = PostgresEventStore(database, "messaging", house.codec)

    def waiting() -> float:
        return value("headwater_outbox_records", context="messaging")

    async with database.driver() as connection:
        await connection.execute("delete from messaging.outbox")
    for _ in range(3):
        renamed = ConversationRenamed(
            conversation_id=uuid4(), title="t", renamed_by=uuid4(), renamed_at=datetime.now(UTC)
        )
        await store.append(renamed.conversation_id, 0, (renamed,))

    async with during(watch_outbox(database, "messaging")):
        await until(waiting, 3)
    assert 0 < value("headwater_outbox_oldest_age_seconds", context="messaging") < 60

    before = value("headwater_relay_records_total", context="messaging")
    active = value("headwater_relay_active", context="messaging")  # the suite's own relay, perhaps
    relay = OutboxRelay(database, "messaging", house.bulk)
    async with during(relay.run()):
        await until(lambda: value("headwater_relay_records_total", context="messaging"), before + 3)
        assert value("headwater_relay_active", context="messaging") == active + 1
    async with during(watch_outbox(database, "messaging")):
        await until(waiting, 0)
    assert value("headwater_outbox_oldest_age_seconds", context="messaging") == 0
