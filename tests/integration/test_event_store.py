"""The event store on real PostgreSQL: transactions that go on after a conflict, writers of several processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import asyncpg
import pytest

from bounded_contexts.messaging.domain.conversation import ConversationEvent
from headwater.wiring import House, context_database
from infra.event_store_postgres import PostgresEventStore
from infra.postgres import Database
from schemas.messaging.events import ConversationRenamed
from shared_kernel.errors import Conflict
from tests.contract.test_event_store import renamed, started
from tests.probes import eventually

Store = PostgresEventStore[ConversationEvent]

IN_THE_WAY = """
insert into messaging.event (stream, version, id, type, body, recorded_at, headers)
values ($1, 1, gen_random_uuid(), '', '', now(), '[]')"""
WAITING = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into messaging.event%'"""


@pytest.fixture
def database(house: House) -> Database:
    return house.databases["messaging"]


@pytest.fixture
def store(house: House, database: Database) -> Store:
    return PostgresEventStore(database, "messaging", house.codec)


@pytest.fixture
async def processes(house: House) -> AsyncIterator[list[Store]]:
    """Two stores that share nothing, as those of two processes."""
    databases = [context_database(house.settings, "messaging", "messaging") for _ in range(2)]
    yield [PostgresEventStore(each, "messaging", house.codec) for each in databases]
    for each in databases:
        await each.close()


async def test_a_transaction_that_goes_on_after_a_conflict_commits_no_half_of_the_append(
    store: Store, database: Database
) -> None:
    stream, other, third = uuid4(), uuid4(), uuid4()
    await store.append(stream, 0, (started(stream),))

    async with database.transaction():
        await store.append(other, 0, (started(other), renamed(other, "b")))
        with pytest.raises(Conflict):  # its second event has room where the stream ends
            await store.append(stream, 0, (started(stream), renamed(stream, "b"), renamed(stream, "c")))
        with pytest.raises(Conflict):
            await store.append_all([(third, 0, (started(third),)), (stream, 0, (started(stream),))])
        await store.append(stream, 1, (renamed(stream, "d"),))

    events, version = await store.load(stream)
    assert version == 2
    assert isinstance(events[1], ConversationRenamed)
    assert events[1].title == "d"
    assert (await store.load(other))[1] == 2
    assert (await store.load(third))[1] == 0


async def test_group_commits_of_two_processes_that_hold_the_same_streams_in_opposite_order_all_succeed_or_conflict(
    house: House, processes: list[Store]
) -> None:
    """Both are stopped half way by a third one: were streams taken as given, each would then wait for the other."""
    streams = sorted(uuid4() for _ in range(9))
    async with AsyncExitStack() as stack:
        foreign = await stack.enter_async_context(house.databases["messaging"].apart())
        watching = await stack.enter_async_context(house.databases["messaging"].apart())
        transaction = foreign.transaction()
        await transaction.start()
        await foreign.execute(IN_THE_WAY, streams[len(streams) // 2])
        groups = [
            asyncio.create_task(appended(store, order))
            for store, order in zip(processes, (streams, streams[::-1]), strict=True)
        ]
        await eventually(lambda: waiting(watching), until=lambda count: count == len(groups))
        await transaction.rollback()
        first, second = await asyncio.gather(*groups)

    outcomes = [first, second[::-1]]
    assert all({one, other} == {"stored", "conflict"} for one, other in zip(*outcomes, strict=True)), outcomes
    assert [(await processes[0].load(stream))[1] for stream in streams] == [2] * len(streams)


async def appended(store: Store, streams: list[UUID]) -> list[str]:
    """Append to all streams at once, two events each, and say what became of each."""

    async def one(stream: UUID) -> str:
        try:
            await store.append(stream, 0, (started(stream), renamed(stream, "b")))
        except Conflict:
            return "conflict"
        return "stored"

    return list(await asyncio.gather(*(one(stream) for stream in streams)))


async def waiting(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    return int(await connection.fetchval(WAITING))
