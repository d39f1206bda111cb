"""What the suite of the consumer runtime needs of a broker and a database: the twins in memory, or Kafka and PostgreSQL."""

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, ClassVar, cast
from uuid import UUID, uuid4, uuid5

import pytest
import pytest_asyncio
import sqlalchemy as sa
from confluent_kafka.admin import AdminClient

from headwater.wiring import House
from infra.avro import Codec
from infra.broker import Broker, Producer
from infra.consumer import ConsumerRunner
from infra.dead_letters import Choice, Letter, MemoryDeadLetters, PostgresDeadLetters
from infra.envelope import Headers, seal
from infra.group_control import MemoryGroupControl, PostgresGroupControl
from infra.handled import MemoryHandled
from infra.kafka_client import KafkaConfig
from infra.kafka_consumer import KafkaBroker, KafkaConsumer
from infra.kafka_reader import KafkaReader
from infra.member import GroupStore, dead_letter_topic
from infra.memory_broker import MemoryBroker, MemoryConsumer
from infra.memory_database import MemoryDatabase, MemoryTable
from infra.positions import MemoryPositions, Progress
from infra.postgres import Database
from infra.topics import ensure_topics
from schemas.messaging.events import MessageSent
from shared_kernel.events import Position
from shared_kernel.module import Consumer, Handler, Topic, on
from shared_kernel.records import Record
from tests.contract.test_event_log import sent
from tests.probes import during, eventually
from tests.topics import delete_topics
from tests.unit.test_avro import MemoryRegistry, started
from tests.virtual_time import skip_waits

PARTITIONS = 3
CONVERSATIONS = UUID(int=0)

Handle = Callable[[MessageSent], Awaitable[None]]


def key_of(name: str) -> UUID:
    """Return the conversation people call so in a test."""
    return uuid5(CONVERSATIONS, name)


def event(name: str) -> MessageSent:
    """Return the event `key/what`."""
    return sent(key_of(name.partition("/")[0]), name)


def in_order(effects: Iterable[str]) -> dict[str, list[str]]:
    """Return the effects of each key in the order they happened."""
    keyed: dict[str, list[str]] = {}
    for name in effects:
        keyed.setdefault(name.partition("/")[0], []).append(name)
    return keyed


class Rig(ABC):
    """One topic and one group of a test's own, whose members it starts, and a table for the effects."""

    broker: Broker
    producer: Producer
    codec: Codec
    store: GroupStore
    letters: MemoryDeadLetters | PostgresDeadLetters
    control: MemoryGroupControl | PostgresGroupControl
    busy_s: float  # how long a busy loop does not listen to the broker
    joins: int  # how often members come and go in a test about that

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.topic = f"topic{uuid4().hex[:8]}"
        self.group = f"group{uuid4().hex[:8]}"
        self.event = cast("type[MessageSent]", type("Sent", (MessageSent,), {"TOPIC": self.topic, "__slots__": ()}))

    @property
    def full_name(self) -> str:
        """Return the group's name on the broker, by which letters and pauses go."""
        return self.broker.prefix + self.group

    @property
    def declared(self) -> list[Topic]:
        return [Topic(self.topic, PARTITIONS), Topic(dead_letter_topic(self.topic, self.group), 1)]

    def partition(self, number: int) -> tuple[str, int]:
        """Return the partition of the test's topic as the broker calls it."""
        return self.broker.prefix + self.topic, number

    async def publish(self, *names: str) -> list[Position]:
        """Publish the events called so."""
        return [position async for position in self._published(names)]

    async def _published(self, names: Sequence[str]) -> AsyncIterator[Position]:
        sealed = [(each, self.codec.encode(each), seal(each)) for each in map(event, names)]
        futures = [self.send(str(each.conversation_id), value, headers) for each, value, headers in sealed]
        for future in futures:
            yield await future

    def send(self, key: str | bytes | None, value: bytes | None, headers: Headers) -> "asyncio.Future[Position]":
        """Put a record on the test's topic."""
        return self.producer.send(self.topic, key, value, headers)

    def record(self, name: str, at: Position) -> Record:
        """Return the event's record as it is delivered."""
        each, place = event(name), self.partition(at.partition)
        return Record(*place, at.offset, str(each.conversation_id).encode(), self.codec.encode(each), seal(each), -1)

    @asynccontextmanager
    async def member(self, *handle: Handle | Handler, **declared: Any) -> AsyncIterator[ConsumerRunner]:
        """Run a member of the group while the block lasts; it must not end by itself."""
        runner = self.runner(*handle, **declared)
        async with during(runner.run()):
            yield runner

    def runner(self, *handle: Handle | Handler, **declared: Any) -> ConsumerRunner:
        handlers = tuple(each if isinstance(each, Handler) else on(self.event, each) for each in handle)
        consumer = Consumer(self.group, handlers, **({"lanes": self.lanes} | declared))
        return ConsumerRunner(consumer, self.broker, self.codec, self.store, self.producer)

    async def until(self, count: int) -> list[str]:
        """Return the effects once there are so many, or more."""
        return await eventually(self.effects, until=lambda found: len(found) >= count)

    async def buried(self, count: int) -> list[Letter]:
        """Return the dead letters once there are so many, or more."""
        return await eventually(
            lambda: self.letters.chosen(self.full_name, Choice()), until=lambda found: len(found) >= count
        )

    async def emptied(self) -> None:
        """Return when no dead letter is left."""
        await eventually(lambda: self.letters.count(self.full_name, Choice()), until=lambda letters: letters == 0)

    async def stands(self, ends: dict[tuple[str, int], int]) -> None:
        """Return when the group has stored that it is there."""
        await eventually(lambda: self.store.positions.load(self.group), until=lambda found: found == ends)

    async def takes_over(self) -> None:
        """Claim all partitions as another member would."""
        await self.store.positions.claim(self.group, map(self.partition, range(PARTITIONS)))

    async def moved(self, change: Callable[[Progress], Progress], number: int) -> None:
        """Move the group in one partition, as operators do."""
        at = self.partition(number)
        claimed = (await self.store.positions.claim(self.group, [at]))[at]
        await self.store.positions.advance(self.group, {at: change(claimed)})

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[object]: ...

    @abstractmethod
    async def note(self, name: str) -> None:
        """Have an effect, in the surrounding transaction if there is one."""

    @abstractmethod
    async def effects(self) -> list[str]:
        """Return the effects that are committed, in their order."""

    @abstractmethod
    async def on_letter_topic(self, count: int) -> list[tuple[bytes | None, bytes | None, Headers]]:
        """Return key, value and headers of what lies on the group's dead-letter topic, once there is so much."""

    @abstractmethod
    async def made_anew(self) -> None:
        """Drop the topic and make it again, empty."""

    @abstractmethod
    def stall(self, runner: ConsumerRunner) -> Callable[[], None]:
        """Make the member read no more, so that its partitions go to others. Return what ends that."""


