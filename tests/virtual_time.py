"""Time that passes as a test wants it, so that what takes seconds takes none and always goes the same way."""

import asyncio
from typing import Any


class Clock:
    """Seconds that pass only when a test adds them to `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def skip_waits(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop's time pass at once whenever nothing is ready. Not for loops that wait for threads or sockets."""
    real: Any = loop
    now, select = 0.0, real._selector.select

    def jump(timeout: float | None) -> Any:
        nonlocal now
        now += timeout or 0
        return select(0 if timeout is not None else None)

    real._selector.select = jump
    real.time = lambda: now
