"""Port `EventStore`: the twin and PostgreSQL keep the same promises."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from bounded_contexts.messaging.domain.conversation import ConversationEvent
from headwater.wiring import House
from infra.event_store_postgres import PostgresEventStore
from infra.memory import MemoryEventStore
from schemas.messaging.events import ConversationRenamed, ConversationStarted
from shared_kernel.causation import Cause, because
from shared_kernel.errors import Conflict
from shared_kernel.events import AtomicEventStore

Store = AtomicEventStore[ConversationEvent]

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def started(stream: UUID) -> ConversationStarted:
    members = tuple(sorted((uuid4(), uuid4())))
    return ConversationStarted(
        metadata={},
        conversation_id=stream,
        kind="group",
        title="a",
        started_by=members[0],
        member_ids=members,
        started_at=NOW,
    )


def renamed(stream: UUID, title: str) -> ConversationRenamed:
    return ConversationRenamed(conversation_id=stream, title=title, renamed_by=uuid4(), renamed_at=NOW)


class EventStoreContract:
    async def test_an_unknown_stream_is_empty_at_version_0(self, store: Store) -> None:
        assert await store.load(uuid4()) == ((), 0) or await store.load(uuid4()) == ([], 0)

    async def test_events_come_back_equal_and_in_order(self, store: Store) -> None:
        stream = uuid4()
        events = (started(stream), renamed(stream, "b"), renamed(stream, "ü" * 200))

        await store.append(stream, 0, events[:1])
        await store.append(stream, 1, events[1:])

        loaded, version = await store.load(stream)
        assert tuple(loaded) == events
        assert version == 3

    async def test_appending_nothing_changes_nothing(self, store: Store) -> None:
        stream = uuid4()

        await store.append(stream, 7, ())

        assert (await store.load(stream))[1] == 0

    @pytest.mark.parametrize("version", [0, 2, 5])
    async def test_another_version_than_the_streams_is_a_conflict(self, store: Store, version: int) -> None:
        stream = uuid4()
        await store.append(stream, 0, (started(stream),))

        with pytest.raises(Conflict):
            await store.append(stream, version, (renamed(stream, "b"),))

        assert (await store.load(stream))[1] == 1

    async def test_several_events_are_appended_all_or_none(self, store: Store) -> None:
        stream = uuid4()
        await store.append(stream, 0, (started(stream),))

        with pytest.raises(Conflict):
            await store.append(stream, 0, (started(stream), renamed(stream, "b"), renamed(stream, "c")))

        assert (await store.load(stream))[1] == 1

    async def test_a_stream_as_of_a_time_has_what_was_recorded_by_then(self, store: Store) -> None:
        stream = uuid4()
        before = datetime.now(UTC)
        await store.append(stream, 0, (started(stream), renamed(stream, "b")))
        between = datetime.now(UTC)
        await store.append(stream, 2, (renamed(stream, "c"),))

        events, version = await store.load(stream, between)

        assert [type(event) for event in events] == [ConversationStarted, ConversationRenamed]
        assert version == 2
        assert (await store.load(stream, before))[1] == 0
        assert (await store.load(stream, datetime.now(UTC)))[1] == 3

    async def test_of_many_writers_at_one_version_one_wins(self, store: Store) -> None:
        stream = uuid4()
        await store.append(stream, 0, (started(stream),))

        tries = [store.append(stream, 1, (renamed(stream, str(n)), renamed(stream, str(n)))) for n in range(50)]
        results = await asyncio.gather(*tries, return_exceptions=True)

        assert sum(result is None for result in results) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 49
        events, version = await store.load(stream)
        assert version == 3
        assert events[1] == events[2] or events[1].conversation_id == events[2].conversation_id

    async def test_a_conflict_of_one_does_not_touch_the_others(self, store: Store) -> None:
        taken, *free = [uuid4() for _ in range(20)]
        await store.append(taken, 0, (started(taken),))

        appends = [store.append(stream, 0, (started(stream),)) for stream in (*free[:10], taken, *free[10:])]
        results = await asyncio.gather(*appends, return_exceptions=True)

        assert [index for index, result in enumerate(results) if result is not None] == [10]
        assert all([(await store.load(stream))[1] == 1 for stream in free])

    async def test_several_streams_are_appended_to_all_or_none(self, store: Store) -> None:
        one, other = uuid4(), uuid4()
        await store.append_all(
            [(one, 0, (started(one), renamed(one, "b"))), (other, 0, (started(other),)), (uuid4(), 5, ())]
        )

        with pytest.raises(Conflict):
            await store.append_all([(one, 2, (renamed(one, "c"),)), (other, 0, (renamed(other, "c"),))])

        assert [(await store.load(stream))[1] for stream in (one, other)] == [2, 1]

    async def test_writers_that_want_the_same_streams_in_any_order_wait_for_nobody_for_ever(self, store: Store) -> None:
        streams = [uuid4() for _ in range(4)]
        await store.append_all([(stream, 0, (started(stream),)) for stream in streams])
        wanted = [streams[n % 4 :] + streams[: n % 4] for n in range(40)]

        tries = [
            store.append_all([(each, 1, (renamed(each, str(n)),)) for each in all_]) for n, all_ in enumerate(wanted)
        ]
        results = await asyncio.gather(*tries, return_exceptions=True)

        assert sum(result is None for result in results) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 39
        assert [(await store.load(stream))[1] for stream in streams] == [2] * 4


class TestMemoryEventStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryEventStore()


class TestPostgresEventStore(EventStoreContract):
    @pytest.fixture
    def store(self, house: House) -> Store:
        return PostgresEventStore(house.databases["messaging"], "messaging", house.codec)

    async def test_what_a_block_gathers_is_stored_at_its_end_each_with_its_cause(self, house: House) -> None:
        database, stream = house.databases["messaging"], uuid4()
        store: PostgresEventStore[ConversationEvent] = PostgresEventStore(database, "messaging", house.codec)
        first, second = started(stream), renamed(stream, "b")

        async with database.transaction():
            async with store.gathering():
                with because(Cause("one", "1")):
                    await store.append(stream, 0, (first,))
                with because(Cause("other", "2")):
                    await store.append(stream, 1, (second,))
                assert (await store.load(stream))[1] == 0
            assert tuple((await store.load(stream))[0]) == (first, second)

        async with database.driver() as connection:
            rows = await connection.fetch(
                "select headers::text as h from messaging.event where stream = $1 order by version", stream
            )
        assert ["one" in row["h"] for row in rows] == [True, False]
        assert ["other" in row["h"] for row in rows] == [False, True]

    async def test_a_block_of_which_one_stream_has_moved_on_stores_nothing(self, house: House) -> None:
        database, stream, other = house.databases["messaging"], uuid4(), uuid4()
        store: PostgresEventStore[ConversationEvent] = PostgresEventStore(database, "messaging", house.codec)
        await store.append(stream, 0, (started(stream),))

        async def both() -> None:
            async with database.transaction(), store.gathering():
                await store.append(other, 0, (started(other),))
                await store.append(stream, 0, (renamed(stream, "b"),))

        with pytest.raises(Conflict):
            await both()

        assert [(await store.load(each))[1] for each in (stream, other)] == [1, 0]
