"""Run one member of a group that turns events into events exactly once: KIP-98 transactions, fenced by the group (KIP-447).

What a batch's handlers return, its dead letters and the group's position are one transaction: readers of committed records see
all of it or nothing. A member that dies leaves its transaction to be aborted by the broker within `TRANSACTION_S`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

import structlog
from confluent_kafka import KafkaException, Producer, TopicPartition

from infra.avro import Codec, Undecodable
from infra.broker import Callbacks
from infra.consumer_metrics import LAG, PARTITIONS, WAITING, GroupMetrics
from infra.consumer_tracing import processing
from infra.crash_points import crash_point
from infra.dead_letters import Letter
from infra.envelope import Headers, cause_of, seal
from infra.kafka_client import RECORD_BYTES, KafkaConfig
from infra.kafka_consumer import KafkaConsumer
from infra.member import ATTEMPTS, Heard, backoff, dead_letter_headers, dead_letter_topic, heard_of, letter, where
from infra.metrics import Sample, sample
from infra.postgres import is_transient
from shared_kernel.causation import because
from shared_kernel.events import Event, event_key
from shared_kernel.module import Transform
from shared_kernel.records import Partition, Record

TRANSACTION_S = 10  # how long the transaction of a dead member holds up readers behind it
QUEUE_BATCHES = 4  # that wait before the broker is told to deliver no more
TIMEOUT_S = 30
LOOK_S = 1.0  # how often it is looked whether the reading goes on
COMMITS = 4  # how often it is asked whether a transaction is committed

log = structlog.get_logger()


class CommitUnknown(RuntimeError):
    """The process ends: begun anew, it waits until the broker has decided where the group stands."""


class Product(NamedTuple):
    """One record to be produced."""

    topic: str
    key: str | bytes | None
    value: bytes | None
    headers: Headers


class TransformRunner:
    """One member of the group in this process."""

    def __init__(self, transform: Transform, config: KafkaConfig, codec: Codec) -> None:
        self._transform = transform
        self._config = config
        self._codec = codec
        self._handlers = {handler.event.NAME: handler for handler in transform.handlers}
        self._kafka = KafkaConsumer(
            config,
            transform.group,
            transform.topics,
            Callbacks(self._deliver, self._assigned, self._revoked),
            in_transactions=True,
        )
        self._metrics = GroupMetrics(transform.group, transform.topics, config.prefix)
        self._next: dict[Partition, int] = {}  # what is turned next, of partitions that something was read from
        self._heard: Counter[str] = Counter()  # of the batch that runs: events by topic that a handler listens to
        self._dead: Counter[str] = Counter()  # and how many of them failed for good
        self._producer: Producer | None = None
        self._closing = False
        self._owned: set[Partition] = set()
        self._throttled: set[Partition] = set()
        self._waiting: deque[Record] = deque()
        self._woken = asyncio.Event()
        self._working = asyncio.Lock()
        sample(self)

    def samples(self) -> Iterator[Sample]:
        """Yield what this member has on its hands."""
        waiting = Counter(record.home for record in self._waiting)
        yield PARTITIONS, (self._transform.group,), len(self._owned)
        for partition in self._owned:
            labels, end, next_ = self._metrics.labels(partition), self._kafka.end(partition), self._next.get(partition)
            yield WAITING, labels, waiting[partition]
            if end is not None and next_ is not None:
                yield LAG, labels, max(end - next_, 0)

    async def run(self) -> None:
        """Turn until cancelled; then finish the batch that runs and leave the group."""
        self._kafka.start()
        turning = asyncio.create_task(self._turn())
        try:
            await asyncio.shield(turning)
        finally:
            self._closing = True
            self._woken.set()
            await asyncio.shield(asyncio.gather(self._kafka.close(), turning, return_exceptions=True))

    async def _turn(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
            if self._kafka.ended:  # without it the process would live on and do nothing
                raise self._kafka.ended
            self._woken.clear()
            while self._waiting and not self._closing:
                await self._once()

    def _deliver(self, records: list[Record]) -> None:
        for record in records:
            if record.home in self._owned:
                self._next.setdefault(record.home, record.offset)
                self._waiting.append(record)
        self._woken.set()
        if len(self._waiting) > QUEUE_BATCHES * self._transform.batch_size:
            for partition in self._owned - self._throttled:
                self._kafka.pause(partition)
            self._throttled |= self._owned

    async def _assigned(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        self._owned |= set(partitions)
        self._metrics.moved("assigned", len(partitions))
        return {}  # they begin where the last transaction has left them

    async def _revoked(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        self._metrics.moved("revoked", len(partitions))
        self._owned -= set(partitions)  # a batch that has to be done again leaves them out
        self._throttled -= set(partitions)
        async with self._working:
            self._waiting = deque(record for record in self._waiting if record.home in self._owned)
            self._next = {key: offset for key, offset in self._next.items() if key in self._owned}
            self._make_room()  # what waited may have been theirs alone, and nothing else would let the others go on
        return {}  # positions are committed by the transactions

    async def _once(self) -> None:
        async with self._working:
            size = min(self._transform.batch_size, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            self._make_room()
            await self._work(batch)

    def _make_room(self) -> None:
        if len(self._waiting) < QUEUE_BATCHES * self._transform.batch_size // 2:
            for partition in self._throttled:
                self._kafka.resume(partition)
            self._throttled = set()

    async def _work(self, batch: Sequence[Record]) -> None:
        products: list[Product] | None = None
        for pause in backoff():
            batch, before = [record for record in batch if record.home in self._owned], len(batch)
            if not batch:
                return
            try:
                with self._metrics.of(batch[0].topic).timed():
                    if products is None or len(batch) < before:
                        products = await self._products(batch)
                    await asyncio.to_thread(self._commit, products, _positions(batch))
                self._count(batch)
                return
            except Exception as error:
                if isinstance(error, KafkaException) or is_transient(error):
                    self._metrics.of(batch[0].topic).failed(transient=True)
                    log.warning("transform.retry", group=self._transform.group, error=str(error))
                else:
                    raise
            await asyncio.sleep(pause)

    async def _products(self, batch: Sequence[Record]) -> list[Product]:
        """Return what the batch turns into, in its order, dead letters included. Raise what may pass."""
        products = []
        self._heard, self._dead = Counter(), Counter()
        for heard in await heard_of(batch, self._handlers, self._codec):
            self._heard[heard.record.topic] += 1
            products += await self._turned(heard)
        return products

    def _count(self, batch: Sequence[Record]) -> None:
        self._next |= {record.home: record.offset + 1 for record in batch if record.home in self._owned}
        for topic, records in Counter(record.topic for record in batch).items():
            heard, dead = self._heard[topic], self._dead[topic]
            self._metrics.of(topic).finished(heard - dead, records - heard, dead)

    async def _turned(self, heard: Heard) -> list[Product]:
        record, event, handler = heard
        if isinstance(event, Undecodable):
            return [self._buried(letter(record, event, 1))]
        assert handler  # noqa: S101 – that is what `Heard` says
        cause = partial(cause_of, record.headers)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with because(cause), processing(self._transform.group, record, event):
                    turned: Any = await handler.call(event)  # `turn` has checked its type
                    return [self._product(each) for each in turned]
            except Exception as error:
                if is_transient(error):
                    raise
                self._metrics.of(record.topic).failed(transient=False)
                if attempt == ATTEMPTS:
                    return [self._buried(letter(record, error, attempt))]
        raise AssertionError("the last attempt returns")

    def _product(self, event: Event) -> Product:
        return Product(self._config.topic(event.TOPIC), event_key(event), self._codec.encode(event), seal(event))

    def _buried(self, dead: Letter) -> Product:
        record, group = dead.record, self._transform.group
        topic = dead_letter_topic(record.topic.removeprefix(self._config.prefix), group)
        self._dead[record.topic] += 1
        log.error("consumer.dead_letter", group=group, error=dead.error, **where(record))
        return Product(self._config.topic(topic), record.key, record.value, dead_letter_headers(dead, group))

    def _commit(self, products: Sequence[Product], positions: Sequence[TopicPartition]) -> None:
        """Produce and move in one transaction. Raise `KafkaException`, nothing having happened."""
        producer = self._producer or self._new_producer()
        try:
            producer.begin_transaction()
            for topic, key, value, headers in products:
                wire_headers: Any = headers
                producer.produce(topic, value, key, headers=wire_headers)
            crash_point("transform.after-publish")
            producer.send_offsets_to_transaction(list(positions), self._kafka.group_metadata, TIMEOUT_S)
            crash_point("transform.before-commit")
            self._end(producer)
            crash_point("transform.after-commit")
        except KafkaException as error:
            self._undo(producer, error)
            raise
        except BaseException:
            self._producer = None
            raise

    def _end(self, producer: Producer) -> None:
        """Commit. An answer that does not come says nothing about what happened: ask again, never do the batch again."""
        for _ in range(COMMITS):
            try:
                producer.commit_transaction(TIMEOUT_S)
                return
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
                log.warning("transform.commit_unanswered", group=self._transform.group, error=str(error))
        raise CommitUnknown(f"{self._transform.group} does not know whether its last transaction is committed")

    def _undo(self, producer: Producer, error: KafkaException) -> None:
        """Abort, or begin with a new producer where this one is of no more use."""
        try:
            if not error.args[0].fatal():
                producer.abort_transaction(TIMEOUT_S)
                return
        except KafkaException as failure:
            log.warning("transform.not_aborted", group=self._transform.group, error=str(failure))
        self._producer = None

    def _new_producer(self) -> Producer:
        settings = self._config.confluent() | {
            # A new name for each: who is late is fenced by the group's metadata, not by its name.
            "transactional.id": f"{self._config.topic(self._transform.group)}.{uuid4()}",
            "transaction.timeout.ms": TRANSACTION_S * 1000,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "message.max.bytes": RECORD_BYTES,
            "partitioner": "murmur2_random",
        }
        producer = Producer(settings)
        producer.init_transactions(TIMEOUT_S)
        self._producer = producer
        return producer


def _positions(batch: Sequence[Record]) -> list[TopicPartition]:
    ends = {record.home: record.offset + 1 for record in batch}
    return [TopicPartition(*partition, end) for partition, end in ends.items()]
