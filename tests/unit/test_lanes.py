"""Lanes against a model: whatever handlers do and whenever members stop, die and start."""

import asyncio
import contextlib
from collections import defaultdict
from typing import Any, Literal, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.consumer import ConsumerRunner
from infra.dead_letters import Choice
from infra.positions import Progress
from schemas.messaging.events import MessageSent
from shared_kernel.errors import Unavailable
from tests.contract.consumer_rig import PARTITIONS, MemoryRig
from tests.probes import eventually
from tests.virtual_time import skip_waits


class Planned(NamedTuple):
    """An event and what becomes of it."""

    key: str
    takes_s: float
    passing_failures: int
    is_hopeless: bool


class Life(NamedTuple):
    """One member's."""

    lasts_s: float
    ends: Literal["stop", "crash"]


PLANS = st.builds(
    Planned,
    key=st.sampled_from("abcde"),
    takes_s=st.sampled_from([0, 0, 0.01, 0.4, 1.1]),
    passing_failures=st.sampled_from([0, 0, 0, 1, 3]),
    is_hopeless=st.sampled_from([False] * 7 + [True]),
)
LIVES = st.builds(Life, lasts_s=st.floats(0, 3), ends=st.sampled_from(["stop", "crash"]))


class House:
    """Members of one group, one after the other, and what they did."""

    def __init__(self, plans: list[Planned], lanes: int, batch_size: int, parks: bool) -> None:
        self.plans = {f"{plan.key}/{at}": plan for at, plan in enumerate(plans)}
        self.rig = MemoryRig(lanes)
        self.declared = {"batch_size": batch_size, "parks": parks}
        self.life = 0
        self.handled: list[tuple[int, str]] = []  # in which life
        self.tries: dict[str, int] = defaultdict(int)
        self.running: set[str] = set()
        self.kin: dict[asyncio.Task[Any], int] = {}  # tasks by the life they belong to

    async def handle(self, message: MessageSent) -> None:
        name = message.body
        plan = self.plans[name]
        assert plan.key not in {other[0] for other in self.running}
        assert len(self.running) < self.rig.lanes
        self.running.add(name)
        try:
            await asyncio.sleep(plan.takes_s)
            self.tries[name] += 1
            if self.tries[name] <= plan.passing_failures:
                raise Unavailable("elsewhere_unavailable")
            if plan.is_hopeless:
                raise ValueError(name)
            self.handled.append((self.life, name))
        finally:
            self.running.discard(name)

    async def live(self, life: Life) -> None:
        self.life += 1
        runner = self.rig.runner(self.handle, **self.declared)
        task = asyncio.create_task(runner.run())
        self.kin[task] = self.life
        await asyncio.sleep(life.lasts_s)
        assert not task.done()
        if life.ends == "crash":
            await self.crash(runner)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def crash(self, runner: ConsumerRunner) -> None:
        """End everything the member does where it stands."""
        self.rig.stall(runner)
        while alive := [task for task, life in self.kin.items() if life == self.life and not task.done()]:
            for task in alive:
                task.cancel()
            await asyncio.sleep(0)

    def adopt(self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
        """Make a task that belongs to the life of the task that makes it."""
        task = asyncio.Task(work, loop=loop, **more)
        parent = asyncio.current_task(loop)
        if parent in self.kin:
            self.kin[task] = self.kin[parent]
        return task

    async def saved(self) -> set[str]:
        """Return the events that are done for good, while no member lives."""
        partitions = [self.rig.partition(number) for number in range(PARTITIONS)]
        done = set()
        for at, progress in (await self.rig.store.positions.claim(self.rig.group, partitions)).items():
            for record in self.rig.memory.log_of(at):
                if is_done(progress, record.offset):
                    event = self.rig.codec.decode(record.value)
                    assert isinstance(event, MessageSent)
                    done.add(event.body)
        return done

    async def standing(self) -> dict[tuple[str, int], int]:
        return await self.rig.store.positions.load(self.rig.group)

    def ends(self) -> dict[tuple[str, int], int]:
        partitions = [self.rig.partition(number) for number in range(PARTITIONS)]
        return {at: len(self.rig.memory.log_of(at)) for at in partitions}

    async def buried(self) -> set[str]:
        letters = await self.rig.letters.chosen(self.rig.full_name, Choice())
        events = [self.rig.codec.decode(letter.record.value) for letter in letters]
        return {event.body for event in events if isinstance(event, MessageSent)}


def is_done(progress: Progress, offset: int) -> bool:
    return offset < progress.next or any(first <= offset < last for first, last in progress.beyond)


@settings(max_examples=25)
@given(
    plans=st.lists(PLANS, max_size=40),
    lives=st.lists(LIVES, max_size=5),
    lanes=st.integers(1, 4),
    batch_size=st.integers(1, 7),
    parks=st.booleans(),
)
def test_order_holds_nothing_is_lost_and_only_a_crash_repeats_what_was_not_saved(
    plans: list[Planned], lives: list[Life], lanes: int, batch_size: int, parks: bool
) -> None:
    async def check() -> None:
        skip_waits(asyncio.get_running_loop())
        house = House(plans, lanes, batch_size, parks)
        asyncio.get_running_loop().set_task_factory(house.adopt)
        await house.rig.start()
        await house.rig.publish(*house.plans)
        done_for_good: set[str] = set()  # before the last life
        for life in lives:
            before = len(house.handled)
            await house.live(life)
            now = [name for _, name in house.handled[before:]]
            saved, buried = await house.saved(), await house.buried()

            assert len(now) == len(set(now))
            assert not set(now) & done_for_good
            assert done_for_good <= saved <= {name for _, name in house.handled} | buried
            if life.ends == "stop":
                assert set(now) <= saved
            done_for_good = saved
        before = len(house.handled)
        async with house.rig.member(house.handle, **house.declared):
            house.life += 1
            await eventually(house.standing, within=200, until=lambda standing: standing == house.ends())
        buried = await house.buried()

        assert not {name for _, name in house.handled[before:]} & done_for_good
        assert {name for _, name in house.handled} | buried == set(house.plans)
        assert buried >= {name for name, plan in house.plans.items() if plan.is_hopeless and not parks}
        check_order(house, buried, parks)

    with asyncio.Runner() as runner:
        runner.run(check())


def check_order(house: House, buried: set[str], parks: bool) -> None:
    """Check that each key's events came in their order, and after a dead one none if the group parks."""
    for key in "abcde":
        published = [name for name in house.plans if name[0] == key]
        firsts = list(dict.fromkeys(name for _, name in house.handled if name[0] == key))
        assert firsts == [name for name in published if name in set(firsts)]
        for life in range(house.life + 1):
            lived = [published.index(name) for at, name in house.handled if at == life and name[0] == key]
            assert lived == sorted(set(lived))
        if parks:
            dead = next((at for at, name in enumerate(published) if house.plans[name].is_hopeless), len(published))
            assert (firsts, set(published[dead:])) == (published[:dead], buried & set(published))


def test_what_is_interrupted_by_a_stop_is_begun_again_by_the_next_member() -> None:
    async def check() -> None:
        skip_waits(asyncio.get_running_loop())
        rig = MemoryRig(4)
        await rig.start()
        await rig.publish("a/long", "a/behind", "b/short")
        begun: list[str] = []
        done: list[str] = []

        async def never_ends(message: MessageSent) -> None:
            begun.append(message.body)
            if message.body == "a/long":
                await asyncio.Event().wait()
            done.append(message.body)

        async def ends(message: MessageSent) -> None:
            done.append(message.body)

        async def finished() -> int:
            return len(done)

        async with rig.member(never_ends, is_interruptible=True):
            await eventually(finished, until=lambda count: count == 1)
        assert (sorted(begun), done) == (["a/long", "b/short"], ["b/short"])
        async with rig.member(ends, is_interruptible=True):
            await eventually(finished, until=lambda count: count == 3)
        assert done == ["b/short", "a/long", "a/behind"]

    with asyncio.Runner() as runner:
        runner.run(check())
