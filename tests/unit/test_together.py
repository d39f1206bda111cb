"""Questions that come while one is on its way."""

import asyncio
from collections.abc import Sequence

import pytest

from infra.together import Together


class Slow:
    """Answers a question by how many were asked before it, and only when it is let."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.let = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def ask(self, keys: Sequence[str]) -> dict[str, int]:
        self.asked.append(keys)
        number = len(self.asked)
        await self.let.acquire()
        if self.error:
            raise self.error
        return {key: number for key in keys if key != "nobody"}


async def begun(together: Together[str, int], *keys: str) -> list["asyncio.Task[int | None]"]:
    tasks = [asyncio.create_task(together.of(key)) for key in keys]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_those_who_come_meanwhile_are_answered_together_by_what_is_asked_after_they_came() -> None:
    slow = Slow()
    together = Together(slow.ask)
    first = await begun(together, "ann")
    later = await begun(together, "bob", "ann", "eve", "bob", "nobody")
    for _ in range(2):
        slow.let.release()

    assert await asyncio.gather(*first, *later) == [1, 2, 2, 2, 2, None]
    assert slow.asked == [["ann"], ["bob", "ann", "eve", "nobody"]]


async def test_a_failure_is_told_to_those_who_asked_and_to_nobody_else() -> None:
    slow = Slow()
    together = Together(slow.ask)
    failed = await begun(together, "ann")
    slow.error = LookupError("away")
    slow.let.release()
    with pytest.raises(LookupError):
        await failed[0]

    slow.error = None
    slow.let.release()
    assert await together.of("ann") == 2


async def test_who_goes_takes_nobody_along() -> None:
    slow = Slow()
    together = Together(slow.ask)
    gone, stays = await begun(together, "ann", "ann")
    gone.cancel()
    slow.let.release()

    assert await stays == 1
