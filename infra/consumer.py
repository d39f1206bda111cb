"""Run one consumer group: a batch's effects and its position commit together (docs/consumers.md).

Each assigned partition has its own task, so order per key holds and a retry in one partition does not hold up another.
What may pass (connections, time limits, deadlocks) is tried again in place; what fails for good goes to the dead letters.
"""

import asyncio
import random
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Message

from infra.avro import Codec, Undecodable
from infra.envelope import event_type, open_headers
from infra.kafka_client import KafkaConfig
from infra.kafka_consumer import BATCH, KafkaConsumer, Partition
from infra.kafka_producer import KafkaProducer
from infra.positions import Fenced, Positions
from infra.postgres import is_transient
from shared_kernel.causation import because
from shared_kernel.events import Event
from shared_kernel.module import Consumer, Handler

QUEUE_LIMIT = 4 * BATCH  # records waiting per partition before it is paused
COMMIT_S = 0.5  # how often the broker is told where the group stands
ATTEMPTS = 3  # before an event that fails for good is a dead letter
FENCES = 5  # in a row, before it is believed that reading can never reach the stored position
BACKOFF_S = (0.05, 5.0)  # first and longest pause between tries, jittered

log = structlog.get_logger()

Heard = tuple[Message, Event, Handler]


class PositionLost(RuntimeError):
    """Where the group stands is not on the topic. The process ends: nothing it could do would be right."""


