"""Whose document is next where a process works on so many at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from bounded_contexts.documents.application.places import LARGE, Places

ANN, BEN = UUID(int=1), UUID(int=2)


class Work:
    """Documents that ask for a place in the order they are named, keep it until they are told, and say when they had it."""

    def __init__(self, count: int) -> None:
        self.places = Places(count)
        self.begun: list[str] = []
        self._may_end: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, owner: UUID, name: str, size: int = 1) -> None:
        self._may_end[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._take(owner, name, size))
        await settled()

    async def _take(self, owner: UUID, name: str, size: int) -> None:
        async with self.places.one(owner, size):
            self.begun.append(name)
            await self._may_end[name].wait()

    async def end(self, *names: str) -> None:
        for name in names:
            self._may_end[name].set()
            async with asyncio.timeout(5):  # it may never have had its turn
                await self._tasks[name]
            await settled()

    async def cancel(self, *names: str) -> None:
        for name in names:
            self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name] for name in names])
        await settled()

    async def close(self) -> None:
        await self.cancel(*self._tasks)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def work(count: int) -> AsyncIterator[Work]:
    own = Work(count)
    try:
        yield own
    finally:
        await own.close()


async def test_nobody_waits_behind_all_that_another_has_asked_for() -> None:
    async with work(2) as own:
        for number in range(6):
            await own.ask(ANN, f"ann {number}")
        await own.ask(BEN, "ben 0")
        await own.ask(BEN, "ben 1")
        assert own.begun == ["ann 0", "ann 1"]

        await own.end("ann 0", "ann 1", "ben 0", "ann 2", "ben 1")

        assert own.begun == ["ann 0", "ann 1", "ben 0", "ann 2", "ben 1", "ann 3", "ann 4"]


async def test_one_alone_has_all_places_in_the_order_of_asking() -> None:
    async with work(3) as own:
        for number in range(5):
            await own.ask(ANN, str(number))
        assert own.begun == ["0", "1", "2"]

        await own.end("1", "0")

        assert own.begun == ["0", "1", "2", "3", "4"]


async def test_large_ones_have_half_of_the_places_whoever_asks() -> None:
    async with work(4) as own:
        for number in range(3):
            await own.ask(ANN, f"large {number}", LARGE)
        await own.ask(BEN, "ben's large", LARGE)
        await own.ask(ANN, "small")
        assert own.begun == ["large 0", "large 1", "small"]

        await own.end("large 1")

        assert own.begun == ["large 0", "large 1", "small", "ben's large"]


async def test_who_goes_while_waiting_or_at_work_leaves_the_place_to_the_next() -> None:
    async with work(1) as own:
        for name in ("0", "1", "2", "3"):
            await own.ask(ANN, name)
        await own.cancel("1")
        await own.cancel("0", "2")

        assert own.begun == ["0", "3"]


async def test_a_place_that_comes_in_the_moment_of_going_is_not_lost() -> None:
    places = Places(1)
    taken = places.one(ANN, 1)
    await taken.__aenter__()

    async def wait() -> None:
        async with places.one(BEN, 1):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await settled()
    await taken.__aexit__(None, None, None)
    waiting.cancel()
    await asyncio.wait([waiting])

    async with asyncio.timeout(1), places.one(ANN, 1):
        pass
