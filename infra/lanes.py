"""Work on events one by one, many keys at once: order per key holds, whatever else waits (docs/consumers.md).

A lane is one busy key. At most as many are handled at once as the group declares, over all its partitions, taken in turn.
An event counts as done when its handler has returned; which ones are is stored every half second and when the partition
goes, so that a graceful stop repeats nothing and a crash repeats the last half second: at least once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from infra.avro import Undecodable
from infra.crash_points import crash_point
from infra.dead_letters import Letter
from infra.handled import finished
from infra.member import ATTEMPTS, Heard, Member, backoff, behind, call, letter
from infra.partition_worker import QUEUE_BATCHES, PartitionWorker
from infra.positions import Fenced, Progress
from infra.watermark import Watermark
from shared_kernel.errors import Unavailable
from shared_kernel.events import Event
from shared_kernel.records import Partition, Record

SPAN_LIMIT = 10_000  # records behind one that does not finish, before no more are begun
PAUSE_LOOK_S = 0.2
TURN = 64  # events of one lane before another's, and before the loop gets to breathe

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Lane:
    """What waits of one key."""

    key: object
    worker: "LaneWorker"
    waiting: deque[Heard] = field(default_factory=deque)


class Lanes:
    """Hands the busy keys of all partitions to as many tasks as may run at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ready: deque[Lane] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, lane: Lane) -> None:
        """Have the lane worked on when its turn comes."""
        self._ready.append(lane)
        if len(self._tasks) < self._limit:
            task = asyncio.create_task(self._drive())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drive(self) -> None:
        while self._ready:
            lane = self._ready.popleft()
            await lane.worker.drive(lane)
            if lane.waiting:
                self._ready.append(lane)
            await asyncio.sleep(0)