class ConsumerRunner:
    """One member of a group in this process."""

    def __init__(
        self, consumer: Consumer, config: KafkaConfig, codec: Codec, positions: Positions, dead_letters: KafkaProducer
    ) -> None:
        self.group = consumer.group
        self.codec = codec
        self.positions = positions
        self.handlers: Mapping[str, Handler] = {handler.event.NAME: handler for handler in consumer.handlers}
        self._config = config
        self._dead_letters = dead_letters
        self._partitions: dict[Partition, _Partition] = {}
        topics = sorted({handler.event.TOPIC for handler in consumer.handlers})
        self.kafka = KafkaConsumer(
            config, consumer.group, topics, deliver=self._deliver, assigned=self._assigned, revoked=self._revoked
        )

    async def run(self) -> None:
        """Consume until cancelled; then finish what runs, drop what waits, commit and leave the group."""
        self.kafka.start()
        try:
            while True:
                await asyncio.sleep(COMMIT_S)
                self._commit()
        finally:
            await asyncio.shield(self.kafka.close())

    async def bury(self, record: Message, error: BaseException, attempts: int) -> None:
        """Put the record on the group's dead-letter topic as it came, with why and where from in its headers."""
        topic = record.topic() or ""
        headers = [(name, value or b"") for name, value in _headers(record)]
        reasons = {
            "dlq_topic": topic,
            "dlq_partition": str(record.partition()),
            "dlq_offset": str(record.offset()),
            "dlq_group": self.group,
            "dlq_attempts": str(attempts),
            "dlq_error": f"{type(error).__name__}: {error}"[:1000],
            "dlq_stack": "".join(traceback.format_exception(error))[-4000:],
            "dlq_at": datetime.now(UTC).isoformat(),
        }
        headers += [(name, text.encode()) for name, text in reasons.items()]
        name = dead_letter_topic(topic.removeprefix(self._config.prefix), self.group)
        await self._dead_letters.send(name, record.key(), record.value(), headers)
        log.error("consumer.dead_letter", group=self.group, error=reasons["dlq_error"], **_where(record))

    def _deliver(self, records: list[Message]) -> None:
        for key, run in groupby(records, key=_partition_of):
            if partition := self._partitions.get(key):
                partition.add(list(run))

    async def _assigned(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        stored = await self._until_loaded()
        for key in partitions:
            self._partitions[key] = _Partition(key, self)
        log.info("consumer.assigned", group=self.group, partitions=len(partitions))
        return {key: stored.get(key, OFFSET_BEGINNING) for key in partitions}

    async def _until_loaded(self) -> Mapping[Partition, int]:
        for pause in backoff():
            try:
                return await self.positions.load(self.group)
            except Exception as error:
                log.warning("consumer.positions_unknown", group=self.group, error=str(error))
                await asyncio.sleep(pause)
        raise AssertionError("backoff never ends")

    async def _revoked(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        leaving = [self._partitions.pop(key) for key in partitions if key in self._partitions]
        await asyncio.gather(*(partition.stop() for partition in leaving))
        log.info("consumer.revoked", group=self.group, partitions=len(leaving))
        return {partition.key: partition.next for partition in leaving if partition.next is not None}

    def _commit(self) -> None:
        for partition in self._partitions.values():
            partition.check()
        offsets = {key: partition.next for key, partition in self._partitions.items() if partition.take_moved()}
        if offsets:
            self.kafka.commit({key: next_ for key, next_ in offsets.items() if next_ is not None})


class _Partition:
    """What waits and runs of one partition."""

    def __init__(self, key: Partition, runner: ConsumerRunner) -> None:
        self.key = key
        self.next: int | None = None  # offset after the last record done
        self._runner = runner
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._paused = False
        self._moved = False
        self._fences = 0  # in a row
        self._task = asyncio.create_task(self._run())

    def add(self, records: list[Message]) -> None:
        self._waiting.extend(records)
        self._arrived.set()
        if len(self._waiting) > QUEUE_LIMIT and not self._paused:
            self._paused = True
            self._runner.kafka.pause(self.key)

    def check(self) -> None:
        """Raise what ended the partition's task, if something did: a process that stands still must not look well."""
        if self._task.done() and not self._stopping.is_set():
            self._task.result()

    def take_moved(self) -> bool:
        """Return whether the partition has moved since the last call."""
        moved, self._moved = self._moved, False
        return moved

    async def stop(self) -> None:
        """Let the running batch finish, drop the rest."""
        self._stopping.set()
        self._arrived.set()
        await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._arrived.wait()
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not self._waiting and not self._stopping.is_set():
                self._arrived.clear()
            if self._paused and len(self._waiting) < QUEUE_LIMIT // 2:
                self._paused = False
                self._runner.kafka.resume(self.key)
            if batch and not self._stopping.is_set():
                await self._work(batch)

    async def _work(self, batch: list[Message]) -> None:
        """Handle the batch, however long that takes; after a stop begun meanwhile, give up at the next failure."""
        failures = 0
        for pause in backoff():
            try:
                await self._apply(batch)
                return
            except PositionLost:
                raise
            except Exception as error:
                failures += not self._passes(error)
                if failures and len(batch) > 1:
                    await self._one_by_one(batch)
                    return
                if failures >= ATTEMPTS or isinstance(error, Undecodable):
                    batch = await self._without(batch[0], error, failures)
            if not batch or await self._stopped_within(pause):
                return

    def _passes(self, error: Exception) -> bool:
        transient = is_transient(error)
        if transient:
            log.warning("consumer.retry", group=self._runner.group, partition=self.key, error=str(error))
        return transient

    async def _one_by_one(self, batch: Sequence[Message]) -> None:
        for record in batch:
            if self._stopping.is_set():
                return
            if self.next is None or (record.offset() or 0) >= self.next:
                await self._work([record])

    async def _without(self, record: Message, error: Exception, attempts: int) -> list[Message]:
        """Bury the record and go past it. Return what is left to do: the record, if that did not work out."""
        try:
            await self._runner.bury(record, error, max(attempts, 1))
            await self._advance([record])
            self._done([record])
        except Exception as failure:
            if not self._passes(failure):
                log.error("consumer.not_buried", group=self._runner.group, exc_info=failure, **_where(record))
            return [record]
        return []

    async def _apply(self, batch: Sequence[Message]) -> None:
        heard = await self._heard(batch)
        try:
            async with self._runner.positions.transaction():
                await self._advance(batch)
                for handler, run in groupby(heard, key=itemgetter(2)):
                    await _handle(handler, list(run))
        except Fenced:
            await self._start_over()
        else:
            self._fences = 0
            self._done(batch)

    async def _heard(self, batch: Sequence[Message]) -> list[Heard]:
        """Return the records that somebody listens to, decoded."""
        handlers = self._runner.handlers
        wanted = [record for record in batch if (type_ := event_type(_headers(record))) is None or type_ in handlers]
        await self._runner.codec.learn(record.value() for record in wanted)
        decoded = [(record, self._runner.codec.decode(record.value())) for record in wanted]
        return [(record, event, handlers[event.NAME]) for record, event in decoded if event and event.NAME in handlers]

    async def _advance(self, batch: Sequence[Message]) -> None:
        first, last = batch[0].offset() or 0, batch[-1].offset() or 0
        await self._runner.positions.advance(self._runner.group, self.key, first, last + 1)

    def _done(self, batch: Sequence[Message]) -> None:
        self.next = (batch[-1].offset() or 0) + 1
        self._moved = True

    async def _start_over(self) -> None:
        """Forget what waits and read on from where the group stands by now."""
        self._fences += 1
        if self._fences > FENCES:
            raise PositionLost(f"{self._runner.group} stands behind the end of {self.key}: was the topic made anew?")
        self._waiting.clear()
        stored = await self._runner.positions.load(self._runner.group)
        self.next = stored[self.key]
        log.warning("consumer.fenced", group=self._runner.group, partition=self.key, next=self.next)
        self._runner.kafka.seek(self.key, self.next)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True


def dead_letter_topic(topic: str, group: str) -> str:
    """Return where the records of `topic` go that `group` cannot handle."""
    return f"{topic}.{group}.dlq"


def backoff(jitter: Callable[[], float] = random.random) -> "_Backoff":
    """Return ever longer pauses in seconds, each between half and all of the doubling limit."""
    return _Backoff(jitter)


class _Backoff:
    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._limit, self._most = BACKOFF_S

    def __iter__(self) -> "_Backoff":
        return self

    def __next__(self) -> float:
        pause = self._limit * (0.5 + self._jitter() / 2)
        self._limit = min(self._limit * 2, self._most)
        return pause


async def _handle(handler: Handler, run: list[Heard]) -> None:
    if handler.batch:
        await handler.call([event for _, event, _ in run])
        return
    for record, event, _ in run:
        with because(open_headers(_headers(record)).cause):
            await handler.call(event)


def _partition_of(record: Message) -> Partition:
    return record.topic() or "", record.partition() or 0


def _headers(record: Message) -> list[tuple[str, bytes | None]]:
    headers: Any = record.headers()  # typed too widely: what was received is a list of names and bytes
    return headers or []


def _where(record: Message) -> dict[str, object]:
    return {"topic": record.topic(), "partition": record.partition(), "offset": record.offset()}
