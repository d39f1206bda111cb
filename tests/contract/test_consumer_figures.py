"""What a member tells Prometheus, on the twins in memory and on Kafka with PostgreSQL: in batches and in lanes alike."""

from collections.abc import Callable
from functools import partial
from operator import eq

import pytest
from prometheus_client import REGISTRY

from infra import consumer, kafka_consumer, member
from infra.dead_letters import Choice
from schemas.messaging.events import MessageSent
from shared_kernel.errors import Unavailable
from shared_kernel.module import Count
from tests.contract.consumer_rig import PARTITIONS, Handling, OnMemory, OnServers, Rig
from tests.probes import eventually

LOOK_AGAIN_S = 0.2  # a scrape with all the house's figures is a hundredth of a second's work

BOTH = pytest.mark.parametrize("lanes", [0, 8], ids=["batches", "lanes"])


def told(name: str, rig: Rig, **labels: str) -> float:
    """Return the sum of the group's series with these labels, as a scrape would find it."""
    wanted = {"group": rig.group} | labels
    samples = [
        each for family in REGISTRY.collect() for each in family.samples if each.name == f"headwater_consumer_{name}"
    ]
    return sum(each.value for each in samples if wanted.items() <= each.labels.items())


async def until(look: Callable[[], float], wanted: Callable[[float], bool]) -> float:
    """Return the figure once it is as wanted."""

    async def ask() -> float:
        return look()

    return await eventually(ask, until=wanted, every=LOOK_AGAIN_S)


class FiguresContract:
    @BOTH
    async def test_each_record_is_counted_by_what_became_of_it(self, rig: Rig) -> None:
        def records(outcome: str) -> float:
            return told("records_total", rig, outcome=outcome)

        await rig.publish("a/0", "b/0", "b/1", "c/0")
        await rig.send("c", b"\x00nonsense", [])
        await rig.send("d", b"", [("ce_type", b"somebody.Elses")])
        handle = Handling(rig)
        handle.hopeless = {"b/0"}
        count = Count(f"test_words_{rig.group}", "Words.", MessageSent, lambda each: len(each.body))

        async with rig.member(handle, counts=(count,)):
            await rig.buried(2)
            await until(lambda: sum(map(records, ("handled", "ignored", "dead_letter"))), lambda found: found == 6)
            await until(lambda: told("dead_letters", rig), lambda found: found == 2)
            assert [records(each) for each in ("handled", "ignored", "dead_letter")] == [3, 1, 2]
            assert told("failed_attempts_total", rig, kind="permanent") in (3, 4)  # alone; maybe with its batch before
            assert REGISTRY.get_sample_value(f"headwater_{count.name}_total") == 9

            handle.hopeless = set()
            await rig.letters.redrive(rig.full_name, Choice())
            await until(lambda: told("redrives_total", rig, outcome="handled"), lambda found: found == 1)
            await until(lambda: told("redrives_total", rig, outcome="failed"), lambda found: found == 1)
            await until(lambda: told("dead_letters", rig), lambda found: found == 1)
            assert REGISTRY.get_sample_value(f"headwater_{count.name}_total") == 12
        assert told("try_duration_seconds_count", rig) >= 1

    @BOTH
    async def test_what_is_not_done_is_seen_until_it_is(self, rig: Rig) -> None:
        handle = Handling(rig)
        gate = handle.hold("a/0")
        await rig.publish("a/0", "a/1", "a/2")

        async with rig.member(handle):
            await handle.reached("a/0")
            await until(lambda: told("lag_records", rig), lambda found: found == 3)
            assert told("running", rig) == 1
            assert told("oldest_unfinished_age_seconds", rig) > 0
            await rig.publish("a/3")
            await until(lambda: told("lag_records", rig), lambda found: found == 4)
            await until(lambda: told("waiting_records", rig), lambda found: found >= 1)
            gate.set()
            await rig.until(4)
            await until(lambda: told("lag_records", rig), lambda found: found == 0)
            await until(lambda: told("running", rig), lambda found: found == 0)
            assert told("oldest_unfinished_age_seconds", rig) == told("waiting_records", rig) == 0

    @BOTH
    async def test_the_lag_of_a_paused_group_grows_although_nothing_is_read(self, rig: Rig) -> None:
        await rig.control.pause(rig.full_name)
        await rig.publish(*(f"a/{number}" for number in range(12)))

        async with rig.member(Handling(rig), batch_size=1):
            await until(lambda: told("paused", rig), lambda found: found == 1)
            assert told("held", rig) == 1
            for end in (24, 36, 48):  # the first may come with a fetch that was on its way
                await rig.publish(*(f"a/{number}" for number in range(end - 12, end)))
                await until(lambda: told("lag_records", rig), partial(eq, end))
            await rig.control.resume(rig.full_name)
            await rig.until(48)
            await until(lambda: told("paused", rig) + told("held", rig), lambda found: found == 0)

    @BOTH
    async def test_partitions_that_come_and_go_are_counted(self, rig: Rig) -> None:
        def moves(kind: str) -> float:
            return told("partition_moves_total", rig, kind=kind)

        async with rig.member(Handling(rig)):
            await until(lambda: told("partitions", rig), lambda found: found == PARTITIONS)
            assert (moves("assigned"), moves("revoked")) == (PARTITIONS, 0)
        assert (moves("assigned"), moves("revoked")) == (PARTITIONS, PARTITIONS)

        await rig.publish("a/0")
        async with rig.member(Handling(rig)):
            await until(lambda: told("partitions", rig), lambda found: found == PARTITIONS)
            await rig.until(1)
            await rig.takes_over()
            await rig.publish("a/1")
            await rig.until(2)
            await until(lambda: moves("fenced"), lambda found: found >= 1)

    @BOTH
    async def test_what_may_pass_is_seen_as_retried(self, rig: Rig) -> None:
        handle = Handling(rig)
        handle.failures["a/0"] = [Unavailable("database_unavailable", "for now") for _ in range(3)]
        await rig.publish("a/0")

        async with rig.member(handle):
            await until(lambda: told("retrying", rig), lambda found: found == 1)
            await rig.until(1)
            assert told("failed_attempts_total", rig, kind="transient") == 3
            await until(lambda: told("retrying", rig), lambda found: found == 0)


class TestMemoryFigures(OnMemory, FiguresContract):
    """In memory."""


class TestServersFigures(OnServers, FiguresContract):
    """On real servers."""

    quick = (
        (consumer, "COMMIT_S", 0.1),
        (consumer, "LOOK_S", 0.1),
        (consumer, "COUNT_S", 0.1),
        (kafka_consumer, "LOOK_S", 0.1),
        (member, "BACKOFF_S", (0.2, 0.5)),
    )
