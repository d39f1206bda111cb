"""An asyncio face for confluent-kafka's consumer: one thread reads, batches and rebalances reach the loop.

The thread waits in `poll` for the first record and takes what else is there with `consume(n, 0)`: waiting for a full batch
would add its time limit to every latency. Heartbeats run in the library's own threads, so a busy loop keeps its membership.
Nothing but that thread touches the library's consumer: a commit from the loop's thread during a rebalance never returned.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, methodcaller
from queue import SimpleQueue
from threading import Thread
from time import monotonic, sleep
from typing import Any, overload

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from infra.broker import Callbacks, PositionLost
from infra.crash_points import crash_point
from infra.kafka_client import KafkaConfig
from shared_kernel.records import Partition, Record

BATCH = 500  # records handed over at once; more gained nothing
POLL_S = 0.1
LOOK_S = 2.0  # how often the ends are looked at
ASK_S = 0.5  # how long the broker has to name the end of a partition that is not fetched from
HEADERS_OF = methodcaller("headers")
HOME_OF = attrgetter("home")
REVOKE_S = 30  # how long running handlers may take to finish when partitions move away

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KafkaBroker:
    """Port `Broker` on Kafka."""

    config: KafkaConfig

    @property
    def prefix(self) -> str:
        return self.config.prefix

    def consumer(self, group: str, topics: Sequence[str], callbacks: Callbacks) -> "KafkaConsumer":
        return KafkaConsumer(self.config, group, topics, callbacks)


@dataclass(slots=True)
class Place:
    """Where a partition is read, which the library is told and not trusted with.

    Amid quick rebalances librdkafka 2.16 delivers some records twice and, when a partition comes back, begins now and then with
    what it had fetched for the assignment before, ahead of the place or behind it. So the first record has to be the one that
    was asked for, or else the place is sought once more: what comes then is what there is (compaction, retention and the marks
    of transactions leave gaps).
    """

    next: int
    is_reached: bool = False


class KafkaConsumer:
    """One member of a group. A rebalance waits for `assigned` and `revoked`."""

    def __init__(
        self,
        config: KafkaConfig,
        group: str,
        topics: Sequence[str],
        callbacks: Callbacks,
        *,
        in_transactions: bool = False,
    ) -> None:
        self._in_transactions = in_transactions
        self.group_metadata: Any = None  # what a transaction needs to know of this member, as of the last poll
        self._topics = [config.topic(topic) for topic in topics]
        self._callbacks = callbacks
        self._loop = asyncio.get_running_loop()
        self._consumer = Consumer(
            config.confluent()
            | {
                "group.id": config.topic(group),
                "group.protocol": "consumer",
                # The broker's default gives one member all of one topic and the next all of another: range shares each.
                "group.remote.assignor": "range",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 16_384,
            }
        )
        self._ends: Mapping[Partition, int] = {}  # of what is assigned
        self._held: set[Partition] = set()  # what is not fetched from
        self._looked_at = 0.0
        self._doubted: dict[Partition, int] = {}  # offsets that are asked about
        self._places: dict[Partition, Place] = {}  # of what is assigned
        self._astray: set[Partition] = set()  # what has to be sought before anything of it is handed over
        self.ended: Exception | None = None
        self._closing = False
        self._requests: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._thread = Thread(target=self._read, name=f"kafka-consumer {group}", daemon=True)

    def start(self) -> None:
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        self._thread.start()

    def pause(self, partition: Partition) -> None:
        self._held.add(partition)
        self._requests.put(lambda: self._consumer.pause([TopicPartition(*partition)]))

    def resume(self, partition: Partition) -> None:
        self._held.discard(partition)
        self._requests.put(lambda: self._consumer.resume([TopicPartition(*partition)]))

    def seek(self, partition: Partition, offset: int, moved: Callable[[], None]) -> None:
        def move() -> None:
            if partition in self._places:
                self._places[partition] = Place(offset)
                self._astray.add(partition)
            # A callback, since whoever awaited this would run after what the loop already has of the next delivery.
            self._loop.call_soon_threadsafe(moved)

        self._requests.put(move)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        def tell() -> None:
            crash_point("offset.before-commit")
            self._consumer.commit(offsets=_partitions(offsets), asynchronous=True)
            crash_point("offset.after-commit")

        self._requests.put(tell)

    def end(self, partition: Partition) -> int | None:
        return self._ends.get(partition)

    async def close(self) -> None:
        self._closing = True
        await asyncio.to_thread(self._thread.join)

    def _read(self) -> None:
        try:
            self._read_on()
        except Exception as error:
            log.error("consumer.reading_ended", exc_info=error)
            self.ended = error

    def _read_on(self) -> None:
        while not self._closing:
            self._do_what_was_asked()
            self._seek_again()
            self._look_at_ends()
            # What a callback raises takes with it what was just read, which nobody would read again: it ends the reading.
            first = self._consumer.poll(POLL_S)
            if self._in_transactions:  # asked for in any other thread while this one polls, it never came
                self.group_metadata = self._consumer.consumer_group_metadata()
            if first is not None:
                self._hand_over([first, *self._consumer.consume(BATCH - 1, 0)])  # which may call back about a rebalance
        with contextlib.suppress(KafkaException, RuntimeError):
            self._consumer.close()

    def _do_what_was_asked(self) -> None:
        while not self._requests.empty():
            with contextlib.suppress(KafkaException):  # the partition has just moved, or the broker is away
                self._requests.get()()

    def _seek_again(self) -> None:
        for partition in list(self._astray):
            with contextlib.suppress(KafkaException):  # where its fetching has not begun yet, in the next round
                self._consumer.seek(TopicPartition(*partition, self._places[partition].next))
                self._places[partition].is_reached = True
                self._astray.discard(partition)

    def _look_at_ends(self) -> None:
        """Note what the fetches told. The broker is asked only about what is not fetched from, where nothing tells."""
        if monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = monotonic()
        with contextlib.suppress(KafkaException, RuntimeError):  # then what was known stays
            ends = {key: self._end(key) for key in _keys(self._consumer.assignment())}
            self._ends = {key: end for key, end in ends.items() if end >= 0}
            for partition in self._doubted.keys() & self._ends.keys():
                if self._ends[partition] < (offset := self._doubted.pop(partition)):
                    raise PositionLost(
                        f"the group is at {offset} of {partition}, beyond its end: was the topic made anew?"
                    )

    def _end(self, partition: Partition) -> int:
        is_fetched = partition not in self._held and partition not in self._doubted
        marks = self._consumer.get_watermark_offsets(TopicPartition(*partition), ASK_S, cached=is_fetched)
        return int(marks[1]) if marks else -1

    def _hand_over(self, messages: list[Message]) -> None:
        records: list[Record] = []
        for partition, run in groupby([_record(each) for each in messages if each.error() is None], key=HOME_OF):
            records += self._expected(partition, run)
        for message in messages:
            if error := message.error():
                log.warning("consumer.broker_error", error=error.str())
        if records:
            self._loop.call_soon_threadsafe(self._callbacks.deliver, records)

    def _expected(self, partition: Partition, records: Iterator[Record]) -> Iterator[Record]:
        """Yield what follows what was handed over before, each record once."""
        place = self._places.get(partition)
        if place is None or partition in self._astray:
            return
        for record in records:
            if not place.is_reached and record.offset != place.next:
                self._astray.add(partition)
                return
            place.is_reached = True
            if record.offset >= place.next:
                place.next = record.offset + 1
                yield record
            else:
                self._doubted[partition] = place.next
                self._looked_at = 0.0

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Wait for as long as it takes: the library would begin by itself where the broker says, not where the group stands."""
        keys = _keys(partitions)
        self._held -= set(keys)  # they may have gone while they were
        self._doubted = {key: offset for key, offset in self._doubted.items() if key not in keys}
        claiming = self._begin_to_ask(self._callbacks.assigned(keys))
        while not self._closing:
            try:
                begin = {**claiming.result(POLL_S)}
            except TimeoutError:
                continue
            except FutureCancelled:
                return
            begin |= self._committed([key for key in keys if key not in begin])
            if len(begin) == len(keys):
                # Never a word like "the beginning": an answer about it that came too late has been seen to begin to fetch
                # what was another member's by then, and to hand it over when the partition came back.
                consumer.incremental_assign(_partitions(begin))
                consumer.resume(partitions)  # the library remembers those that were paused when they went away
                self._places |= {key: Place(offset) for key, offset in begin.items()}
            return
        claiming.cancel()

    def _committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Return where the group has committed, nothing if this closes. While a transaction is undecided nobody knows."""
        while partitions and not self._closing:
            with contextlib.suppress(KafkaException):  # the coordinator is away
                found = self._consumer.committed([TopicPartition(*partition) for partition in partitions], ASK_S)
                if not any(each.error for each in found):
                    return {(each.topic, each.partition): max(each.offset, 0) for each in found}
            sleep(POLL_S)
        return {}

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        offsets = self._ask(self._callbacks.revoked(_keys(partitions)))
        self._do_what_was_asked()  # for these partitions: should they come back at once, it would be done to them again
        self._forget(partitions)
        if offsets:
            with contextlib.suppress(KafkaException):
                consumer.commit(offsets=_partitions(offsets), asynchronous=False)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Somebody else has them already: stop, commit nothing."""
        self._ask(self._callbacks.revoked(_keys(partitions)))
        self._do_what_was_asked()
        self._forget(partitions)
        consumer.incremental_unassign(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for partition in _keys(partitions):
            self._places.pop(partition, None)
            self._astray.discard(partition)

    def _begin_to_ask(self, call: Awaitable[Any]) -> "Future[Any]":
        async def awaited() -> Any:
            return await call

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop)

    def _ask(self, call: Awaitable[Any]) -> Any:
        try:
            return self._begin_to_ask(call).result(REVOKE_S)
        except (TimeoutError, FutureCancelled) as error:
            log.error("consumer.rebalance_slow", error=repr(error))
            return None


