"""What a member hands over when the library reads from elsewhere than it was told, which it does amid quick rebalances."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from infra import kafka_consumer
from infra.broker import Callbacks
from infra.kafka_client import KafkaConfig
from infra.kafka_consumer import KafkaConsumer
from shared_kernel.records import Partition, Record
from tests.probes import seen

HOME = ("letters", 0)


@dataclass(frozen=True)
class Message:
    """What the library returns."""

    at: int

    def topic(self) -> str:
        return HOME[0]

    def partition(self) -> int:
        return HOME[1]

    def offset(self) -> int:
        return self.at

    def error(self) -> None:
        return None

    def key(self) -> None:
        return None

    value = headers = key

    def timestamp(self) -> tuple[int, int]:
        return 1, 0


Reads = Callable[[], list[Message]]


@dataclass
class Library:
    """Stands for librdkafka, whose slips cannot be had on demand: it reads what a test says, and notes what it is told."""

    told: list[tuple[str, Any]] = field(default_factory=list)
    reads: SimpleQueue[Reads] = field(default_factory=SimpleQueue)
    committed_at: list[int | KafkaException] = field(default_factory=list)
    refused_seeks: int = 0
    callbacks: Mapping[str, Callable[..., None]] = field(default_factory=dict)

    def subscribe(self, _topics: list[str], **callbacks: Callable[..., None]) -> None:
        self.callbacks = callbacks

    def poll(self, timeout: float) -> Message | None:
        try:
            found = self.reads.get(timeout=timeout)()
        except Empty:
            return None
        return found[0] if found else None

    def consume(self, _count: int, _timeout: float) -> list[Message]:
        try:
            return self.reads.get_nowait()()
        except Empty:
            return []

    def seek(self, place: TopicPartition) -> None:
        self.told.append(("seek", place.offset))
        if self.refused_seeks:
            self.refused_seeks -= 1
            raise KafkaException(KafkaError(KafkaError._STATE))

    def committed(self, partitions: list[TopicPartition], _timeout: float) -> list[TopicPartition]:
        found = self.committed_at.pop(0)
        if isinstance(found, KafkaException):
            raise found
        return [TopicPartition(each.topic, each.partition, found) for each in partitions]

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.told.append(("assign", partitions[0].offset))

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self.told.append(("unassign", None))

    def resume(self, partitions: list[TopicPartition]) -> None:
        pass

    def assignment(self) -> list[TopicPartition]:
        return []

    def close(self) -> None:
        self.told.append(("close", None))

    def comes(self) -> None:
        """Call back: the partition is this member's."""
        self.callbacks["on_assign"](self, [TopicPartition(*HOME)])

    def goes(self) -> None:
        """Call back: the partition is to be given away."""
        self.callbacks["on_revoke"](self, [TopicPartition(*HOME)])


@dataclass
class Group:
    """The member, and what it has been handed."""

    begin: dict[Partition, int]
    library: Library = field(default_factory=Library)
    delivered: list[int] = field(default_factory=list)
    error: Exception | None = None

    def deliver(self, records: list[Record]) -> None:
        self.delivered += [record.offset for record in records]

    async def assigned(self, _partitions: list[Partition]) -> Mapping[Partition, int]:
        return self.begin

    async def revoked(self, _partitions: list[Partition]) -> Mapping[Partition, int]:
        if self.error:
            raise self.error
        return {}

    def reads(self, *offsets: int, after: Callable[[], None] = lambda: None) -> None:
        """Let the next poll read these, the first alone and the others behind what `after` does."""

        def others() -> list[Message]:
            after()
            return [Message(at) for at in offsets[1:]]

        self.library.reads.put(lambda: [Message(offsets[0])])
        self.library.reads.put(others)

    def calls_back(self, what: Callable[[], None]) -> None:
        """Let the next poll do that and read nothing."""

        def done() -> list[Message]:
            what()
            return []

        self.library.reads.put(done)

    async def hands_over(self, *offsets: int) -> None:
        """Wait for these, and make sure that nothing else has come before them."""
        await seen(lambda: len(self.delivered) >= len(offsets))
        assert self.delivered == [*offsets]

    async def is_told(self, *what: tuple[str, Any]) -> None:
        """Wait until the library has been told that, and nothing else."""
        await seen(lambda: len(self.library.told) >= len(what))
        assert self.library.told == [*what]


