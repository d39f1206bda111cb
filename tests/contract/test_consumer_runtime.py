"""The consumer runtime, on the twins in memory and on Kafka with PostgreSQL: in batches and in lanes alike."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from infra import consumer, kafka_consumer, lanes, member, partition_worker
from infra.avro import HEADER
from infra.broker import PositionLost
from infra.dead_letters import Choice, Letter
from infra.envelope import seal
from infra.memory_broker import murmur2
from schemas.messaging.events import MessageEdited, MessageSent
from shared_kernel.errors import Unavailable
from shared_kernel.events import Position
from shared_kernel.module import on_batch
from shared_kernel.records import Record
from tests.contract.consumer_rig import (
    PARTITIONS,
    Handling,
    MemoryRig,
    OnMemory,
    OnServers,
    Rig,
    event,
    in_order,
    key_of,
    replayed,
)
from tests.probes import eventually, seen

KEYS = [f"k{number}" for number in range(20)]
BOTH = pytest.mark.parametrize("lanes", [0, 8], ids=["batches", "lanes"])
BATCHES = pytest.mark.parametrize("lanes", [0], ids=["batches"])
LANES = pytest.mark.parametrize("lanes", [4], ids=["lanes"])


def rounds(first: int, end: int, keys: Sequence[str] = KEYS) -> list[str]:
    """Return events of all keys in turn."""
    return [f"{key}/{number}" for number in range(first, end) for key in keys]


def ends(positions: Sequence[Position], rig: Rig) -> dict[tuple[str, int], int]:
    """Return where a group stands that has done all this."""
    last = {rig.partition(number): 0 for number in range(PARTITIONS)}
    for position in positions:
        last[rig.partition(position.partition)] = position.offset + 1
    return last


def waiting(runner: consumer.ConsumerRunner) -> int:
    """Return how many records wait."""
    return sum(worker.waiting for worker in runner._workers.values())


class MovesContract:
    """Order, one effect, stops and moves."""

    @BOTH
    async def test_every_event_has_one_effect_in_the_order_of_its_key(self, rig: Rig) -> None:
        names = rounds(0, 20)
        positions = await rig.publish(*names)
        handle = Handling(rig)
        async with rig.member(handle):
            done = await rig.until(len(names))
            await rig.stands(ends(positions, rig))

        assert in_order(done) == in_order(names)
        assert handle.overlaps == []

    @BOTH
    async def test_a_graceful_stop_repeats_nothing_and_skips_nothing(self, rig: Rig) -> None:
        for turn in range(4):
            await rig.publish(*rounds(turn * 5, turn * 5 + 5))
            async with rig.member(Handling(rig), batch_size=7):
                await rig.until(turn * 100 + 10)  # some of it
        async with rig.member(Handling(rig)):
            done = await rig.until(400)

        assert in_order(done) == in_order(rounds(0, 20))

    @BOTH
    async def test_members_that_come_and_go_under_load_double_nothing_and_skip_nothing(self, rig: Rig) -> None:
        count, handle = 0, Handling(rig)
        async with AsyncExitStack() as staying:
            await staying.enter_async_context(rig.member(handle, batch_size=5))
            for _ in range(rig.joins):
                async with rig.member(Handling(rig), batch_size=5) as guest:
                    for _ in range(3):
                        await rig.publish(*rounds(count, count + 1))
                        count += 1
                    await self._shares(guest)
                    await rig.publish(*rounds(count, count + 1))
                    count += 1
            done = await rig.until(count * len(KEYS))

        assert in_order(done) == in_order(rounds(0, count))

    @BOTH
    async def test_a_stalled_member_is_fenced_whatever_it_still_has(self, rig: Rig) -> None:
        names = rounds(0, 3)
        async with rig.member(Handling(rig)) as stalled:
            await self._shares(stalled, PARTITIONS)
            wake = rig.stall(stalled)
            async with rig.member(Handling(rig)) as other:
                await self._shares(other, PARTITIONS)
                positions = await rig.publish(*names)
                await rig.until(len(names))
                await rig.stands(ends(positions, rig))

                await self._hears_late(stalled, rig, names, positions)
                assert rig.lanes or len(await rig.effects()) == len(names)
                wake()
                await self._shares(stalled)
                await rig.publish(*rounds(3, 5))
                await self._all(rig, 5)
            done = await rig.effects()

        assert in_order(dict.fromkeys(done)) == in_order(rounds(0, 5))
        assert rig.lanes or len(done) == len(set(done))  # lanes: at least once

    async def _hears_late(
        self, stalled: consumer.ConsumerRunner, rig: Rig, names: Sequence[str], positions: Sequence[Position]
    ) -> None:
        """Have the member be delivered what another has handled meanwhile; return when it knows that it is fenced."""
        stalled._deliver([rig.record(name, position) for name, position in zip(names, positions, strict=True)])
        await seen(lambda: all(worker._is_fenced for worker in stalled._workers.values()))

    @BOTH
    async def test_a_dead_letter_in_a_replayed_stretch_holds_nobody_up(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.hopeless.add("k0/1")
        positions = await rig.publish(*rounds(0, 6, KEYS[:1]))
        async with rig.member(handle):
            await rig.until(5)
        await rig.moved(replayed(positions[0].offset, positions[3].offset), positions[0].partition)
        async with rig.member(handle):
            await rig.publish("k0/6")
            done = await rig.until(5 + 2 + 1)

        assert done[5:] == ["k0/0", "k0/2", "k0/6"]

    @BOTH
    async def test_a_partition_that_went_away_full_is_read_when_it_comes_back(self, rig: Rig) -> None:
        handle = Handling(rig)
        gates = [handle.hold(name) for name in rounds(0, 1)]
        async with rig.member(handle, batch_size=3) as runner:
            await rig.publish(*rounds(0, 12))
            await seen(lambda: [each._is_throttled for each in runner._workers.values()] == [True] * PARTITIONS)
            async with rig.member(Handling(rig), batch_size=3) as guest:
                await seen(lambda: len(runner._workers) < PARTITIONS)
                for gate in gates:
                    gate.set()
                await self._shares(guest)
            await self._shares(runner, PARTITIONS)
            await rig.publish(*rounds(12, 13))
            done = await rig.until(13 * len(KEYS))

        assert in_order(done) == in_order(rounds(0, 13))

    async def _shares(self, guest: consumer.ConsumerRunner, at_least: int = 1) -> None:
        await seen(lambda: len(guest._workers), until=lambda count: count >= at_least)

    @BOTH
    async def test_who_was_fenced_reads_on_without_a_gap(self, rig: Rig) -> None:
        handle, count = Handling(rig), 0
        async with rig.member(handle) as runner:
            await self._shares(runner, PARTITIONS)
            workers = list(runner._workers.values())
            for _ in range(3):
                await rig.takes_over()
                await rig.publish(*rounds(count, count + 2))
                await seen(lambda: all(worker._is_fenced for worker in workers))
                await rig.publish(*rounds(count + 2, count + 4))  # while it waits for its turn to claim
                count += 4
                await self._all(rig, count)
            done = await rig.effects()

        assert in_order(dict.fromkeys(done)) == in_order(rounds(0, count))
        assert rig.lanes or len(done) == len(set(done))  # lanes: at least once

    async def _all(self, rig: Rig, count: int) -> None:
        await eventually(rig.effects, until=lambda found: len(set(found)) == count * len(KEYS))

    @BOTH
    async def test_a_member_that_cannot_claim_for_long_skips_nothing(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await rig.publish(*rounds(0, 2))
        async with rig.member(Handling(rig)):
            await rig.until(2 * len(KEYS))
        await rig.publish(*rounds(2, 4))
        claim, tries = type(rig.store.positions).claim, 0

        async def late(positions: Any, *arguments: Any) -> Any:
            nonlocal tries
            tries += 1
            if tries < 8:
                raise Unavailable("database_unavailable")
            return await claim(positions, *arguments)

        monkeypatch.setattr(kafka_consumer, "REVOKE_S", 0.5)
        monkeypatch.setattr(type(rig.store.positions), "claim", late)
        async with rig.member(Handling(rig)):
            await rig.until(4 * len(KEYS))
            await rig.publish(*rounds(4, 5))
            done = await rig.until(5 * len(KEYS))

        assert in_order(done) == in_order(rounds(0, 5))

    @BOTH
    async def test_a_loop_that_is_busy_when_a_member_reads_on_loses_nothing(self, rig: Rig) -> None:
        async def busy() -> None:
            while True:
                await asyncio.sleep(0.001)
                time.sleep(rig.busy_s)

        handle = Handling(rig)
        async with rig.member(handle):
            await rig.publish(*rounds(0, 2))
            await rig.until(2 * len(KEYS))
            await rig.takes_over()
            await rig.publish(*rounds(2, 4))
            blocking = asyncio.create_task(busy())
            await self._all(rig, 4)
            blocking.cancel()

    @BOTH
    async def test_a_key_has_the_same_partition_at_every_broker(self, rig: Rig) -> None:
        keys = ["a", "ab", "abc", "abcd", "ключ", *map(str, range(50))]
        found = [(await rig.send(key, b"", [("ce_type", b"nobody's")])).partition for key in keys]

        assert found == [murmur2(key.encode()) % PARTITIONS for key in keys]

    @BOTH
    async def test_who_was_fenced_with_a_full_queue_goes_on(self, rig: Rig) -> None:
        handle = Handling(rig)
        names = rounds(0, 6, ["k0"])
        gate = handle.hold("k0/0")
        async with rig.member(handle, batch_size=1) as runner:
            (position, *_) = await rig.publish(*names, *rounds(6, 40, ["k0"]))
            await handle.reached("k0/0")
            worker = runner._workers[rig.partition(position.partition)]
            await seen(lambda: worker._is_throttled)
            fencing = asyncio.create_task(rig.takes_over())
            await asyncio.sleep(0.1)
            gate.set()
            await fencing
            await eventually(rig.effects, until=lambda found: len(set(found)) == 40)

    @BOTH
    async def test_a_replayed_stretch_is_handled_again_and_nothing_else(self, rig: Rig) -> None:
        names = rounds(0, 10, ["k0"])
        positions = await rig.publish(*names)
        async with rig.member(Handling(rig)):
            await rig.until(10)
            await rig.stands(ends(positions, rig))
        await rig.moved(replayed(3, 6), positions[0].partition)
        after = await rig.publish("k0/10")
        async with rig.member(Handling(rig)):
            done = await rig.until(14)
            await rig.stands(ends([*positions, *after], rig))

        assert done == [*names, *names[3:6], "k0/10"]
        assert await rig.effects() == done

    @BOTH
    async def test_a_position_behind_the_end_of_a_topic_made_anew_ends_the_process(self, rig: Rig) -> None:
        positions = await rig.publish(*rounds(0, 2))
        async with rig.member(Handling(rig)):
            await rig.until(40)
            await rig.stands(ends(positions, rig))
        await rig.made_anew()
        await rig.publish(*rounds(0, 1))

        with pytest.raises(PositionLost):
            await asyncio.wait_for(rig.runner(Handling(rig)).run(), 20)
        assert len(await rig.effects()) == 40

    @BOTH
    async def test_a_paused_group_begins_nothing_until_it_is_resumed(self, rig: Rig) -> None:
        handle = Handling(rig)
        await rig.control.pause(rig.full_name)
        names = rounds(0, 2)
        await rig.publish(*names)
        async with rig.member(handle) as runner:
            await seen(lambda: waiting(runner), until=lambda count: count == len(names))
            await asyncio.sleep(0.3)
            assert handle.begun == []
            await rig.control.resume(rig.full_name)
            await rig.until(len(names))

            gate = handle.hold("k0/2")
            await rig.publish("k0/2")
            await handle.reached("k0/2")
            await rig.control.pause(rig.full_name)
            await seen(lambda: runner._member.is_paused)
            await rig.publish(*rounds(2, 3, KEYS[1:]))
            gate.set()
            await rig.until(len(names) + 1)
            await asyncio.sleep(0.3)
            assert handle.begun[-1] == "k0/2"
            await rig.control.resume(rig.full_name)
            done = await rig.until(3 * len(KEYS))

        assert in_order(done) == in_order(rounds(0, 3))
        assert await rig.control.members(rig.full_name) == []


class FailuresContract:
    """What may pass, what never will, and dead letters."""

    @BOTH
    async def test_what_may_pass_is_tried_in_place_and_holds_nothing_else_up(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.failures["k0/0"] = [Unavailable("elsewhere_unavailable") for _ in range(4)]
        gate = handle.hold("k0/0")
        async with rig.member(handle):
            (bad, *others) = await rig.publish(*rounds(0, 3))
            await handle.reached("k0/0")
            free = [each for each in rounds(0, 3)[1:] if self._is_free(rig, each, bad, others)]
            await rig.until(len(free))
            gate.set()
            done = await rig.until(3 * len(KEYS))

        assert in_order(done) == in_order(rounds(0, 3))
        assert handle.begun.count("k0/0") == 5
        assert await rig.letters.count(rig.full_name, Choice()) == 0

    def _is_free(self, rig: Rig, name: str, bad: Position, others: Sequence[Position]) -> bool:
        """Return whether the event need not wait: other partitions in batches, other keys in lanes."""
        place = others[rounds(0, 3).index(name) - 1]
        return not name.startswith("k0/") if rig.lanes else place.partition != bad.partition

    @BATCHES
    async def test_effects_of_a_try_that_failed_are_not_there(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.failures["k0/5"] = [Unavailable("elsewhere_unavailable"), ValueError("once"), ValueError("twice")]
        await rig.publish(*rounds(0, 10, ["k0"]))
        async with rig.member(handle):
            done = await rig.until(10)

        assert done == rounds(0, 10, ["k0"])

    @BOTH
    async def test_a_hopeless_event_goes_to_the_dead_letters_as_it_came_and_the_others_on(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.hopeless = {"k0/1"}
        names = rounds(0, 3)
        bad = event("k0/1")
        headers = [*seal(bad), ("mine", b"1"), ("mine", b"2"), ("empty", b"")]
        await rig.publish("k0/0")
        await rig.send(str(key_of("k0")), value := rig.codec.encode(bad), headers)
        await rig.publish(*(name for name in names if name not in ("k0/0", "k0/1")))
        async with rig.member(handle):
            done = await rig.until(len(names) - 1)
            (letter,) = await rig.buried(1)
            ((key, lying, found),) = await rig.on_letter_topic(1)

        assert in_order(done) == in_order(name for name in names if name != "k0/1")
        assert (letter.record.value, letter.record.headers, letter.attempts) == (value, headers, 3)
        assert letter.error == "ValueError: k0/1 cannot be handled"
        assert "_outcome" in letter.stack
        assert (key, lying, found[: len(headers)]) == (str(key_of("k0")).encode(), value, headers)
        reasons = dict(found[len(headers) :])
        assert reasons["dlq_topic"].decode() == rig.broker.prefix + rig.topic
        assert reasons["dlq_group"].decode() == rig.group
        assert reasons["dlq_offset"].decode() == str(letter.record.offset)
        assert reasons["dlq_attempts"] == b"3"
        assert handle.begun.count("k0/1") == 3 + (not rig.lanes)

    @BOTH
    async def test_a_reason_that_the_database_cannot_store_holds_nothing_up(self, rig: Rig) -> None:
        class Odd(ValueError):
            def __str__(self) -> str:
                return "a\0b\ud800c"

        handle = Handling(rig)
        handle.failures["k0/0"] = [Odd() for _ in range(9)]
        headers = [*seal(event("k0/0"))]
        await rig.send(str(key_of("k0")), rig.codec.encode(event("k0/0")), headers)
        await rig.send(str(key_of("k0")), b"garbage", [("odd", b"a\0\xff")])
        await rig.publish("k0/1")
        async with rig.member(handle):
            done = await rig.until(1)
            letters = await rig.buried(2)

        assert done == ["k0/1"]
        assert [letter.attempts for letter in letters] == [3, 1]

    @BOTH
    async def test_events_behind_a_dead_letter_wait_and_are_redriven_in_order(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.hopeless = {"k0/1"}
        keys = KEYS[:5]
        await rig.publish(*rounds(0, 4, keys))
        async with rig.member(handle, parks=True):
            await rig.buried(3)
            done = await rig.until(4 * len(keys) - 3)
            assert in_order(done) == in_order(
                name for name in rounds(0, 4, keys) if name not in ("k0/1", "k0/2", "k0/3")
            )

            assert await rig.letters.redrive(rig.full_name, Choice(key=str(key_of("k0")))) == 3
            await handle.reached("k0/1", 4)
            await self._undue(rig, 3)  # failed again: nothing of the key is handled

            handle.hopeless = set()
            gate = handle.hold("k0/2")
            assert await rig.letters.redrive(rig.full_name, Choice()) == 3
            await handle.reached("k0/2")
            await rig.publish("k0/4", "k0/5")  # while the redrive goes on
            gate.set()
            await rig.emptied()
            await rig.publish("k0/6")
            done = await rig.until(4 * len(keys) + 3)

        assert in_order(done)["k0"] == [f"k0/{number}" for number in range(7)]

    async def _undue(self, rig: Rig, count: int) -> None:
        """Return when so many letters are there and none is asked for."""

        async def letters() -> list[bool]:
            return [letter.is_due for letter in await rig.letters.chosen(rig.full_name, Choice())]

        await eventually(letters, until=lambda found: found == [False] * count)

    @BOTH
    async def test_a_letter_that_fails_again_keeps_its_tries_and_its_headers(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.hopeless = {"k0/0"}
        await rig.publish("k0/0", "k0/1")
        async with rig.member(handle):
            (before,) = await rig.buried(1)
            await rig.letters.redrive(rig.full_name, Choice(id=before.id))
            await handle.reached("k0/0", 4 + (not rig.lanes))
            await self._undue(rig, 1)
            (after,) = await rig.letters.chosen(rig.full_name, Choice())
            handle.failures["k0/0"] = [Unavailable("elsewhere_unavailable")] * 2  # which may pass: still due
            handle.hopeless = set()
            await rig.letters.redrive(rig.full_name, Choice())
            await rig.emptied()
            done = await rig.until(2)

        assert after.attempts == before.attempts + 1
        assert after.record == before.record
        assert done == ["k0/1", "k0/0"]
        assert await rig.effects() == done

    @BOTH
    async def test_a_letter_discarded_while_it_fails_again_stays_away(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handle, put_back = Handling(rig), type(rig.letters).put_back

        async def late(letters: Any, group: str, letter: Letter) -> None:
            await letters.discard(group, Choice())
            await put_back(letters, group, letter)
            await rig.note("put back")

        monkeypatch.setattr(type(rig.letters), "put_back", late)
        handle.hopeless = {"k0/0"}
        await rig.publish("k0/0")
        async with rig.member(handle, parks=True):
            await rig.buried(1)
            await rig.letters.redrive(rig.full_name, Choice())
            await rig.until(1)
            await rig.publish("k0/1")
            done = await rig.until(2)

        assert done == ["put back", "k0/1"]
        assert await rig.letters.count(rig.full_name, Choice()) == 0

    @BOTH
    async def test_large_letters_are_fetched_a_few_at_a_time_and_all_are_redriven(self, rig: Rig) -> None:
        handle, now = Handling(rig), datetime.now(UTC)
        record = Record(rig.broker.prefix + rig.topic, 0, 0, b"k", bytes(900_000), [("odd", b"\0" * 10)], 0)
        letters = [Letter(record._replace(offset=offset), "why", "", 1, now) for offset in range(12)]
        async with rig.member(handle, parks=True):
            await rig.publish("k0/0")
            await rig.until(1)
            await rig.letters.bury(rig.full_name, letters)

            everything = await rig.letters.chosen(rig.full_name, Choice())
            behind = await rig.letters.chosen(rig.full_name, Choice(after=everything[-1].id))
            some = await rig.letters.chosen(rig.full_name, Choice(after=letters[1].id, limit=2))
            await rig.letters.redrive(rig.full_name, Choice())

            async def attempts() -> list[int]:
                return [each.attempts for each in await rig.letters.chosen(rig.full_name, Choice(limit=3))]

            await eventually(attempts, until=lambda found: found[0] == 2)

        assert everything + behind == letters
        assert len(everything) == 10
        assert some == letters[2:4]

    @BOTH
    async def test_redriving_one_key_leaves_the_others_parked(self, rig: Rig) -> None:
        handle, home = Handling(rig), murmur2(str(key_of("k0")).encode()) % PARTITIONS
        beside = next(key for key in KEYS[1:12] if murmur2(str(key_of(key)).encode()) % PARTITIONS == home)
        handle.hopeless = {"k0/0", f"{beside}/0"}
        async with rig.member(handle, parks=True) as runner:
            await rig.publish("k0/0", f"{beside}/0")
            await rig.buried(2)
            handle.hopeless = set()
            gates = [handle.hold(f"{key}/0") for key in KEYS[12:] if rig.lanes]  # every lane is busy
            await rig.publish(*(f"{key}/0" for key in KEYS[12:]))
            if rig.lanes:
                await seen(lambda: len(handle.running), until=lambda running: running == 8)
            await rig.publish(f"{beside}/1")
            await rig.letters.redrive(rig.full_name, Choice(key=str(key_of("k0"))))
            if rig.lanes:
                await rig.until(1)  # k0/0, beside the busy lanes
            for gate in gates:
                gate.set()
            await rig.until(9)
            await rig.buried(2)
            await seen(lambda: not waiting(runner) and not handle.running)

        assert sorted(await rig.effects()) == sorted(["k0/0", *rounds(0, 1, KEYS[12:])])

    @BOTH
    @pytest.mark.parametrize("turn", range(5))
    async def test_a_discarded_letter_frees_its_key(self, rig: Rig, turn: int) -> None:
        handle = Handling(rig)
        handle.hopeless = {"k0/0"}
        await rig.publish("k0/0")
        async with rig.member(handle, parks=True):
            (letter,) = await rig.buried(1)
            later = asyncio.create_task(rig.publish(*(f"k0/{number}" for number in range(1, 10))))
            for _ in range(turn):
                await asyncio.sleep(0)
            await rig.letters.discard(rig.full_name, Choice(key=str(key_of("k0"))))
            await later
            await rig.publish("k0/10")
            await eventually(rig.effects, until=lambda found: "k0/10" in found)
            done = await rig.effects()
            assert await rig.letters.count(rig.full_name, Choice()) == 0

        # What was buried before the discard went with it: a prefix is missing, no more.
        assert done == [f"k0/{number}" for number in range(11 - len(done), 11)]
        assert letter.attempts == 3

    @BOTH
    async def test_bytes_that_are_no_event_go_to_the_letters_and_good_keys_flow(self, rig: Rig) -> None:
        good = rig.codec.encode(event("k0/0"))
        chance = random.Random(7)
        values = [
            b"", b"garbage", chance.randbytes(200), good[:1], good[:5], good[:20], HEADER.pack(0, 2**31) + good[5:], None,
            HEADER.pack(1, 1) + good[5:],
        ]  # fmt: skip
        bad: list[tuple[str | None, bytes | None]] = [(f"bad{at}", value) for at, value in enumerate(values)]
        bad += [(None, b"no key"), (None, b"nor here"), ("k" * 900_000, b"large")]
        names = rounds(0, 4)
        for at, (key, value) in enumerate(bad):
            await rig.publish(*names[at * 5 : at * 5 + 5])
            await rig.send(key, value, [])
        await rig.publish(*names[len(bad) * 5 :])
        await rig.send(None, rig.codec.encode(event("nobody/0")), seal(event("nobody/0")))
        async with rig.member(Handling(rig), parks=True):
            done = await rig.until(len(names) + 1)
            letters = await rig.buried(len(bad))
            lying = await rig.on_letter_topic(len(bad))

        assert in_order(done) == in_order([*names, "nobody/0"])
        expected = sorted((str(key and key.encode()), str(value)) for key, value in bad)
        assert sorted((str(letter.record.key), str(letter.record.value)) for letter in letters) == expected
        assert sorted((str(key), str(value)) for key, value, _ in lying) == expected
        assert {letter.attempts for letter in letters} == {1}


class BatchesContract:
    @BATCHES
    async def test_consecutive_events_come_together_up_to_the_declared_size(self, rig: Rig) -> None:
        batches: list[list[str]] = []

        async def take(messages: Sequence[MessageSent]) -> None:
            batches.append([message.body for message in messages])
            for message in messages:
                await rig.note(message.body)

        names = rounds(0, 100, ["k0"])
        await rig.publish(*names)
        async with rig.member(on_batch(rig.event, take), batch_size=30):
            done = await rig.until(100)

        assert done == names
        assert max(map(len, batches)) == 30

    @BATCHES
    async def test_consecutive_events_of_one_function_come_together_whatever_their_type(self, rig: Rig) -> None:
        batches: list[list[str]] = []

        async def take(messages: Sequence[MessageSent | MessageEdited]) -> None:
            batches.append([message.body for message in messages])
            for message in messages:
                await rig.note(message.body)

        edited = type("Edited", (MessageEdited,), {"TOPIC": rig.topic, "__slots__": ()})
        sent = [*rounds(0, 3, ["k0"]), *rounds(4, 7, ["k0"])]
        await rig.publish(*sent[:3])
        first = event(sent[0])
        edit = MessageEdited(
            message_id=first.message_id,
            edit_id=uuid4(),
            conversation_id=first.conversation_id,
            editor_id=first.sender_id,
            body="k0/3",
            edited_at=first.sent_at,
            recipient_ids=first.recipient_ids,
        )
        await rig.send(str(first.conversation_id), rig.codec.encode(edit), seal(edit))
        await rig.publish(*sent[3:])
        async with rig.member(on_batch(rig.event, take), on_batch(edited, take)):
            done = await rig.until(7)

        assert done == rounds(0, 7, ["k0"])
        assert batches == [done]

    @BATCHES
    async def test_a_batch_waits_for_more_as_long_as_declared(self, rig: Rig) -> None:
        batches: list[list[str]] = []

        async def take(messages: Sequence[MessageSent]) -> None:
            batches.append([message.body for message in messages])
            for message in messages:
                await rig.note(message.body)

        wait = timedelta(seconds=1.5)
        async with rig.member(on_batch(rig.event, take), batch_size=10, batch_wait=wait) as runner:
            await rig.publish(*rounds(0, 6, ["k0"]))
            await seen(lambda: waiting(runner))
            await rig.publish(*rounds(6, 10, ["k0"]))
            await rig.until(10)
            await rig.publish("k0/10")
            done = await rig.until(11)

        assert done == rounds(0, 11, ["k0"])
        assert batches == [rounds(0, 10, ["k0"]), ["k0/10"]]


class LanesContract:
    @LANES
    async def test_what_is_done_beyond_a_stuck_key_is_not_done_again_after_a_stop(self, rig: Rig) -> None:
        stuck = Handling(rig)
        stuck.failures["k0/0"] = [Unavailable("elsewhere_unavailable") for _ in range(1000)]
        names = rounds(0, 4)
        await rig.publish(*names)
        async with rig.member(stuck):
            await rig.until(len(names) - 4)
        async with rig.member(Handling(rig)):
            await eventually(rig.effects, until=lambda found: "k0/3" in found)
        done = await rig.effects()

        assert in_order(done) == in_order(names)

    @LANES
    async def test_so_many_keys_run_at_once_and_one_event_of_each(self, rig: Rig) -> None:
        handle = Handling(rig)
        names = rounds(0, 5)
        gates = [handle.hold(f"{key}/0") for key in KEYS]
        await rig.publish(*names)
        async with rig.member(handle):
            await seen(lambda: len(handle.running), until=lambda running: running == 4)
            await asyncio.sleep(0.1)
            assert len(handle.running) == 4
            for gate in gates:
                gate.set()
            done = await rig.until(len(names))

        assert in_order(done) == in_order(names)
        assert (handle.most, handle.overlaps) == (4, [])

    @LANES
    async def test_a_stuck_key_holds_up_nobody_and_reading_stops_only_far_ahead_of_it(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lanes, "SPAN_LIMIT", 60)
        handle = Handling(rig)
        gate = handle.hold("k0/0")
        (stuck,) = await rig.publish("k0/0")
        key = next(key for key in KEYS[1:] if murmur2(str(key_of(key)).encode()) % PARTITIONS == stuck.partition)
        async with rig.member(handle, batch_size=5) as runner:
            await handle.reached("k0/0")
            await rig.publish(*rounds(0, 300, [key]))
            worker = runner._workers[rig.partition(stuck.partition)]
            assert isinstance(worker, lanes.LaneWorker)
            await seen(lambda: worker._mark.span, until=lambda span: span > 60)
            await seen(lambda: worker._is_throttled)
            await seen(lambda: worker._mark.unfinished, until=lambda unfinished: unfinished == 1)
            assert worker._mark.span <= 60 + 5
            assert (await rig.store.positions.load(rig.group))[worker.key] <= stuck.offset
            gate.set()
            await eventually(rig.effects, until=lambda found: f"{key}/299" in found)

        assert in_order(await rig.effects())[key] == rounds(0, 300, [key])


class ConsumerRuntimeContract(MovesContract, FailuresContract, BatchesContract, LanesContract):
    """All of it."""


class TestMemoryRuntime(OnMemory, ConsumerRuntimeContract):
    @LANES
    async def test_what_is_done_is_saved_although_burying_failed_at_the_end(self, rig: MemoryRig) -> None:
        handle = Handling(rig)
        positions = await rig.publish("k0/0", "k0/1")
        handle.hopeless = {"k0/1"}
        rig.memory.is_away = True
        async with rig.member(handle):
            await handle.reached("k0/1", 3)
            await asyncio.sleep(10)  # it cannot be buried
        assert (await rig.store.positions.load(rig.group))[rig.partition(positions[0].partition)] == (
            positions[0].offset + 1
        )


class TestServersRuntime(OnServers, ConsumerRuntimeContract):
    """On real servers."""

    quick = (
        (consumer, "COMMIT_S", 0.1),
        (consumer, "LOOK_S", 0.1),
        (partition_worker, "FENCED_S", 0.2),
        (member, "BACKOFF_S", (0.02, 0.5)),
    )
