"""Break what sockets stand on while a thousand of them listen, and look whether each has heard all, once and in order.

`python -m tests.crash.realtime --clients 1000 --seconds 120` (docs/reliability.md)."""

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from uuid import uuid4

import uvloop

from headwater import wiring
from headwater.configured import shared_key_tokens
from headwater.wiring import House
from infra.access_tokens import LEEWAY
from infra.kafka_log import KafkaLog
from shared_kernel.errors import Unavailable
from tests.conftest import settings_for
from tests.crash.checker import Violation
from tests.crash.screens import Heard, Screen
from tests.integration.channels import update
from tests.integration.gateway_process import GatewayProcess, gateway_process
from tests.probes import eventually
from tests.servers import Servers, start_servers

NODES = 2
CHANNELS = 10
RATE = 20.0  # updates a second, over all channels
BYTES = 200  # of a payload
AT_ONCE = 50  # that connect at first
STALLED = 0.05  # of the clients
STALL_S = 8.0
EXPIRY = timedelta(seconds=3)  # within which all tokens end
HEALED_S = 120.0
QUIET_S = 15.0  # after which nothing more is expected
# What two caches of recent updates, queues and the interpreter may take beyond what a node has when all are in; a node that
# keeps something for each update or each connection that was is beyond it within the hour.
GROWTH_MIB = 96.0
SHOWN = 20  # violations
FAULTS = ((0.1, "kill"), (0.2, "stall"), (0.35, "kafka"), (0.6, "storm"), (0.75, "expiry"))  # share of the time, what


@dataclass(slots=True)
class Run:
    """What was said and what was heard."""

    published: Counter[str] = field(default_factory=Counter)  # channel → how many, numbered from 0, were acknowledged
    heard: dict[str, tuple[str, Sequence[Heard]]] = field(
        default_factory=dict
    )  # client → its channel, and what it heard
    resynced: list[str] = field(default_factory=list)  # clients that were told to load anew
    refused: list[str] = field(default_factory=list)  # what clients were refused
    memory: dict[str, list[float]] = field(default_factory=dict)  # node's process → MiB, by and by
    faults: list[str] = field(default_factory=list)
    connections: int = 0


def check(run: Run) -> list[Violation]:
    """Return every promise that was broken."""
    found = [each for client in run.heard for each in _of_client(client, *run.heard[client], run.published)]
    found += [Violation("lost", f"{client}: resync.required") for client in run.resynced]
    found += [Violation("wrong", f"refused: {why}") for why in run.refused]
    for process, sizes in run.memory.items():
        if sizes and sizes[-1] - sizes[0] > GROWTH_MIB:
            found.append(Violation("grown", f"{process}: from {sizes[0]:.0f} to {sizes[-1]:.0f} MiB"))
    return found


def _of_client(client: str, channel: str, heard: Sequence[Heard], published: Mapping[str, int]) -> Iterator[Violation]:
    numbers = [each.number for each in heard]
    first = list(dict.fromkeys(numbers))
    if missing := sorted(set(range(published[channel])) - set(numbers)):
        yield Violation("lost", f"{client}: {len(missing)} of {channel}, the first {missing[0]}")
    if len(first) < len(numbers):
        yield Violation("doubled", f"{client}: {len(numbers) - len(first)} of {channel}")
    if first != sorted(first):
        yield Violation("reordered", f"{client}: {channel}")
    if phantom := set(numbers) - set(range(published[channel])):
        yield Violation("phantom", f"{client}: {sorted(phantom)[:3]} of {channel}")