@asynccontextmanager
async def reading(monkeypatch: pytest.MonkeyPatch, begin: int | None) -> AsyncIterator[tuple[Group, KafkaConsumer]]:
    """Run a member to whom the partition comes, beginning there."""
    group = Group({} if begin is None else {HOME: begin})
    monkeypatch.setattr(kafka_consumer, "Consumer", lambda _config: group.library)
    callbacks = Callbacks(group.deliver, group.assigned, group.revoked)
    member = KafkaConsumer(KafkaConfig("nowhere:1"), "readers", ["letters"], callbacks)
    group.calls_back(group.library.comes)
    member.start()
    try:
        yield group, member
    finally:
        await member.close()


async def test_what_it_reads_ahead_of_the_place_is_left_and_the_place_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=47) as (group, _):
        group.reads(50, 51)
        await group.is_told(("assign", 47), ("seek", 47))
        group.reads(47, 48, 49, 50, 51)
        await group.hands_over(47, 48, 49, 50, 51)


async def test_what_it_reads_before_the_place_is_left_and_the_place_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=300) as (group, _):
        group.reads(0)
        await group.is_told(("assign", 300), ("seek", 300))
        group.reads(1, 2)
        group.reads(300, 301)
        await group.hands_over(300, 301)


async def test_what_it_reads_twice_is_handed_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=0) as (group, _):
        group.reads(0, 1, 2, 1, 2, 3)
        group.reads(2, 3, 4)
        await group.hands_over(0, 1, 2, 3, 4)
        await group.is_told(("assign", 0))


async def test_gaps_are_looked_at_once_where_reading_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=5) as (group, _):
        group.reads(9, 12)
        await group.is_told(("assign", 5), ("seek", 5))
        group.reads(9, 12)
        await group.hands_over(9, 12)
        await group.is_told(("assign", 5), ("seek", 5))


async def test_of_a_partition_that_goes_and_comes_back_in_one_reading_nothing_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with reading(monkeypatch, begin=0) as (group, _):
        group.reads(0, 1)
        await group.hands_over(0, 1)

        def goes_and_comes() -> None:
            group.library.goes()
            group.begin = {HOME: 1}  # the member had not done what it was handed last
            group.library.comes()

        group.reads(2, 3, 4, after=goes_and_comes)
        await group.is_told(("assign", 0), ("unassign", None), ("assign", 1), ("seek", 1))
        group.reads(1, 2, 3, 4)
        await group.hands_over(0, 1, 1, 2, 3, 4)


async def test_of_a_partition_that_has_gone_nothing_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=0) as (group, _):
        group.reads(0, 1)
        group.calls_back(group.library.goes)
        group.reads(2, 3)
        await group.is_told(("assign", 0), ("unassign", None))
        group.begin = {HOME: 5}
        group.calls_back(group.library.comes)
        group.reads(5)
        await group.hands_over(0, 1, 5)


async def test_what_cannot_be_sought_yet_is_sought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=7) as (group, _):
        group.library.refused_seeks = 2
        group.reads(9)
        await group.is_told(("assign", 7), ("seek", 7), ("seek", 7), ("seek", 7))
        group.reads(7, 8, 9)
        await group.hands_over(7, 8, 9)


async def test_after_a_move_nothing_from_before_it_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=0) as (group, member):
        group.reads(0, 1)
        await group.hands_over(0, 1)
        moved = asyncio.Event()
        member.seek(HOME, 1, moved.set)
        await moved.wait()
        group.reads(1, 2)
        await group.hands_over(0, 1, 1, 2)


async def test_who_names_no_place_begins_where_the_group_has_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    undecided = KafkaException(KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT))
    async with reading(monkeypatch, begin=None) as (group, _):
        group.library.committed_at = [undecided, 12]
        await group.is_told(("assign", 12))


async def test_a_group_that_has_committed_nothing_begins_at_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=None) as (group, _):
        group.library.committed_at = [-1001]
        await group.is_told(("assign", 0))


async def test_what_a_callback_raises_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(monkeypatch, begin=0) as (group, member):
        group.error = RuntimeError("the work has failed")
        group.calls_back(group.library.goes)
        await seen(lambda: member.ended is not None)
        assert member.ended is group.error