class MemoryRig(Rig):
    joins = 20
    busy_s = 0.0

    async def start(self) -> None:
        self.database = MemoryDatabase()
        self._effects: MemoryTable[int, str] = MemoryTable(self.database)
        self._count = 0
        positions = MemoryPositions(self.database)
        self.letters = MemoryDeadLetters(self.database, positions)
        self.control = MemoryGroupControl()
        self.store = GroupStore(positions, self.letters, self.control, MemoryHandled(self.database))
        self.memory = self.broker = self.producer = MemoryBroker("t.")
        self.codec = await started(MemoryRegistry())
        for topic in self.declared:
            self.memory.make(topic.name, topic.partitions)

    def transaction(self) -> AbstractAsyncContextManager[object]:
        return self.database.transaction()

    async def note(self, name: str) -> None:
        async with self.database.transaction():
            self._count += 1
            self._effects.write(self._count, name)

    async def effects(self) -> list[str]:
        return [name for _, name in sorted(self._effects.rows().items())]

    async def on_letter_topic(self, count: int) -> list[tuple[bytes | None, bytes | None, Headers]]:
        async def lying() -> list[tuple[bytes | None, bytes | None, Headers]]:
            topic = self.memory.prefix + dead_letter_topic(self.topic, self.group)
            return [
                (each.key, each.value, [(name, value or b"") for name, value in each.headers])
                for each in self.memory.log_of((topic, 0))
            ]

        return await eventually(lying, until=lambda found: len(found) >= count)

    async def made_anew(self) -> None:
        self.memory.make(self.topic, PARTITIONS)

    def stall(self, runner: ConsumerRunner) -> Callable[[], None]:
        consumer = runner._kafka
        assert isinstance(consumer, MemoryConsumer)
        consumer.stall()
        return consumer.recover


@dataclass(frozen=True, slots=True)
class ImpatientKafka(KafkaConfig):
    """Whoever does not poll for three seconds is out of the group."""

    def confluent(self) -> dict[str, Any]:
        return KafkaConfig.confluent(self) | {"max.poll.interval.ms": 3000}


