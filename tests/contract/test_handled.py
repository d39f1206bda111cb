"""What groups have handled: the rows at rest, and what members of either kind write, on the twins and on real servers."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.wiring import House
from infra import consumer, member
from infra.dead_letters import Choice
from infra.handled import SPAN_S, Handled, HandledLog, MemoryHandled, Place, PostgresHandled, added, finished, without
from infra.memory_database import MemoryDatabase
from shared_kernel.errors import Unavailable
from shared_kernel.events import Position
from tests.contract.consumer_rig import Handling, OnMemory, OnServers, Rig, replayed
from tests.contract.test_consumer_runtime import BOTH, LANES, rounds
from tests.probes import eventually

HOME = ("t.messages", 3)
START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def row(first: int, past: int, since: datetime = START, **more: tuple[object, ...]) -> Handled:
    return Handled(((first, past),), since, since + timedelta(seconds=0.5), **more)  # type: ignore[arg-type]


def at(*offsets: int) -> list[Place]:
    return [(*HOME, offset) for offset in offsets]


class HandledLogContract:
    async def test_a_record_is_in_the_row_that_has_it(self, rows: HandledLog) -> None:
        group = uuid4().hex
        one, other = row(0, 10, tries=((2, 3, 4),), buried=(2,)), Handled(((10, 12), (15, 20)), START, START)
        await rows.note(group, HOME, one)
        await rows.note(group, HOME, other)

        found = await rows.of(group, at(0, 9, 10, 13, 19, 20))

        assert found == dict(zip(at(0, 9, 10, 19), [one, one, other, other], strict=True))
        assert await rows.of(uuid4().hex, at(0)) == {}
        assert await rows.of(group, [("t.messages", 4, 0), ("t.others", 3, 0)]) == {}
        assert await rows.of(group, []) == {}

    async def test_a_row_that_is_extended_stays_one(self, rows: HandledLog) -> None:
        group, first = uuid4().hex, row(0, 10)
        whole = added(first, row(10, 30))
        await rows.note(group, HOME, first)
        await rows.note(group, HOME, whole)

        assert await rows.of(group, at(5, 29)) == dict.fromkeys(at(5, 29), whole)

    async def test_of_a_record_that_was_handled_again_the_last_time_counts(self, rows: HandledLog) -> None:
        group, again = uuid4().hex, row(3, 5, START + timedelta(hours=1))
        await rows.note(group, HOME, again)
        await rows.note(group, HOME, row(0, 10))

        found = await rows.of(group, at(2, 4))

        assert [found[place].since for place in at(2, 4)] == [START, again.since]

    async def test_old_rows_are_pruned(self, rows: HandledLog) -> None:
        group, young = uuid4().hex, row(10, 20, START + timedelta(days=1))
        await rows.note(group, HOME, row(0, 10))
        await rows.note(group, HOME, young)

        await rows.prune(young.since)

        assert await rows.of(group, at(5, 15)) == {at(15)[0]: young}


class TestMemoryHandled(HandledLogContract):
    @pytest.fixture
    def rows(self) -> HandledLog:
        return MemoryHandled(MemoryDatabase())


class TestPostgresHandled(HandledLogContract):
    @pytest.fixture
    def rows(self, house: House) -> HandledLog:
        return PostgresHandled(house.databases["messaging"], "messaging")


class TestRows:
    def test_a_row_is_extended_for_a_second_and_no_longer(self) -> None:
        first = row(0, 10)
        soon, late = row(10, 20, START + timedelta(seconds=0.4)), row(10, 20, START + timedelta(seconds=SPAN_S))

        assert added(first, soon) == Handled(((0, 20),), START, soon.until)
        assert added(first, late) == late
        assert added(None, late) == late

    def test_a_row_keeps_its_beginning(self) -> None:
        assert added(row(10, 20), row(5, 10)) == row(5, 10)

    def test_what_took_one_try_is_not_told(self) -> None:
        assert finished([(0, 5)], [(0, 5, 1)]).tries == ()
        done = finished([(5, 6), (4, 5), (9, 10)], [(4, 5, 3)])
        assert done.stretches == ((4, 6), (9, 10))
        assert [done.attempts(offset) for offset in (4, 5)] == [3, 1]

    @given(st.integers(0, 20), st.integers(0, 20), st.sets(st.integers(0, 25)))
    def test_a_stretch_without_what_is_done_is_the_rest(self, first: int, length: int, done: set[int]) -> None:
        left = without((first, first + length), [(offset, offset + 1) for offset in sorted(done)])

        assert [offset for a, b in left for offset in range(a, b)] == sorted({*range(first, first + length)} - done)


async def noted(rig: Rig, positions: list[Position], count: int | None = None) -> list[Handled | None]:
    """Return the rows the records are in, once there are so many, all unless told."""
    places = [(*rig.partition(each.partition), each.offset) for each in positions]
    wanted = len(places) if count is None else count
    found = await eventually(lambda: rig.store.handled.of(rig.group, places), until=lambda found: len(found) >= wanted)
    return [found.get(place) for place in places]


class HandledRuntimeContract:
    @BOTH
    async def test_every_record_is_in_a_row_once_it_is_done_and_not_before(self, rig: Rig) -> None:
        handle, began = Handling(rig), datetime.now(UTC)
        gate = handle.hold("k0/1")
        positions = await rig.publish(*rounds(0, 2))
        stuck = rounds(0, 2).index("k0/1")
        async with rig.member(handle, batch_size=1):
            await handle.reached("k0/1")
            assert (await noted(rig, [positions[stuck]], 0)) == [None]
            gate.set()
            rows = await noted(rig, positions)

        assert all(each and began <= each.since <= each.until <= datetime.now(UTC) for each in rows)
        assert all(
            each and each.attempts(place.offset) == 1 and not each.buried
            for each, place in zip(rows, positions, strict=True)
        )

    @BOTH
    async def test_tries_are_counted(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.failures["k0/0"] = [Unavailable("elsewhere_unavailable"), ValueError("once")]
        positions = await rig.publish("k0/0", "k0/1")
        async with rig.member(handle, batch_size=1):
            first, second = await noted(rig, positions)

        assert first
        assert second
        assert [first.attempts(positions[0].offset), second.attempts(positions[1].offset)] == [3, 1]

    @BOTH
    async def test_a_dead_letter_is_told_from_the_others_and_a_redrive_is_a_row_of_its_own(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.hopeless = {"k0/1"}
        positions = await rig.publish("k0/0", "k0/1", "k0/2")
        async with rig.member(handle):
            before = await noted(rig, positions)
            handle.hopeless = set()
            await rig.letters.redrive(rig.full_name, Choice())
            await rig.emptied()
            after = await noted(rig, positions)

        places = [each.offset for each in positions]
        assert [each and place in each.buried for each, place in zip(before, places, strict=True)] == [
            False,
            True,
            False,
        ]
        assert after[1]
        assert not after[1].buried
        assert after[1].attempts(places[1]) == 4

    @BOTH
    async def test_a_replay_is_noted_for_what_is_handled_again(self, rig: Rig) -> None:
        positions = await rig.publish(*rounds(0, 9, ["k0"]))
        async with rig.member(Handling(rig)):
            first = await noted(rig, positions)
        await rig.moved(replayed(positions[2].offset, positions[5].offset), positions[0].partition)
        handle = Handling(rig)
        async with rig.member(handle):
            await rig.until(12)

            async def again() -> list[bool]:
                return [one != other for one, other in zip(first, await noted(rig, positions), strict=True)]

            assert (
                await eventually(again, until=lambda found: sum(found) >= 3) == [False] * 2 + [True] * 3 + [False] * 4
            )

        assert handle.begun == rounds(2, 5, ["k0"])

    @LANES
    async def test_what_is_done_behind_a_stuck_key_is_noted(self, rig: Rig) -> None:
        handle = Handling(rig)
        gate = handle.hold("k0/0")
        positions = await rig.publish(*rounds(0, 3))
        async with rig.member(handle):
            await handle.reached("k0/0")
            rows = await noted(rig, positions, 3 * len(rounds(0, 1)) - 3)
            gate.set()
            whole = await noted(rig, positions)

        stuck = [rounds(0, 3).index(f"k0/{number}") for number in range(3)]
        assert [place for place, each in enumerate(rows) if each is None] == stuck
        assert all(whole)


class TestMemoryRuntime(OnMemory, HandledRuntimeContract):
    """In memory."""


class TestServersRuntime(OnServers, HandledRuntimeContract):
    """On real servers."""

    quick = (
        (consumer, "COMMIT_S", 0.1),
        (consumer, "LOOK_S", 0.1),
        (member, "BACKOFF_S", (0.02, 0.5)),
    )
