"""What a stream has come to: the same from all of its events and from a kept state, on the twin and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from bounded_contexts.messaging.domain import conversation
from bounded_contexts.messaging.domain.commands import Rename
from bounded_contexts.messaging.domain.conversation import Conversation, ConversationEvent
from headwater.wiring import House
from infra.event_store_postgres import PostgresEventStore
from infra.memory import MemoryEventStore
from infra.migrations import create_event_store, create_snapshot
from infra.postgres import Database
from infra.state_store_postgres import KEEP_EVERY, PostgresStateStore
from shared_kernel.decider import AtVersion, execute, state_of
from shared_kernel.errors import Stale
from shared_kernel.events import AtomicEventStore
from tests.contract.test_event_store import EventStoreContract, renamed, started
from tests.probes import eventually
from tests.servers import Servers

Store = AtomicEventStore[ConversationEvent]
Kept = PostgresStateStore[Conversation, ConversationEvent]
Opened = Callable[..., Kept]


@dataclass(frozen=True)
class Schema:
    """An event store's tables that nobody else uses."""

    name: str
    database: Database

    async def fetch(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        async with self.database.driver() as connection:
            return [tuple(row) for row in await connection.fetch(query.format(schema=self.name), *arguments)]

    async def kept(self, stream: UUID) -> list[int]:
        """Return the versions at which states of the stream are kept."""
        rows = await self.fetch("select version from {schema}.snapshot where stream = $1 order by 1", stream)
        return [int(str(version)) for (version,) in rows]

    async def until_kept(self, stream: UUID, *versions: int) -> None:
        await eventually(lambda: self.kept(stream), until=lambda found: found == list(versions))


@pytest.fixture(scope="module")
async def schema(servers: Servers) -> AsyncIterator[Schema]:
    name = f"kept_{uuid4().hex[:8]}"
    database = Database(servers.database_url)

    def create(connection: sa.Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            create_event_store(name)
            create_snapshot(name)

    async with database.transaction() as connection:
        await connection.execute(sa.text(f"create schema {name}"))
        await connection.run_sync(create)
    yield Schema(name, database)
    async with database.transaction() as connection:
        await connection.execute(sa.text(f"drop schema {name} cascade"))
    await database.close()


@pytest.fixture
def opened(house: House, schema: Schema) -> Opened:
    """Open the store as a process does that knows this class and form of the state."""

    def store(state: type[Conversation] = Conversation, form: int = 1) -> Kept:
        return PostgresStateStore(schema.database, schema.name, house.codec, state, form, ConversationEvent)

    return store


async def written(store: Store, count: int) -> UUID:
    """Return a new stream of so many events, the last of which has given it its number as title."""
    stream = uuid4()
    titles = [renamed(stream, str(number)) for number in range(2, count + 1)]
    await store.append(stream, 0, [started(stream), *titles])
    return stream


class StateContract:
    @pytest.mark.parametrize("events", [1, KEEP_EVERY - 1, KEEP_EVERY, 2 * KEEP_EVERY + 50])
    async def test_the_state_is_what_all_events_make_whenever_it_is_read(self, store: Store, events: int) -> None:
        stream = await written(store, events)
        loaded, version = await store.load(stream)
        state = conversation.INITIAL
        for event in loaded:
            state = conversation.evolve(state, event)

        for _ in range(3):
            assert await state_of(conversation, store, stream) == (state, version)
            await asyncio.sleep(0)

        assert version == events

    async def test_an_unknown_stream_is_at_the_beginning(self, store: Store) -> None:
        assert await state_of(conversation, store, uuid4()) == (conversation.INITIAL, 0)

    async def test_a_command_is_decided_on_the_newest_state(self, store: Store) -> None:
        stream = await written(store, KEEP_EVERY + 10)
        before, _ = await state_of(conversation, store, stream)
        assert before.starter
        ask = Rename(conversation_id=stream, title="new", asker_id=before.starter, at=datetime.now(UTC))

        after, version, events = await execute(conversation, store, stream, ask)

        assert (after.title, version, len(events)) == ("new", KEEP_EVERY + 11, 1)
        assert await state_of(conversation, store, stream) == (after, version)

    async def test_a_state_as_of_a_time_is_the_one_of_then(self, store: Store) -> None:
        stream = await written(store, KEEP_EVERY + 10)
        then = datetime.now(UTC)
        before = await state_of(conversation, store, stream)
        await store.append(stream, KEEP_EVERY + 10, [renamed(stream, "later")])

        assert await state_of(conversation, store, stream, then) == before

    async def test_who_names_a_version_is_told_that_it_has_passed(self, store: Store) -> None:
        stream = await written(store, KEEP_EVERY + 10)
        now = await state_of(conversation, store, stream)

        assert await state_of(conversation, AtVersion(store, KEEP_EVERY + 10), stream) == now
        with pytest.raises(Stale):
            await state_of(conversation, AtVersion(store, KEEP_EVERY), stream)


class TestMemoryEventStore(StateContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryEventStore()


class TestPostgresEventStore(StateContract):
    @pytest.fixture
    def store(self, house: House) -> Store:
        return PostgresEventStore(house.databases["messaging"], "messaging", house.codec)


class TestPostgresStateStore(StateContract, EventStoreContract):
    @pytest.fixture
    def store(self, opened: Opened) -> Store:
        return opened()


async def test_a_kept_state_spares_the_events_before_it(opened: Opened, schema: Schema) -> None:
    store = opened()
    stream = await written(store, KEEP_EVERY)
    before = await state_of(conversation, store, stream)
    await schema.until_kept(stream, KEEP_EVERY)

    await schema.fetch("delete from {schema}.event where stream = $1 and version < $2", stream, KEEP_EVERY)

    assert await state_of(conversation, opened(), stream) == before


async def test_a_state_is_kept_anew_after_as_many_events_again(opened: Opened, schema: Schema) -> None:
    store = opened()
    stream = await written(store, KEEP_EVERY + 1)
    await state_of(conversation, store, stream)
    await schema.until_kept(stream, KEEP_EVERY + 1)

    await store.append(stream, KEEP_EVERY + 1, [renamed(stream, str(number)) for number in range(KEEP_EVERY)])
    await state_of(conversation, store, stream)

    await schema.until_kept(stream, 2 * KEEP_EVERY + 1)


async def test_of_a_short_stream_nothing_is_kept(opened: Opened, schema: Schema) -> None:
    store = opened()
    short, long = await written(store, KEEP_EVERY - 1), await written(store, KEEP_EVERY)

    await state_of(conversation, store, short)
    await state_of(conversation, store, long)

    await schema.until_kept(long, KEEP_EVERY)
    assert await schema.kept(short) == []


async def test_what_is_deleted_is_kept_again(opened: Opened, schema: Schema) -> None:
    store = opened()
    stream = await written(store, KEEP_EVERY)
    before = await state_of(conversation, store, stream)
    await schema.until_kept(stream, KEEP_EVERY)

    await schema.fetch("delete from {schema}.snapshot where stream = $1", stream)

    assert await state_of(conversation, store, stream) == before
    await schema.until_kept(stream, KEEP_EVERY)


async def test_what_a_transaction_takes_back_is_in_no_kept_state(opened: Opened, schema: Schema) -> None:
    store = opened()
    stream = await written(store, KEEP_EVERY + 5)

    async with schema.database.transaction() as connection:
        await store.append(stream, KEEP_EVERY + 5, [renamed(stream, "never")])
        inside = await state_of(conversation, store, stream)
        await schema.until_kept(stream, KEEP_EVERY + 5)
        await connection.rollback()

    assert (inside[0].title, inside[1]) == ("never", KEEP_EVERY + 6)
    assert (await state_of(conversation, store, stream))[0].title == str(KEEP_EVERY + 5)


@dataclass(frozen=True, slots=True)
class Changed(Conversation):
    """A later form of the state: what it counts can only be had from all events."""

    renamed: int = 0


@pytest.mark.parametrize(("state", "form"), [(Conversation, 2), (Changed, 1)], ids=["number", "class"])
async def test_a_state_of_another_form_is_not_read_and_stays_a_day_for_those_who_know_it(
    opened: Opened, schema: Schema, state: type[Conversation], form: int
) -> None:
    old, new = opened(), opened(state, form)
    stream = await written(old, KEEP_EVERY)
    before = await state_of(conversation, old, stream)
    await schema.until_kept(stream, KEEP_EVERY)
    await schema.fetch("update {schema}.snapshot set state = 'not to be read' where stream = $1", stream)

    assert await state_of(conversation, new, stream) == before
    await schema.until_kept(stream, KEEP_EVERY, KEEP_EVERY)

    await schema.fetch(
        "update {schema}.snapshot set kept_at = kept_at - interval '25 hours', version = 1 where stream = $1", stream
    )
    await new.append(stream, KEEP_EVERY, [renamed(stream, str(number)) for number in range(KEEP_EVERY)])
    await state_of(conversation, new, stream)
    await schema.until_kept(stream, 2 * KEEP_EVERY)


async def test_a_kept_state_that_cannot_be_read_is_passed_over_and_replaced(opened: Opened, schema: Schema) -> None:
    store = opened()
    stream = await written(store, KEEP_EVERY)
    before = await state_of(conversation, store, stream)
    await schema.until_kept(stream, KEEP_EVERY)
    await schema.fetch("update {schema}.snapshot set state = 'damaged' where stream = $1", stream)

    assert await state_of(conversation, store, stream) == before

    async def mended() -> bool:
        rows = await schema.fetch("select 1 from {schema}.snapshot where stream = $1 and state <> 'damaged'", stream)
        return bool(rows)

    await eventually(mended)


def test_a_class_that_cannot_be_read_back_is_refused_at_once(house: House, schema: Schema) -> None:
    with pytest.raises(TypeError):
        PostgresStateStore(schema.database, schema.name, house.codec, complex, 1)