class Chaos:
    """Clients, nodes and what is done to them."""

    def __init__(
        self, house: House, servers: Servers, nodes: Sequence[GatewayProcess], clients: int, forget: int
    ) -> None:
        """`forget`: how many of the clients have the planted bug."""
        tokens = shared_key_tokens(house.settings)
        self._servers, self._nodes = servers, nodes
        self._log = KafkaLog(house.commands, house.codec)
        self._channels = [f"news.{uuid4().hex}" for _ in range(CHANNELS)]
        urls = [node.url for node in nodes]
        self._screens = [
            Screen(
                self._channels[number % CHANNELS],
                urls,
                tokens.issue,
                refreshes=number % 2 == 0,
                forgets=number < forget,
            )
            for number in range(clients)
        ]
        self._short = partial(tokens.issue, lifetime=EXPIRY - LEEWAY)
        self._over = asyncio.Event()
        self._heard = (0, 0.0)  # how many updates, and since when so many
        self.run = Run()

    async def last(self, seconds: float, faults: Sequence[tuple[float, str]]) -> Run:
        """Let them listen under faults for at least so long, and until they have heard everything or are not going to."""
        watching: list[asyncio.Task[None]] = []
        try:
            for at in range(0, len(self._screens), AT_ONCE):
                together = self._screens[at : at + AT_ONCE]
                watching += [asyncio.create_task(screen.run()) for screen in together]
                await asyncio.gather(*(screen.is_subscribed.wait() for screen in together))
            await self._measure()
            talking = [asyncio.create_task(self._talk(channel)) for channel in self._channels]
            begun = monotonic()
            for share, fault in faults:
                await asyncio.sleep(max(0.0, begun + share * seconds - monotonic()))
                self.run.faults.append(fault)
                await getattr(self, f"_{fault}")()
                await self._measure()
            await asyncio.sleep(max(0.0, begun + seconds - monotonic()))
            self._over.set()
            await asyncio.gather(*talking)
            with suppress(AssertionError):  # the checker says what is missing
                await eventually(self._has_ended, within=HEALED_S, every=0.5)
            await self._measure()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        return self._noted()

    async def _has_ended(self) -> bool:
        """Return whether everything was heard, or nothing has been for a while."""
        heard = sum(len(each.heard) for each in self._screens)
        if heard != self._heard[0]:
            self._heard = (heard, monotonic())
        is_all = all(len(each.heard) >= self.run.published[each.channel] for each in self._screens)
        return is_all or monotonic() - self._heard[1] > QUIET_S

    async def _talk(self, channel: str) -> None:
        """Publish numbers, each until it is acknowledged."""
        while not self._over.is_set():
            said = update(channel, {"n": self.run.published[channel], "pad": "x" * BYTES})
            while True:
                try:
                    await self._log.publish(said)
                    break
                except Unavailable:  # the same id once more, so that it is one update
                    await asyncio.sleep(0.1)
            self.run.published[channel] += 1
            await asyncio.sleep(CHANNELS / RATE)

    async def _kill(self) -> None:
        node = random.choice(self._nodes)
        await node.kill()
        await node.start()

    async def _stall(self) -> None:
        stalled = random.sample(self._screens, max(1, round(STALLED * len(self._screens))))
        for screen in stalled:
            screen.reads.clear()
        await asyncio.sleep(STALL_S)
        for screen in stalled:
            screen.reads.set()

    async def _kafka(self) -> None:
        await asyncio.to_thread(self._servers.kill_kafka)
        await asyncio.to_thread(self._servers.start_kafka)

    async def _storm(self) -> None:
        for screen in self._screens:
            screen.drop()

    async def _expiry(self) -> None:
        """Half of them take another token in time, half are thrown out and come back."""
        await asyncio.gather(*(screen.refresh(self._short) for screen in self._screens))
        await asyncio.sleep(EXPIRY.total_seconds())

    async def _measure(self) -> None:
        for number, node in enumerate(self._nodes):
            if node.pid:
                sizes = self.run.memory.setdefault(f"node {number}, process {node.pid}", [])
                sizes.append(_resident_mib(node.pid))

    def _noted(self) -> Run:
        for number, screen in enumerate(self._screens):
            self.run.heard[f"client {number}"] = (screen.channel, screen.heard)
            self.run.resynced += [f"client {number}" for name, _ in screen.told if name == "resync.required"]
            self.run.refused += [str(what) for name, what in screen.told if name == "refused"]
            self.run.connections += screen.connections
        return self.run


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def chaos(
    house: House,
    servers: Servers,
    clients: int,
    seconds: float,
    faults: Sequence[tuple[float, str]] = FAULTS,
    forget: int = 0,
) -> Run:
    """Run it on servers that are there, with nodes of its own."""
    async with AsyncExitStack() as stack:
        opened = {"HEADWATER_REALTIME_OPEN_CHANNELS": "news*"}
        nodes = [await stack.enter_async_context(gateway_process(house.settings, **opened)) for _ in range(NODES)]
        return await Chaos(house, servers, nodes, clients, forget).last(seconds, faults)


def told(run: Run, violations: Sequence[Violation]) -> str:
    """Return the figures as a person reads them."""
    kinds = Counter(violation.kind for violation in violations)
    heard = sum(len(updates) for _, updates in run.heard.values())
    lines = [
        f"{len(run.heard)} clients, {run.published.total()} updates published, {heard} heard",
        f"faults: {', '.join(run.faults)}; clients came back {run.connections - len(run.heard)} times",
        f"lost {kinds['lost']} · doubled {kinds['doubled']} · reordered {kinds['reordered']} · others"
        f" {kinds.total() - kinds['lost'] - kinds['doubled'] - kinds['reordered']}",
        *(f"{process}: {' → '.join(f'{size:.0f}' for size in sizes)} MiB" for process, sizes in run.memory.items()),
        *(f"VIOLATION {each.kind}: {each.what}" for each in violations[:SHOWN]),
    ]
    return "\n".join(lines)


async def _alone(servers: Servers, clients: int, seconds: float) -> int:
    settings = settings_for(servers, f"r{uuid4().hex[:8]}.")
    await wiring.migrate_all(settings)
    await wiring.make_topics(settings)
    await wiring.register_schemas(settings)
    house = wiring.build(settings)
    await house.start()
    try:
        run = await chaos(house, servers, clients, seconds)
    finally:
        await house.close()
    violations = check(run)
    print(told(run, violations), flush=True)
    return int(bool(violations) or run.connections <= clients)


def main() -> int:
    """Run it once, on servers of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=120.0, help="under faults, at least")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headwater-chaos-") as directory:
        servers = start_servers(Path(directory))
        try:
            return uvloop.run(_alone(servers, options.clients, options.seconds))
        finally:
            servers.stop()


if __name__ == "__main__":
    sys.exit(main())
