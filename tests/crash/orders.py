"""Orders while everything they need is killed: run, heal, check, and say what was measured (docs/reliability.md).

`python -m tests.crash.orders --orders 2000 --clients 16 --seconds 120 --seed 1`
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import monotonic
from uuid import uuid4

import httpx
import uvloop

from tests.crash.campaign import clients, strike
from tests.crash.checker import Violation
from tests.crash.evidence import Sources
from tests.crash.faults import PAUSE_S, Fault, Havoc
from tests.crash.history import History, Operation, Outcome, operations
from tests.crash.installation import Installation
from tests.crash.orders_checker import OrdersEvidence, check_orders, once, told
from tests.crash.orders_evidence import collect_orders, open_work
from tests.crash.orders_workload import Shop
from tests.crash.recovery import DEATH_S, LIMIT_S, UNREACHABLE

GROUPS = (
    *("sagas", "ordering.commands", "ordering.orders", "inventory.commands", "inventory.stock"),
    *("payments.commands", "payments.payments"),
)
SCALE = tuple(f"{group}=1" for group in GROUPS)
PROVIDER = "payment-provider"
# What dies: whatever an order needs, each at a process of its own.
TARGETS = (
    *(("kill", name) for name in ("web", "relay", PROVIDER, *(f"{group}.1" for group in GROUPS))),
    *(("kill server", name) for name in ("kafka", "postgres")),
)
# Of the provider's answers: 20 % are failures, half of them after it did what was asked, and 5 % come too late. What it
# declines follows from the price.
FAULTS = {"shares": {"refuse": 0.1, "lost": 0.1, "late": 0.05}, "late_s": 4.0, "webhook_copies": 2}
QUIET_S = 240.0  # a step that is silent is undone after half a minute, and its undo is asked again after another
LOOK_S = 0.5
SHOWN = 30  # violations


@dataclass(slots=True)
class Report:
    """What a run has shown."""

    seed: int
    seconds: float  # under load and faults
    faults: list[Fault]
    recovery: dict[str, list[float]]  # by what was killed
    settled_s: list[float]
    quiet: float | None  # seconds until nothing was left to do; None: not within the limit
    operations: list[Operation]
    evidence: OrdersEvidence
    violations: list[Violation]

    def ended(self, outcome: Outcome) -> int:
        """Return how many requests ended so."""
        return sum(each.outcome == outcome for each in self.operations)

    @property
    def placed(self) -> int:
        """Return how many orders were acknowledged."""
        return sum(each.kind == "place" and each.outcome == "ok" for each in self.operations)


def schedule(seed: int, seconds: float) -> Iterator[Fault]:
    """Yield the deaths of a seed, within so many seconds: everything dies once before anything dies twice."""
    chance = random.Random(seed)
    waiting: list[tuple[str, str]] = []
    at = chance.uniform(*PAUSE_S)
    while at < seconds:
        if not waiting:
            waiting = chance.sample(TARGETS, len(TARGETS))
        kind, target = waiting.pop()
        yield Fault(at, kind, target)
        at += chance.uniform(*PAUSE_S)


class Recovery:
    """Asks for orders of its own, which are noted like all others, after something was killed."""

    def __init__(self, installation: Installation, shop: Shop, buyer: str) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._measuring: list[asyncio.Task[None]] = []  # beside the deaths to come, which do not wait for it
        self._installation = installation
        self._shop = shop
        self._buyer = buyer

    async def measure(self, fault: Fault) -> None:
        """Begin to note how long it takes until an order that is placed from now on has come to its end."""
        await asyncio.sleep(DEATH_S)
        self._measuring.append(asyncio.create_task(self._settled(fault.target, monotonic())))

    async def measured(self) -> None:
        """Wait until all of that is known."""
        await asyncio.gather(*self._measuring)

    async def _settled(self, target: str, begun: float) -> None:
        if target == PROVIDER:
            await misbehave(self._installation)
        _, order = await self._shop.place(self._buyer, self._shop.canary())
        if order and await self._shop.settled(self._buyer, order):
            self.seconds[target.removesuffix(".1")].append(monotonic() - begun)


async def misbehave(installation: Installation) -> None:
    """Have the provider fail as it should, as soon as it is there: it forgets that when it dies."""
    until = monotonic() + LIMIT_S
    async with httpx.AsyncClient(timeout=5) as http:
        while True:
            try:
                (await http.put(f"{provider_url(installation)}/faults", json=FAULTS)).raise_for_status()
                return
            except httpx.HTTPError:
                if monotonic() > until:
                    raise
                await asyncio.sleep(LOOK_S)


def provider_url(installation: Installation) -> str:
    """Return where the simulated provider listens."""
    return f"http://127.0.0.1:{installation.port(PROVIDER)}"


async def campaign(
    installation: Installation, directory: Path, seed: int, orders: int, buyers: int, seconds: float
) -> Report:
    """Have the orders placed under faults, then heal and check."""
    path = directory / "history.jsonl"
    history = History(path)
    staff = str(uuid4())
    async with clients(installation, {staff: ("staff",)}) as rest:
        shop = Shop([str(uuid4()) for _ in range(buyers)], staff, rest, history, seed)
        recovery = Recovery(installation, shop, str(uuid4()))
        await misbehave(installation)
        await shop.open(orders)
        havoc = Havoc(installation, recovery.measure)
        try:
            begun = monotonic()
            await asyncio.gather(shop.run(orders, seconds), strike(havoc, schedule(seed, seconds)))
            lasted = monotonic() - begun
            await recovery.measured()
            quiet = await _quiet(installation)
        finally:
            history.close()
        asked = operations(path)
        sources = Sources(installation.kafka, "", installation.database_url, installation.registry_url, rest)
        found = await collect_orders(sources, provider_url(installation), asked)
    violations = check_orders(found)
    if quiet is None:
        violations.append(Violation("unfinished", f"not quiet within {QUIET_S:.0f} s"))
    return Report(seed, lasted, havoc.committed, recovery.seconds, shop.settled_s, quiet, asked, found, violations)


async def _quiet(installation: Installation) -> float | None:
    """Return after how many seconds no group lagged and nothing was open, None if it took too long."""
    begun = monotonic()
    while monotonic() - begun < QUIET_S:
        try:
            if not any((await open_work(installation.database_url)).values()):
                groups = json.loads(await asyncio.to_thread(installation.stack.headwater, "groups", "--json"))
                if not any(int(group["lag"]) for group in groups):
                    return monotonic() - begun
        except (AssertionError, subprocess.TimeoutExpired, *UNREACHABLE):
            pass  # not healed yet
        await asyncio.sleep(LOOK_S)
    return None


def shown(report: Report) -> str:
    """Return the figures as a person reads them."""
    kinds = Counter(each.kind for each in report.violations)
    deaths = Counter(each.target.removesuffix(".1") for each in report.faults)
    events = once(report.evidence.events)
    ends = Counter(order.status for order in told(events).values())
    done = Counter(row["step"] for row in report.evidence.ledger)
    lines = [
        f"seed {report.seed}: {report.placed} orders acknowledged in {report.seconds:.0f} s"
        f" ({report.placed / report.seconds:.1f}/s with outages)",
        "orders " + ", ".join(f"{count} {status}" for status, count in ends.most_common()),
        f"violations {len(report.violations)}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        f"requests {len(report.operations)}: unknown {report.ended('unknown')}, refused {report.ended('fail')}",
        f"records {len(report.evidence.events)}, {len(report.evidence.events) - len(events)} of them again",
        "provider " + ", ".join(f"{count} {step}" for step, count in sorted(done.items())),
        f"deaths {len(report.faults)}: " + ", ".join(f"{count} {target}" for target, count in sorted(deaths.items())),
        f"place to confirmed {percentiles(report.settled_s)}",
        "quiet after " + ("never" if report.quiet is None else f"{report.quiet:.0f} s"),
        "seconds until an order placed after a death was settled (median, longest, deaths):",
    ]
    for target, found in sorted(report.recovery.items()):
        lines.append(f"  {target:18} {median(found):5.1f} {max(found):5.1f} {len(found):3}")
    lines += [f"VIOLATION seed {report.seed}: {each.kind}: {each.what}" for each in report.violations[:SHOWN]]
    return "\n".join(lines)


def percentiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "never"
    cuts = quantiles(seconds, n=100)
    return f"p50 {cuts[49]:.1f} s, p99 {cuts[98]:.1f} s, {len(seconds)} times, outages included"


def main() -> int:
    """Run one seed and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2_000, help="how many")
    parser.add_argument("--clients", type=int, default=16, help="who place them")
    parser.add_argument("--seconds", type=float, default=120.0, help="within which they are placed, under faults")
    parser.add_argument("--seed", type=int, default=1, help="decides what dies when")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headwater-orders-") as directory:
        place = Path(directory)
        with Installation(place, SCALE).running(place / "up.log") as installation:
            report = uvloop.run(campaign(installation, place, asked.seed, asked.orders, asked.clients, asked.seconds))
    print(shown(report))
    return int(bool(report.violations) or not (report.placed and report.recovery and report.settled_s))


if __name__ == "__main__":
    sys.exit(main())
