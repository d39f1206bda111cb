"""Wait for what must become true, with a limit, instead of sleeping; have something run meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")

LOOK_AGAIN_S = 0.02  # at first, and then
SELDOMER = 0.1  # of the time that we have waited, which is as much as it makes us late,
SELDOM_S = 0.1  # at most: a question is work, here and for whoever is asked


async def eventually(
    ask: Callable[[], Awaitable[T]],
    *,
    within: float = 120.0,
    until: Callable[[T], bool] = bool,
    every: float | None = None,
) -> T:
    """Return the first answer that satisfies `until`, asked `every` so many seconds or, without that, ten to fifty times a
    second; fail with the last one after `within`."""
    time = asyncio.get_running_loop().time
    begin = time()
    answer = await ask()
    while not until(answer):
        waited = time() - begin
        if waited > within:
            raise AssertionError(f"not within {within} s; the last answer was {answer!r}")
        await asyncio.sleep(every or min(max(LOOK_AGAIN_S, waited * SELDOMER), SELDOM_S))
        answer = await ask()
    return answer


async def seen(look: Callable[[], T], until: Callable[[T], bool] = bool) -> T:
    """Return what is seen once it is as wanted."""

    async def ask() -> T:
        return look()

    return await eventually(ask, until=until)


@asynccontextmanager
async def during(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Run what never ends while the block lasts; raise what ended it all the same."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
