"""Run one member of a consumer group: what the broker assigns is worked on, and saved with its effects (docs/consumers.md).

Each assigned partition has its own worker, so a retry in one does not hold up another: `infra/batches.py` commits whole batches
with their effects, `infra/lanes.py` handles many keys at once.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from uuid import uuid4

import structlog

from infra.avro import Codec
from infra.batches import BatchWorker
from infra.broker import Broker, Callbacks, Producer
from infra.consumer_metrics import HELD, LETTERS, PARTITIONS, RETRYING, GroupMetrics
from infra.crash_points import crash_point
from infra.group_control import Workload
from infra.handled import KEPT
from infra.lanes import Lanes, LaneWorker
from infra.member import GroupStore, Member, backoff
from infra.metrics import Sample, sample
from infra.partition_worker import PartitionWorker
from infra.positions import Progress
from infra.postgres import is_transient
from shared_kernel.errors import Unavailable
from shared_kernel.module import Consumer
from shared_kernel.records import Partition, Record

COMMIT_S = 0.5  # how often positions of lanes are stored and the broker is told where the group stands
LOOK_S = 1.0  # how often operators' wishes are looked up
PRUNE_S = 60.0  # how often what is known about long handled records is forgotten
COUNT_S = 5.0  # how often dead letters are counted

log = structlog.get_logger()


class GroupRunner(ABC):
    """One member of a group in this process; what it does with a partition is for subclasses to say."""

    def __init__(
        self,
        consumer: Consumer,
        topics: Sequence[str],
        broker: Broker,
        codec: Codec,
        store: GroupStore,
        dead_letters: Producer,
    ) -> None:
        self.id = uuid4()
        self._workers: dict[Partition, PartitionWorker] = {}
        self._kafka = broker.consumer(consumer.group, topics, Callbacks(self._deliver, self._assigned, self._revoked))
        handlers = {handler.event.NAME: handler for handler in consumer.handlers}
        metrics = GroupMetrics(consumer.group, topics, broker.prefix, consumer.counts)
        self._member = Member(consumer, codec, store, dead_letters, broker.prefix, handlers, self._kafka, metrics)
        self._letters: Mapping[Partition, int] = {}
        self._counted_at = -COUNT_S
        sample(self)

    @abstractmethod
    def _worker(self, key: Partition, progress: Progress) -> PartitionWorker:
        """Return what works on the partition from there on."""

    def samples(self) -> Iterator[Sample]:
        """Yield what this member has on its hands."""
        member = self._member
        yield PARTITIONS, (member.group,), len(self._workers)
        yield HELD, (member.group,), member.is_paused
        yield RETRYING, (member.group,), member.retrying
        for key, worker in self._workers.items():
            yield from worker.samples()
            yield LETTERS, member.metrics.labels(key), self._letters.get(key, 0)

    async def run(self) -> None:
        """Consume until cancelled; then finish what runs, drop what waits, commit and leave the group. Raise what
        makes going on wrong."""
        self._kafka.start()
        beside = [asyncio.create_task(each) for each in (self._look_after(), self._prune())]
        try:
            while True:
                await asyncio.sleep(COMMIT_S)
                if self._kafka.ended:  # without it the process would live on and do nothing
                    raise self._kafka.ended
                await self._commit()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.shield(self._leave())

    async def _leave(self) -> None:
        await self._kafka.close()
        try:
            await self._member.store.control.leave(self._member.full_name, self.id)
        except Unavailable as error:
            log.warning("consumer.not_unlisted", group=self._member.group, error=str(error))

    def _deliver(self, records: list[Record]) -> None:
        for key, run in groupby(records, key=attrgetter("home")):
            if worker := self._workers.get(key):
                worker.add(list(run))

    async def _assigned(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        claimed = await self._claimed(partitions)
        crash_point("claim.after-commit")
        self._workers |= {key: self._worker(key, progress) for key, progress in claimed.items()}
        self._member.metrics.moved("assigned", len(claimed))
        log.info("consumer.assigned", group=self._member.group, partitions=len(partitions))
        return {key: progress.next for key, progress in claimed.items()}

    async def _claimed(self, partitions: list[Partition]) -> Mapping[Partition, Progress]:
        for pause in backoff():
            try:
                return await self._member.store.positions.claim(self._member.group, partitions)
            except Exception as error:
                log.warning("consumer.positions_unknown", group=self._member.group, error=str(error))
                await asyncio.sleep(pause)
        raise AssertionError("backoff never ends")

    async def _revoked(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        leaving = [self._workers.pop(key) for key in partitions if key in self._workers]
        stopped = await asyncio.gather(*(worker.stop() for worker in leaving))
        self._member.metrics.moved("revoked", len(leaving))
        log.info("consumer.revoked", group=self._member.group, partitions=len(leaving))
        return {worker.key: next_ for worker, next_ in zip(leaving, stopped, strict=True) if next_}

    async def _commit(self) -> None:
        workers = list(self._workers.values())
        try:
            for worker in workers:
                await worker.save()
        except Unavailable as error:
            log.warning("consumer.not_saved", group=self._member.group, error=str(error))
        moved = {worker.key: next_ for worker in workers if (next_ := worker.news()) is not None}
        if moved:
            self._kafka.commit(moved)

    async def _look_after(self) -> None:
        """Tell operators what this member does and do what they ask for."""
        while True:
            try:
                await self._look()
            except Exception as error:
                if not is_transient(error):
                    log.error("consumer.control_failed", group=self._member.group, exc_info=error)
            await asyncio.sleep(LOOK_S)

    async def _prune(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_S)
            try:
                await self._member.store.handled.prune(datetime.now(UTC) - KEPT)
            except Exception as error:
                log.warning("consumer.not_pruned", group=self._member.group, error=str(error))

    async def _look(self) -> None:
        member, workers = self._member, dict(self._workers)
        workload = Workload(
            partitions=len(workers),
            waiting=sum(worker.waiting for worker in workers.values()),
            running=sum(worker.running for worker in workers.values()),
            retrying=member.retrying,
            handled=member.handled,
        )
        member.is_paused = await member.store.control.report(member.full_name, self.id, workload)
        due = await member.store.letters.due(member.full_name, workers) if workers else []
        for key, run in groupby(due, key=lambda letter: letter.record.home):
            workers[key].redrive(list(run))
        for worker in self._workers.values():
            worker.wake()
        now = asyncio.get_running_loop().time()
        if workers and now - self._counted_at >= COUNT_S:
            self._letters = await member.store.letters.counts(member.full_name, workers)
            self._counted_at = now


class ConsumerRunner(GroupRunner):
    """A member that has events handled."""

    def __init__(
        self, consumer: Consumer, broker: Broker, codec: Codec, store: GroupStore, dead_letters: Producer
    ) -> None:
        super().__init__(consumer, consumer.topics, broker, codec, store, dead_letters)
        self._lanes = Lanes(consumer.lanes) if consumer.lanes else None

    def _worker(self, key: Partition, progress: Progress) -> PartitionWorker:
        if self._lanes:
            return LaneWorker(key, progress, self._member, self._lanes)
        return BatchWorker(key, progress, self._member)
