"""What is done to an installation, and when: all of it follows from a seed."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from tests.crash.installation import SERVERS, Installation
from tests.e2e.conftest import HEADWATER
from tests.probes import eventually

ROLES = (
    "web",
    "work",
    "relay",
    "messaging.history.1",
    "messaging.history.2",
    "realtime.delivery.1",
    "realtime.delivery.2",
)
PAUSE_S = (3.0, 8.0)  # between the beginnings of two faults: what one needs to heal may take longer
STOP_S = (3.0, 10.0)
AWAY_S = 60.0  # of the broker, in seeds that are a multiple of
AWAY_EVERY = 5
BACK_S = 60.0
# How often each is drawn, among how many.
KINDS = {"kill": 8, "kill server": 3, "stop": 4, "terminate": 1, "roll": 1, "join": 2, "cut": 2, "reset": 2, "delay": 2}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at: float  # seconds after the beginning
    kind: str
    target: str  # of `roll`: every role
    seconds: float = 0.0  # how long it lasts, where it lasts


def schedule(seed: int, seconds: float) -> Iterator[Fault]:
    """Yield the faults of a seed, within so many seconds. The first ones make sure that every kind of process dies."""
    chance = random.Random(seed)
    deaths = [("kill", "web"), ("kill", "messaging.history.1"), ("kill server", "kafka"), ("kill server", "postgres")]
    chance.shuffle(deaths)
    at = chance.uniform(*PAUSE_S)
    if seed % AWAY_EVERY == 0:
        deaths.remove(("kill server", "kafka"))  # it would wait for the other and be one of two at once all the time
        deaths.append(("away", "kafka"))
    while at < seconds:
        if deaths:
            kind, target = deaths.pop()
            yield Fault(at, kind, target, AWAY_S if kind == "away" else 0.0)
        else:
            (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
            yield _fault(at, kind, chance)
        at += chance.uniform(*PAUSE_S)


def _fault(at: float, kind: str, chance: random.Random) -> Fault:
    match kind:
        case "kill server":
            return Fault(at, kind, chance.choice(SERVERS))
        case "stop":
            return Fault(at, kind, chance.choice((*ROLES, "kafka")), chance.uniform(*STOP_S))
        case "roll":
            return Fault(at, kind, "every role")
        case "join":
            return Fault(at, kind, chance.choice(("messaging.history", "notifications.inbox")), chance.uniform(*STOP_S))
        case "cut" | "delay":
            return Fault(at, kind, chance.choice(("kafka", "postgres")), chance.uniform(2.0, 5.0))
        case "reset":
            return Fault(at, kind, chance.choice(("kafka", "postgres")))
    return Fault(at, kind, chance.choice(ROLES))


class Havoc:
    """Does to an installation what a schedule says, one thing at a time for each process."""

    def __init__(self, installation: Installation, recovered: Callable[[Fault], Coroutine[Any, Any, None]]) -> None:
        self._installation = installation
        self._recovered = recovered  # begun when something was killed; ends when its work is done again
        self._locks: dict[str, asyncio.Lock] = {}
        self.committed: list[Fault] = []
        self.current = 0  # begun and not over

    async def commit(self, fault: Fault) -> None:
        """Do it and return when its cause is over and, if something was killed, its work is done again."""
        self.committed.append(fault)
        self.current += 1
        async with self._locks.setdefault(fault.target, asyncio.Lock()):
            await getattr(self, "_" + fault.kind.replace(" ", "_"))(fault)
        self.current -= 1

    async def _kill(self, fault: Fault) -> None:
        self._installation.signal(fault.target, signal.SIGKILL)
        await self._recovered(fault)

    async def _kill_server(self, fault: Fault) -> None:
        self._installation.servers.children[fault.target].kill()
        await self._back(fault)

    async def _away(self, fault: Fault) -> None:
        """The server is missed for longer than anything here waits for an acknowledgement."""
        self._installation.servers.children[fault.target].kill()
        await asyncio.sleep(fault.seconds)
        await self._back(fault)

    async def _back(self, fault: Fault) -> None:
        recovered = asyncio.create_task(self._recovered(fault))
        await asyncio.to_thread(self._installation.servers.run, fault.target)
        await recovered

    async def _stop(self, fault: Fault) -> None:
        self._installation.signal(fault.target, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            self._installation.signal(fault.target, signal.SIGCONT)

    async def _terminate(self, fault: Fault) -> None:
        self._installation.signal(fault.target, signal.SIGTERM)

    async def _roll(self, _: Fault) -> None:
        for name in ROLES:
            before = self._installation.pid(name)
            self._installation.signal(name, signal.SIGTERM)

            async def back(name: str = name, before: int = before) -> bool:
                return self._installation.pid(name) != before and await asyncio.to_thread(
                    self._installation.is_ready, name
                )

            with contextlib.suppress(AssertionError):  # something else has happened to it
                await eventually(back, within=BACK_S)

    async def _join(self, fault: Fault) -> None:
        command = (*HEADWATER, "run", fault.target, "--port", "0")
        environment = os.environ | self._installation.stack.environment
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            await asyncio.sleep(fault.seconds)
            process.terminate()
            await asyncio.wait_for(process.wait(), BACK_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def _cut(self, fault: Fault) -> None:
        await self._link(fault, "cut")

    async def _delay(self, fault: Fault) -> None:
        await self._link(fault, "delay", seconds=0.1)

    async def _link(self, fault: Fault, do: str, **more: float) -> None:
        self._installation.link(fault.target, do, **more)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            self._installation.link(fault.target, "mend")

    async def _reset(self, fault: Fault) -> None:
        self._installation.link(fault.target, "reset")
