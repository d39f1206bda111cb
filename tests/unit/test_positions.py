"""Read models: waiting until a write is stored, on the in-memory twin."""

import asyncio
from dataclasses import replace
from time import monotonic

import pytest

from infra.memory_database import MemoryDatabase
from infra.positions import MemoryPositions, ReadModel, comes_true
from shared_kernel.events import Position
from tests.virtual_time import skip_waits

GROUP = "messaging.history"


@pytest.fixture
def positions() -> MemoryPositions:
    return MemoryPositions(MemoryDatabase())


async def move(positions: MemoryPositions, topic: str, number: int, next_: int) -> None:
    """Have a member claim the partition and get so far."""
    claimed = await positions.claim(GROUP, [(topic, number)])
    await positions.advance(GROUP, {key: replace(progress, next=next_) for key, progress in claimed.items()})


@pytest.mark.parametrize(("offset", "there"), [(0, True), (9, True), (10, False), (99, False)])
async def test_what_lies_before_the_next_record_is_reached(
    positions: MemoryPositions, offset: int, there: bool
) -> None:
    await move(positions, "messages", 3, 10)

    assert await ReadModel(positions, GROUP).reached(Position("messages", 3, offset), 0) == there


async def test_another_partition_or_topic_does_not_count(positions: MemoryPositions) -> None:
    await move(positions, "messages", 3, 10)
    read_model = ReadModel(positions, GROUP)

    assert not await read_model.reached(Position("messages", 2, 0), 0)
    assert not await read_model.reached(Position("conversations", 3, 0), 0)


async def test_waiting_ends_when_it_is_reached(positions: MemoryPositions) -> None:
    waiting = asyncio.create_task(ReadModel(positions, GROUP).reached(Position("messages", 0, 0), 30))
    await asyncio.sleep(0)

    began = monotonic()
    await move(positions, "messages", 0, 1)

    assert await waiting
    assert monotonic() - began < 5


async def test_waiting_ends_with_its_time(positions: MemoryPositions) -> None:
    assert not await ReadModel(positions, GROUP).reached(Position("messages", 0, 0), 0.02)


async def test_topic_names_are_told_without_the_prefix_of_the_broker(positions: MemoryPositions) -> None:
    await move(positions, "t1.messages", 0, 10)
    await move(positions, "t1.messages", 5, 2)
    await move(positions, "t1.conversations", 1, 3)
    read_model = ReadModel(positions, GROUP, "t1.")

    assert await read_model.positions() == {"messages": {0: 10, 5: 2}, "conversations": {1: 3}}
    assert await read_model.reached(Position("messages", 0, 9), 0)


def test_who_waits_for_long_asks_seldom() -> None:
    looks = 0

    async def look() -> bool:
        nonlocal looks
        looks += 1
        return False

    async def wait() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        skip_waits(loop)
        began = loop.time()
        return await comes_true(look, 10.0), loop.time() - began

    found, took_s = asyncio.run(wait())

    assert not found
    assert 10 <= took_s < 11
    assert looks < 60
