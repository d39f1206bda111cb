"""Run a recorder: a group that takes every record as it lies on its topics, in the order of each partition.

Unlike a consumer (infra/consumer.py) it decodes nothing, gives up no record and buries none: a partition that cannot be kept
stands still and says so, because a log with holes is none.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from infra.avro import Codec
from infra.broker import Broker, Producer
from infra.consumer import GroupRunner
from infra.crash_points import crash_point
from infra.handled import finished
from infra.member import GroupStore, Member, backoff, where
from infra.partition_worker import PartitionWorker
from infra.positions import Fenced, Progress
from infra.postgres import is_transient
from shared_kernel.module import Consumer, Recorder
from shared_kernel.records import Partition, Record

BATCH = 2_000  # records kept in one transaction
WAIT = timedelta(seconds=0.25)  # for more of them: nobody waits for the log
MINUTE_S = 60.0

log = structlog.get_logger()


class RecorderRunner(GroupRunner):
    """One member of the group in this process."""

    def __init__(
        self, recorder: Recorder, broker: Broker, codec: Codec, store: GroupStore, dead_letters: Producer
    ) -> None:
        consumer = Consumer(recorder.group, (), batch_size=BATCH, batch_wait=WAIT)
        super().__init__(consumer, recorder.topics, broker, codec, store, dead_letters)
        self._recorder = recorder

    async def run(self) -> None:
        chores = asyncio.create_task(self._every_minute())
        try:
            await super().run()
        finally:
            chores.cancel()

    async def _every_minute(self) -> None:
        while True:
            try:
                await self._recorder.every_minute()
            except Exception as error:
                log.warning("recorder.chore_failed", group=self._recorder.group, exc_info=error)
            await asyncio.sleep(MINUTE_S)

    def _worker(self, key: Partition, progress: Progress) -> PartitionWorker:
        return RecordWorker(key, progress, self._member, self._recorder)


class RecordWorker(PartitionWorker):
    """Keeps one batch after the other, each in one transaction with the group's position."""

    def __init__(self, key: Partition, progress: Progress, member: Member, recorder: Recorder) -> None:
        self._recorder = recorder
        self._is_working = False
        super().__init__(key, progress, member)

    @property
    def running(self) -> int:
        return int(self._is_working)

    async def save(self) -> None:
        """Nothing: every batch has saved."""

    async def _settle(self) -> None:
        """Nothing: the worker's task keeps the batch itself."""

    async def _take(self, batch: list[Record]) -> None:
        self._is_working = True
        await self._keep(batch)
        self._is_working = False

    async def _keep(self, batch: Sequence[Record]) -> None:
        """Keep the batch, however long that takes; after a stop begun meanwhile, give up at the next failure."""
        if not batch:
            return
        member, to = self._member, replace(self._progress, next=batch[-1].offset + 1)
        done = (batch[0].offset, to.next)
        for tries, pause in enumerate(backoff(), 1):
            try:
                with self._figures.timed():
                    async with member.store.positions.transaction():
                        await member.store.positions.advance(member.group, {self.key: to})
                        await self._recorder.keep(batch)
                        row = await self._note(finished([done], [(*done, tries)]))
                        crash_point("record.before-commit")
                    crash_point("record.after-commit")
                self._progress, self._handled = to, row
                member.handled += len(batch)
                self._figures.finished(len(batch))
                return
            except Fenced:
                self._is_fenced = True
                return
            except Exception as error:
                tell = log.warning if is_transient(error) else log.error
                self._figures.failed(transient=is_transient(error))
                tell("recorder.retry", group=member.group, error=repr(error), **where(batch[0]))
            if await self._stopped_within(pause):
                return
