"""What every way to work on one partition has in common: a bounded queue, wake-ups, stopping, claiming it anew."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from time import time

import structlog

from infra.consumer_metrics import LAG, OLDEST, PAUSED, RUNNING, WAITING
from infra.dead_letters import Letter
from infra.handled import Handled, added
from infra.member import Member, backoff
from infra.metrics import Sample
from infra.positions import Progress
from shared_kernel.errors import Unavailable
from shared_kernel.records import Partition, Record

QUEUE_BATCHES = 6  # that wait before the broker is told to deliver no more: pausing throws away what was fetched
BATCH_BYTES = 4 << 20  # of values, after which a batch takes no further record
QUEUE_BYTES = QUEUE_BATCHES * BATCH_BYTES
FENCED_S = 1.0  # before a partition is claimed anew: by then the broker has said whether it is another member's

log = structlog.get_logger()


class PartitionWorker(ABC):
    """What waits and runs of one partition, from its assignment until it is revoked."""

    def __init__(self, key: Partition, progress: Progress, member: Member) -> None:
        self.key = key
        self._member = member
        self._figures = member.metrics.of(key[0])
        self._progress = progress
        self._size = member.consumer.batch_size
        self._waiting: deque[Record] = deque()
        self._read: deque[tuple[int, int]] = (
            deque()
        )  # of each delivery the last offset, and when its first record was written
        self._bytes = 0  # of the values that wait
        self._due: Sequence[Letter] = ()
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._is_throttled = False
        self._is_seeking = False
        self._is_fenced = False
        self._lost: Exception | None = None  # what ends the process
        self._told = progress.next
        self._handled: Handled | None = None  # the row that is being extended
        self._task = asyncio.create_task(self._run())

    @property
    def waiting(self) -> int:
        """Return how many records wait."""
        return len(self._waiting)

    @property
    def progress(self) -> Progress:
        """Return what is done by now."""
        return self._progress

    @property
    @abstractmethod
    def running(self) -> int:
        """Return how many batches or keys are being handled."""

    def samples(self) -> Iterator[Sample]:
        """Yield what the partition's figures are now."""
        labels, end = self._member.metrics.labels(self.key), self._member.kafka.end(self.key)
        self._forget_done()
        yield RUNNING, labels, self.running
        yield WAITING, labels, self.waiting
        yield PAUSED, labels, self._is_throttled
        yield OLDEST, labels, max(time() - self._read[0][1] / 1000, 0.0) if self._read else 0.0
        if end is not None:
            yield LAG, labels, self.progress.lag(end)

    def add(self, records: list[Record]) -> None:
        """Take what the broker delivered."""
        if self._is_seeking:  # it is from before the move
            return
        self._waiting.extend(records)
        self._forget_done()
        self._read.append((records[-1].offset, records[0].timestamp_ms))
        self._bytes += sum(len(record.value or b"") for record in records)
        self._woken.set()
        is_full = len(self._waiting) > QUEUE_BATCHES * self._size or self._bytes > QUEUE_BYTES
        if is_full and not self._is_throttled:
            self._is_throttled = True
            self._member.kafka.pause(self.key)

    def redrive(self, letters: Sequence[Letter]) -> None:
        """Try these dead letters again, before anything that waits."""
        self._due = letters
        self._woken.set()

    def wake(self) -> None:
        """Look whether there is something to do: the group may go on."""
        self._woken.set()

    def news(self) -> int | None:
        """Return where the group stands if that changed since the last call. Raise what ended the work."""
        if self._task.done() and not self._stopping.is_set():
            self._task.result()
        told, self._told = self._told, self._progress.next
        return self._told if told != self._told else None

    @abstractmethod
    async def save(self) -> None:
        """Store how far the work is, where it does not do so by itself. Raise `Unavailable`."""

    async def stop(self) -> int:
        """Let what runs finish, drop the rest, save. Return where the group stands."""
        self._stopping.set()
        self._woken.set()
        await self._task
        await self._settle()
        with suppress(Unavailable):  # what is done will be done again
            await self.save()
        return self._progress.next

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._woken.wait()
            self._woken.clear()
            while not self._stopping.is_set() and (self._is_fenced or not self._member.is_paused):
                if self._lost:
                    raise self._lost
                if self._is_fenced:
                    await self._start_over()
                elif self._due:
                    letters, self._due = self._due, ()
                    await self._redrive(letters)
                elif self._waiting:
                    await self._take(await self._next_batch())
                else:
                    break

    async def _note(self, finished: Handled) -> Handled | None:
        """Store what is finished with the position, in the surrounding transaction. Return the row to extend after it."""
        if not finished.stretches:  # all of it was done before a replay
            return self._handled
        row = added(self._handled, finished)
        await self._member.store.handled.note(self._member.group, self.key, row)
        return row

    @abstractmethod
    async def _take(self, batch: list[Record]) -> None:
        """Handle the batch, or hand it to who does."""

    async def _redrive(self, letters: Sequence[Letter]) -> None:
        """Try dead letters again while nothing else of the partition runs."""
        await self._member.redrive(letters, self._progress, self._stopping)

    async def _next_batch(self) -> list[Record]:
        await self._fill()
        batch: list[Record] = []
        size = 0
        while self._waiting and len(batch) < self._size and size < BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].value or b"")
        self._bytes -= size
        has_room = len(self._waiting) < QUEUE_BATCHES * self._size // 2 and self._bytes < QUEUE_BYTES // 2
        if self._is_throttled and has_room:
            self._is_throttled = False
            self._member.kafka.resume(self.key)
        return [] if self._stopping.is_set() else batch

    async def _fill(self) -> None:
        """Wait for a full batch, for as long as the group's declaration says."""
        wait = self._member.consumer.batch_wait.total_seconds()
        if not wait or len(self._waiting) >= self._size:
            return
        try:
            async with asyncio.timeout(wait):
                while len(self._waiting) < self._size and not self._stopping.is_set():
                    await self._woken.wait()
                    self._woken.clear()
        except TimeoutError:
            pass

    async def _start_over(self) -> None:
        """Forget what waits; unless the partition goes away meanwhile, claim it and read on from where the group stands."""
        self._is_seeking = True
        self._waiting.clear()
        self._read.clear()
        self._member.metrics.moved("fenced")
        self._bytes = 0
        await self._settle()
        log.warning("consumer.fenced", group=self._member.group, partition=self.key)
        for pause in backoff():
            if await self._stopped_within(FENCED_S + pause):
                return
            with suppress(Unavailable):
                claimed = await self._member.store.positions.claim(self._member.group, [self.key])
                break
        self._begin(claimed[self.key])
        self._member.kafka.seek(self.key, self._progress.next, self._moved)
        if self._is_throttled:  # nothing waits any more that could end it
            self._is_throttled = False
            self._member.kafka.resume(self.key)
        while self._is_seeking and not self._stopping.is_set():  # the broker's thread may be waiting for us to stop
            self._woken.clear()
            await self._woken.wait()
        self._is_fenced = False

    def _moved(self) -> None:
        self._is_seeking = False
        self._woken.set()

    @abstractmethod
    async def _settle(self) -> None:
        """Return when nothing of the partition runs any more."""

    def _forget_done(self) -> None:
        while self._read and self._read[0][0] < self._first_unfinished:
            self._read.popleft()

    @property
    def _first_unfinished(self) -> int:
        return self._progress.next

    def _begin(self, progress: Progress) -> None:
        """Work from here on."""
        self._progress = progress

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