class LaneWorker(PartitionWorker):
    """One partition's share of the lanes."""

    def __init__(self, key: Partition, progress: Progress, member: Member, lanes: Lanes) -> None:
        self._lanes = lanes
        self._open: dict[object, Lane] = {}
        self._running = 0
        self._saving = asyncio.Lock()
        self._done: dict[int, int] = {}  # offset → tries, of what was finished since the place was stored
        self._dead: set[int] = set()  # the dead letters among it
        self._calls: set[asyncio.Task[None]] = set()  # of handlers that may be interrupted
        self._parked: set[bytes] | None = None  # keys, once read; operators may take some away, nobody else adds any
        super().__init__(key, progress, member)
        self._begin(progress)

    @property
    def waiting(self) -> int:
        return len(self._waiting) + self._mark.unfinished - self._running

    @property
    def running(self) -> int:
        return self._running

    @property
    def progress(self) -> Progress:
        return self._reached()

    async def save(self) -> None:
        async with self._saving:
            if (progress := self._reached()) != self._progress:
                try:
                    async with self._member.store.positions.transaction():
                        stored = await self._store(progress)
                        crash_point("lanes.before-commit")
                    crash_point("lanes.after-commit")
                    stored()
                except Fenced:
                    self._is_fenced = True
                    self._woken.set()

    async def drive(self, lane: Lane) -> None:
        """Handle a turn of the lane's events, one after the other."""
        self._running += 1
        events: list[Event | Undecodable] = []  # that were handled
        try:
            for _ in range(TURN):
                if self._member.is_paused:
                    await self._unpaused()
                if not lane.waiting or self._stopping.is_set() or self._is_fenced:
                    break
                heard = lane.waiting.popleft()
                if await self._handle(heard, events):
                    self._mark.finish(heard.record.offset)
                    self._member.handled += 1
        except Exception as error:  # a fault of this file: the process must not go on as if nothing was
            self._lost = error
        self._figures.done(len(events), events)
        if self._stopping.is_set() or self._is_fenced or self._lost:
            lane.waiting.clear()
        if not lane.waiting and self._open.get(lane.key) is lane:
            del self._open[lane.key]
        self._running -= 1
        self._woken.set()

    async def _take(self, batch: list[Record]) -> None:
        """Put the batch's events into their lanes, then wait until there is room for another."""
        for heard in await self._begun(batch):
            key = heard.record.key if heard.record.key is not None else heard.record.offset
            if (lane := self._open.get(key)) is None:
                lane = self._open[key] = Lane(key, self)
                self._lanes.put(lane)
            lane.waiting.append(heard)
        await self._until(lambda: self._mark.unfinished <= QUEUE_BATCHES * self._size and self._mark.span <= SPAN_LIMIT)

    async def _begun(self, batch: Sequence[Record]) -> list[Heard]:
        """Return what there is to handle; the rest is done with this."""
        if self._parked is None and self._member.consumer.parks:
            await self._insist_on(self._learn_parked)
        heard = await self._insist_on(lambda: self._member.heard(batch))
        offsets = {each.record.offset for each in heard or ()}
        if heard is None:
            return []
        new = {record.offset for record in batch if self._mark.begin(record.offset)}
        for offset in new - offsets:
            self._mark.finish(offset)
            self._done[offset] = 1
            self._member.handled += 1
        self._figures.done(len(new - offsets))
        return [each for each in heard if each.record.offset in new]

    async def _handle(self, heard: Heard, handled: list[Event | Undecodable]) -> bool:
        """Return whether the event is done: handled, which adds it there, or among the dead letters."""
        record, failures = heard.record, 0
        failure: Exception | None = heard.event if isinstance(heard.event, Undecodable) else None
        pauses, tries = backoff(), 0
        while True:
            tries += 1
            try:
                if self._parked and record.key in self._parked and await self._buried(behind(record)):
                    return True
                if failure and (failures >= ATTEMPTS or isinstance(failure, Undecodable)):
                    return await self._buried(letter(record, failure, failures))
                with self._figures.timed():
                    if not await self._called(heard):
                        return False
                self._done[record.offset] = tries
                handled.append(heard.event)
                return True
            except Fenced:
                self._is_fenced = True
                self._woken.set()
                return False
            except Exception as error:
                if not self._member.passes(error, record):
                    failures, failure = failures + 1, failure if isinstance(failure, Undecodable) else error
            self._member.retrying += 1
            stopped = await self._stopped_within(next(pauses))
            self._member.retrying -= 1
            if stopped or self._is_fenced:
                return False

    async def _called(self, heard: Heard) -> bool:
        """Return whether the handler has returned; False where it was interrupted because the partition goes."""
        if not self._member.consumer.is_interruptible:
            await call(heard, self._member.group)
            return True
        work = asyncio.create_task(call(heard, self._member.group))
        self._calls.add(work)
        work.add_done_callback(self._calls.discard)
        await asyncio.wait([work])
        if work.cancelled() and (self._stopping.is_set() or self._is_fenced):
            return False
        work.result()
        return True

    async def _buried(self, dead: Letter) -> bool:
        """Bury the letter. Return False if it was to wait behind another that operators have taken away."""
        member, key = self._member, dead.record.key
        async with self._saving, member.store.positions.transaction():
            stored = await self._store(self._reached())  # locks the row: operators wait
            if not dead.attempts:
                await self._learn_parked()
                if not self._parked or key not in self._parked:
                    return False
            await member.bury([dead])
        stored()  # only now: the transaction might have come to nothing
        self._done[dead.record.offset] = dead.attempts
        self._dead.add(dead.record.offset)
        self._figures.done(1, dead=1)
        if self._parked is not None and key is not None:
            self._parked.add(key)
        return True

    async def _learn_parked(self) -> None:
        member = self._member
        self._parked = {key for _, key in await member.store.letters.parked(member.full_name, [self.key])}

    async def _redrive(self, letters: Sequence[Letter]) -> None:
        keys = {each.record.key for each in letters}
        await self._until(lambda: not keys & self._open.keys())
        async with self._saving:
            await self._member.redrive(letters, self._progress, self._stopping)
        if self._member.consumer.parks:  # at once: events of other keys may wait in their lanes
            await self._insist_on(self._learn_parked)

    @property
    def _first_unfinished(self) -> int:
        return self._mark.next

    def _reached(self) -> Progress:
        return replace(self._progress, next=self._mark.next, beyond=self._mark.beyond())

    async def _store(self, progress: Progress) -> Callable[[], None]:
        """Store the place and what was done since the last one. Return what to do once that has committed."""
        done, dead = dict(self._done), frozenset(self._dead)
        await self._member.store.positions.advance(self._member.group, {self.key: progress})
        row = self._handled
        if done:
            tries = [(offset, offset + 1, count) for offset, count in done.items()]
            row = await self._note(finished(((offset, offset + 1) for offset in done), tries, dead))

        def stored() -> None:
            self._progress, self._handled = progress, row
            self._done = {offset: count for offset, count in self._done.items() if offset not in done}
            self._dead -= dead

        return stored

    def _begin(self, progress: Progress) -> None:
        super()._begin(progress)
        self._mark = Watermark(progress.next, progress.beyond)
        self._done = {}
        self._dead = set()
        self._parked = None

    async def _settle(self) -> None:
        for work in self._calls:
            work.cancel()
        while self._running:
            self._woken.clear()
            await self._woken.wait()
        for lane in self._open.values():
            lane.waiting.clear()  # its turn may still come
        self._open.clear()

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds, the partition goes away or is another's."""
        while not (holds() or self._stopping.is_set() or self._is_fenced or self._lost):
            self._woken.clear()
            await self._woken.wait()

    async def _unpaused(self) -> None:
        while self._member.is_paused and not self._stopping.is_set():
            await self._stopped_within(PAUSE_LOOK_S)

    async def _insist_on(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Return what the work returns, however often it has to be tried; None after a stop."""
        for pause in backoff():
            with suppress(Unavailable):
                return await work()
            if await self._stopped_within(pause):
                return None
        raise AssertionError("backoff never ends")
