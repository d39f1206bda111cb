"""Run a recorder: a group that takes every record as it lies on its topics, in the order of each partition.

Unlike a consumer (infra/consumer.py) it decodes nothing, gives up no record and buries none: a partition that cannot be kept
stands still and says so, because a log with holes is none.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import groupby
from time import monotonic
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Message

from infra.consumer import PositionLost, backoff
from infra.kafka_client import KafkaConfig
from infra.kafka_consumer import KafkaConsumer, Partition
from infra.positions import Fenced, Positions
from infra.postgres import is_transient
from shared_kernel.module import Record, Recorder

BATCH = 2_000  # records kept in one transaction
BATCH_BYTES = 4 << 20  # of values, after which a batch takes no further record
QUEUE_LIMIT = 2 * BATCH  # records waiting per partition before it is paused
QUEUE_BYTES = 2 * BATCH_BYTES
COMMIT_S = 0.5  # how often the broker is told where the group stands
MINUTE_S = 60.0
FENCES = 5  # in a row, before it is believed that reading can never reach the stored position

log = structlog.get_logger()


class RecorderRunner:
    """One member of the group in this process."""

    def __init__(self, recorder: Recorder, config: KafkaConfig, positions: Positions) -> None:
        self.recorder = recorder
        self.positions = positions
        self._partitions: dict[Partition, _Partition] = {}
        self.kafka = KafkaConsumer(
            config,
            recorder.group,
            recorder.topics,
            deliver=self._deliver,
            assigned=self._assigned,
            revoked=self._revoked,
        )

    async def run(self) -> None:
        """Keep until cancelled; then finish what runs, drop what waits, commit and leave the group."""
        self.kafka.start()
        due = monotonic()
        try:
            while True:
                await asyncio.sleep(COMMIT_S)
                self._commit()
                if monotonic() >= due:
                    await self._every_minute()
                    due = monotonic() + MINUTE_S
        finally:
            await asyncio.shield(self.kafka.close())

    async def _every_minute(self) -> None:
        try:
            await self.recorder.every_minute()
        except Exception as error:
            log.warning("recorder.chore_failed", group=self.recorder.group, exc_info=error)

    def _deliver(self, records: list[Message]) -> None:
        for key, run in groupby(records, key=lambda record: (record.topic() or "", record.partition() or 0)):
            if partition := self._partitions.get(key):
                partition.add(list(run))

    async def _assigned(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        stored = await self._loaded()
        for key in partitions:
            self._partitions[key] = _Partition(key, self)
        log.info("recorder.assigned", group=self.recorder.group, partitions=len(partitions))
        return {key: stored.get(key, OFFSET_BEGINNING) for key in partitions}

    async def _loaded(self) -> Mapping[Partition, int]:
        for pause in backoff():
            try:
                return await self.positions.load(self.recorder.group)
            except Exception as error:
                log.warning("recorder.positions_unknown", group=self.recorder.group, error=str(error))
                await asyncio.sleep(pause)
        raise AssertionError("backoff never ends")

    async def _revoked(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        leaving = [self._partitions.pop(key) for key in partitions if key in self._partitions]
        await asyncio.gather(*(partition.stop() for partition in leaving))
        return {partition.key: partition.next for partition in leaving if partition.next is not None}

    def _commit(self) -> None:
        for partition in self._partitions.values():
            partition.check()
        offsets = {key: each.next for key, each in self._partitions.items() if each.next is not None}
        if offsets:
            self.kafka.commit(offsets)


class _Partition:
    """What waits and is being kept of one partition."""

    def __init__(self, key: Partition, runner: RecorderRunner) -> None:
        self.key = key
        self.next: int | None = None  # offset after the last record kept
        self._runner = runner
        self._waiting: deque[Record] = deque()
        self._bytes = 0  # of the values that wait
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._paused = False
        self._fences = 0  # in a row
        self._task = asyncio.create_task(self._run())

    def add(self, records: list[Message]) -> None:
        for record in map(_record, records):
            self._waiting.append(record)
            self._bytes += len(record.value or b"")
        self._arrived.set()
        if (len(self._waiting) > QUEUE_LIMIT or self._bytes > QUEUE_BYTES) and not self._paused:
            self._paused = True
            self._runner.kafka.pause(self.key)

    def check(self) -> None:
        """Raise what ended the partition's task, if something did: a process that stands still must not look well."""
        if self._task.done() and not self._stopping.is_set():
            self._task.result()

    async def stop(self) -> None:
        """Let the running batch finish, drop the rest."""
        self._stopping.set()
        self._arrived.set()
        await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._arrived.wait()
            batch = self._next_batch()
            if not self._waiting and not self._stopping.is_set():
                self._arrived.clear()
            if self._paused and len(self._waiting) < QUEUE_LIMIT // 2 and self._bytes < QUEUE_BYTES // 2:
                self._paused = False
                self._runner.kafka.resume(self.key)
            if batch and not self._stopping.is_set():
                await self._keep(batch)

    def _next_batch(self) -> list[Record]:
        batch: list[Record] = []
        size = 0
        while self._waiting and len(batch) < BATCH and size < BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].value or b"")
        self._bytes -= size
        return batch

    async def _keep(self, batch: Sequence[Record]) -> None:
        """Keep the batch, however long that takes; after a stop begun meanwhile, give up at the next failure."""
        positions, recorder = self._runner.positions, self._runner.recorder
        first, next_ = batch[0].offset, batch[-1].offset + 1
        for pause in backoff():
            try:
                async with positions.transaction():
                    await positions.advance(recorder.group, self.key, first, next_)
                    await recorder.keep(batch)
                self.next, self._fences = next_, 0
                return
            except Fenced:
                await self._start_over()
                return
            except Exception as error:
                tell = log.warning if is_transient(error) else log.error
                tell("recorder.retry", group=recorder.group, partition=self.key, offset=first, error=repr(error))
            if await self._stopped_within(pause):
                return

    async def _start_over(self) -> None:
        """Forget what waits and read on from where the group stands by now."""
        self._fences += 1
        if self._fences > FENCES:
            group = self._runner.recorder.group
            raise PositionLost(f"{group} stands behind the end of {self.key}: was the topic made anew?")
        self._waiting.clear()
        self._bytes = 0
        self.next = (await self._runner.positions.load(self._runner.recorder.group))[self.key]
        self._runner.kafka.seek(self.key, self.next)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _record(message: Message) -> Record:
    headers: Any = message.headers()  # typed too widely: what was received is a list of names and bytes
    value: Any = message.value()
    key: Any = message.key()
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        key=key,
        headers=tuple(headers or ()),
        value=value,
    )