class LazyHeaders(Sequence[tuple[str, bytes | None]]):
    """A record's headers, read when somebody looks: most events are handled without."""

    __slots__ = ("_message", "_read")

    def __init__(self, message: Message) -> None:
        self._message: Message | None = message
        self._read: Sequence[tuple[str, bytes | None]] = ()

    def _all(self) -> Sequence[tuple[str, bytes | None]]:
        if self._message is not None:
            try:
                # Typed too widely: what was received is a list of names and bytes. Where a name is no text the library returns
                # a list and leaves an exception behind, which the interpreter's quick way to call a method does not look for.
                headers: Any = HEADERS_OF(self._message)
                self._read = headers or ()
            except (UnicodeDecodeError, SystemError):
                self._read = ()
            self._message = None
        return self._read

    def __iter__(self) -> Iterator[tuple[str, bytes | None]]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> tuple[str, bytes | None]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[str, bytes | None]]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._all()[index]


def _record(message: Message) -> Record:
    return Record(
        *_home(message),
        message.offset() or 0,
        message.key(),
        message.value(),
        LazyHeaders(message),
        message.timestamp()[1],
    )


def _home(message: Message) -> Partition:
    return message.topic() or "", message.partition() or 0


def _keys(partitions: list[TopicPartition]) -> list[Partition]:
    return [(partition.topic, partition.partition) for partition in partitions]


def _partitions(offsets: Mapping[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
