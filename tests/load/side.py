"""One side of a comparison, in a process of its own: `python -m tests.load.side consuming.batches '{"wanted": 1000}'`.

Prints what it measured as one line of JSON. Peers are imported only by the sides that are them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib import import_module
from time import perf_counter, process_time
from typing import Any

import uvloop

from headwater import wiring
from headwater.environment import load
from headwater.roles import _calm_the_collector
from headwater.wiring import House
from infra.logs import configure

LONGEST_S = 2.0


class Clock:
    """What has passed since it was made: time, and the processor time of this process, which others' work hardly changes."""

    def __init__(self) -> None:
        self._began, self._cpu_began = perf_counter(), process_time()

    @property
    def seconds(self) -> float:
        return perf_counter() - self._began

    def rates(self, count: int) -> dict[str, float]:
        """Return how many of `count` there were a second and a processor second."""
        return {"rate": count / self.seconds, "per_cpu_s": count / (process_time() - self._cpu_began)}


class Count:
    """Counts what has been handled until there is enough or `LONGEST_S` have passed.

    A fifth of it comes before the clock runs: at first a member reads ahead, which is work that nothing has come of yet."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._counted = 0
        self._clock: Clock | None = None
        self._figures: dict[str, float] = {}
        self._enough = asyncio.Event()

    def add(self, count: int) -> None:
        """Note so many more."""
        self._counted += count
        if self._clock is None:
            if self._counted >= self._wanted / 5:
                self._clock, self._counted = Clock(), 0
            return
        if (self._counted >= self._wanted or self._clock.seconds > LONGEST_S) and not self._figures:
            self._figures = self._clock.rates(self._counted)
            self._enough.set()

    async def rates(self) -> dict[str, float]:
        """Return how many there were a second, once there are enough."""
        await self._enough.wait()
        return self._figures


@asynccontextmanager
async def opened(**overrides: Any) -> AsyncIterator[House]:
    """Lend the house that the environment's settings describe, as a role's process has it."""
    house = wiring.build(load(**overrides))
    await house.start()
    try:
        yield house
    finally:
        await house.close()


def side(name: str) -> Callable[..., Coroutine[Any, Any, dict[str, float]]]:
    """Return the function that measures it."""
    module, _, function = name.partition(".")
    found: Callable[..., Coroutine[Any, Any, dict[str, float]]] = getattr(
        import_module(f"tests.load.{module}"), function
    )
    return found


def main() -> None:
    """Run the side that the command line names."""
    name, arguments = sys.argv[1:]
    measure = side(name)
    configure("ERROR")
    _calm_the_collector()  # as in our roles, for every side
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(**json.loads(arguments)))), flush=True)


if __name__ == "__main__":
    main()
