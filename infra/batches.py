"""Work on one partition in batches: a batch's effects and the group's position commit together, one batch after the other."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

import structlog

from infra.avro import Undecodable
from infra.consumer_tracing import processing_all
from infra.crash_points import crash_point
from infra.dead_letters import Letter
from infra.handled import finished, without
from infra.member import ATTEMPTS, Heard, backoff, behind, call, letter, where
from infra.partition_worker import PartitionWorker
from infra.positions import Fenced, Progress
from shared_kernel.records import Record

log = structlog.get_logger()


class BatchWorker(PartitionWorker):
    """Order per key holds because the whole partition's does."""

    _is_working = False
    _tries = 0  # of what is being handled

    @property
    def running(self) -> int:
        return int(self._is_working)

    async def save(self) -> None:
        """Nothing: every batch has saved."""

    async def _settle(self) -> None:
        """Nothing: the worker's task runs the batch itself."""

    async def _take(self, batch: list[Record]) -> None:
        self._is_working, self._tries = True, 0
        await self._work(batch)
        self._is_working = False

    async def _work(self, batch: Sequence[Record]) -> None:
        """Handle the batch, however long that takes; after a stop begun meanwhile, give up at the next failure."""
        failures = 0
        for pause in backoff():
            if not batch:
                return
            self._tries += 1
            try:
                with self._figures.timed():
                    await self._apply(batch)
                return
            except Fenced:
                self._is_fenced = True
                return
            except Exception as error:
                failures += not self._member.passes(error, batch[0])
                if failures and len(batch) > 1:
                    await self._one_by_one(batch)
                    return
                if failures >= ATTEMPTS:
                    batch = await self._without(batch[0], error, failures)
            self._member.retrying += 1
            stopped = await self._stopped_within(pause)
            self._member.retrying -= 1
            if stopped:
                return

    async def _one_by_one(self, batch: Sequence[Record]) -> None:
        before = self._tries
        for record in batch:
            self._tries = before
            if not (self._stopping.is_set() or self._is_fenced) and record.offset >= self._progress.next:
                await self._work([record])

    async def _without(self, record: Record, error: Exception, attempts: int) -> list[Record]:
        """Bury the record and go past it. Return what is left to do: the record, if that did not work out."""
        try:
            await self._commit([record], [], [letter(record, error, attempts)])
        except Exception as failure:
            if not self._member.passes(failure, record):
                log.error("consumer.not_buried", group=self._member.group, exc_info=failure, **where(record))
            return [record]
        return []

    async def _apply(self, batch: Sequence[Record]) -> None:
        heard = await self._member.heard(self._unfinished(batch))
        dead = [letter(each.record, each.event, 1) for each in heard if isinstance(each.event, Undecodable)]
        await self._commit(batch, [each for each in heard if each.handler], dead)

    async def _commit(self, batch: Sequence[Record], heard: Sequence[Heard], dead: list[Letter]) -> None:
        """Commit the batch's effects, its dead letters and the position together."""
        member, to = self._member, self._after(batch)
        async with member.store.positions.transaction():
            # First: the row's lock keeps operators from taking letters away until this has committed, and handlers that
            # number what they store rely on it.
            await member.store.positions.advance(member.group, {self.key: to})
            crash_point("batch.after-position")
            if member.consumer.parks:
                heard = await self._not_parked(heard, dead)
            if dead:
                await member.bury(dead)
            async with member.consumer.together([each.event for each in heard]):
                for _, run in groupby(heard, key=attrgetter("handler.call", "handler.batch")):
                    await _handle(list(run), member.group)
            whole = (batch[0].offset, to.next)
            done = without(whole, self._progress.beyond)
            row = await self._note(finished(done, [(*whole, self._tries)], [each.record.offset for each in dead]))
            crash_point("batch.before-commit")
        crash_point("batch.after-commit")
        self._progress, self._handled = to, row
        member.handled += len(batch)
        self._figures.done(len(batch), [each.event for each in heard], len(dead))

    async def _not_parked(self, heard: Sequence[Heard], dead: list[Letter]) -> list[Heard]:
        """Return what has no dead letter of its key before it; the others join the dead."""
        parked = {key for _, key in await self._member.store.letters.parked(self._member.full_name, [self.key])}
        first = {each.record.key: each.record.offset for each in reversed(dead) if each.record.key is not None}
        free = []
        for each in heard:
            key, offset = each.record.key, each.record.offset
            if key is not None and (key in parked or first.get(key, offset) < offset):
                dead.append(behind(each.record))
            else:
                free.append(each)
        return free

    def _unfinished(self, batch: Sequence[Record]) -> Sequence[Record]:
        """Return those that were not done before: a replay of a stretch leaves out what comes after it."""
        beyond = self._progress.beyond
        return [each for each in batch if not any(a <= each.offset < b for a, b in beyond)] if beyond else batch

    def _after(self, batch: Sequence[Record]) -> Progress:
        next_ = batch[-1].offset + 1
        left = tuple(stretch for stretch in self._progress.beyond if stretch[1] > next_)
        return replace(self._progress, next=next_, beyond=left)


async def _handle(run: list[Heard], group: str) -> None:
    """Handle what has one function, which may hear several types."""
    if (handler := run[0].handler) and handler.batch:
        with processing_all(group, run):
            await handler.call([each.event for each in run])
        return
    for each in run:
        await call(each, group)