class ServerRig(Rig):
    joins = 4
    busy_s = 0.1

    def __init__(self, lanes: int, house: House) -> None:
        super().__init__(lanes)
        self.house = house
        self.codec, self.producer = house.codec, house.bulk
        fields = {name: getattr(house.kafka, name) for name in KafkaConfig.__slots__}
        self.config = ImpatientKafka(**fields)
        self.broker = KafkaBroker(self.config)
        self.store = house.groups["messaging"]
        assert isinstance(self.store.letters, PostgresDeadLetters)
        assert isinstance(self.store.control, PostgresGroupControl)
        self.letters, self.control = self.store.letters, self.store.control
        self._table = f"messaging.{self.group}"
        url = house.settings.database_url
        assert url
        self._owner = Database(url.get_secret_value())
        self._stalls: list[threading.Event] = []

    async def start(self) -> None:
        await ensure_topics(self.config, self.declared, 1)
        async with self._owner.transaction() as connection:
            columns = "place bigint generated always as identity, name text"
            await connection.execute(sa.text(f"create table {self._table} ({columns})"))
            await connection.execute(sa.text(f"grant all on {self._table} to public"))

    async def stop(self) -> None:
        for stall in self._stalls:
            stall.set()
        async with self._owner.transaction() as connection:
            await connection.execute(sa.text(f"drop table {self._table}"))
        await self._owner.close()
        await asyncio.to_thread(delete_topics, self.config, self.topic)

    def transaction(self) -> AbstractAsyncContextManager[object]:
        return self.house.databases["messaging"].transaction()

    async def note(self, name: str) -> None:
        async with self.house.databases["messaging"].transaction() as connection:
            await connection.execute(sa.text(f"insert into {self._table} (name) values (:name)"), {"name": name})

    async def effects(self) -> list[str]:
        async with self._owner.transaction() as connection:
            return list((await connection.execute(sa.text(f"select name from {self._table} order by place"))).scalars())

    async def on_letter_topic(self, count: int) -> list[tuple[bytes | None, bytes | None, Headers]]:
        found: list[tuple[bytes | None, bytes | None, Headers]] = []
        async with (
            asyncio.timeout(20),
            KafkaReader(self.config).open([dead_letter_topic(self.topic, self.group)]) as reader,
        ):
            reader.seek(await reader.beginnings())
            async for batch in reader.batches():
                found += [(raw.key, raw.value, list(raw.headers)) for raw in batch]
                if len(found) >= count:
                    return found
        raise AssertionError("batches never end")

    async def made_anew(self) -> None:
        def remake() -> None:
            admin = AdminClient(self.config.confluent())
            for deleted in admin.delete_topics([self.config.topic(self.topic)]).values():
                deleted.result(20)

        await asyncio.to_thread(remake)

        async def there() -> bool:
            with contextlib.suppress(Exception):  # the old one may not be quite gone
                await ensure_topics(self.config, self.declared, 1)
                return True
            return False

        await eventually(there)

    def stall(self, runner: ConsumerRunner) -> Callable[[], None]:
        consumer = runner._kafka
        assert isinstance(consumer, KafkaConsumer)
        stall = threading.Event()
        self._stalls.append(stall)
        consumer._requests.put(lambda: stall.wait(30))
        return stall.set


class Handling:
    """A handler that does what the test says, and notes what it did: in a batch first of all, so that it may be undone."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.begun: list[str] = []
        self.running: set[str] = set()
        self.most = 0  # at once
        self.overlaps: list[tuple[str, str]] = []  # events of one key that ran at once
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, list[Exception]] = {}  # of the next tries
        self.hopeless: set[str] = set()

    async def __call__(self, message: MessageSent) -> None:
        name = message.body
        key = name.partition("/")[0]
        self.begun.append(name)
        self.overlaps += [(name, other) for other in self.running if other.partition("/")[0] == key]
        self.running.add(name)
        self.most = max(self.most, len(self.running))
        try:
            if not self._rig.lanes:
                await self._rig.note(name)
            await self._outcome(name)
            if self._rig.lanes:
                await self._rig.note(name)
        finally:
            self.running.discard(name)

    async def _outcome(self, name: str) -> None:
        if gate := self.gates.get(name):
            await gate.wait()
        if failures := self.failures.get(name):
            raise failures.pop(0)
        if name in self.hopeless:
            raise ValueError(f"{name} cannot be handled")

    def hold(self, name: str) -> asyncio.Event:
        """Have the event's handler wait until the returned event is set."""
        self.gates[name] = asyncio.Event()
        return self.gates[name]

    async def reached(self, name: str, times: int = 1) -> None:
        """Return when the event's handler has begun so often."""

        async def count() -> int:
            return self.begun.count(name)

        await eventually(count, until=lambda found: found >= times)


def replayed(first: int, end: int) -> Callable[[Progress], Progress]:
    """Return the move to handle `first` up to `end` again, and nothing else."""
    return lambda progress: replace(progress, next=first, beyond=((end, progress.next),))


@pytest.mark.asyncio(loop_scope="function")
class OnMemory:
    """Has a suite run on the twins, whose waits take no time."""

    @pytest_asyncio.fixture(loop_scope="function")
    async def rig(self, lanes: int) -> MemoryRig:
        skip_waits(asyncio.get_running_loop())
        rig = MemoryRig(lanes)
        await rig.start()
        return rig


class OnServers:
    """Has a suite run on Kafka and PostgreSQL; `quick` is what it waits for less long than a process would."""

    quick: ClassVar[Sequence[tuple[ModuleType, str, object]]] = ()

    @pytest.fixture
    async def rig(self, house: House, lanes: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServerRig]:
        for module, name, value in self.quick:
            monkeypatch.setattr(module, name, value)
        rig = ServerRig(lanes, house)
        await rig.start()
        yield rig
        await rig.stop()
