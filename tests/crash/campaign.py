"""Run load and faults against a whole installation, heal it, check it, and say what was measured.

`python -m tests.crash.campaign --seeds 5 --seconds 90`, or `make crash`.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic
from uuid import uuid4

import asyncpg
import httpx
import uvloop

from tests.crash import evidence
from tests.crash.checker import Violation, check
from tests.crash.evidence import EFFECTS, Moment, Sources
from tests.crash.faults import Fault, Havoc, schedule
from tests.crash.history import History, Operation, Outcome, operations
from tests.crash.installation import Installation
from tests.crash.recovery import UNREACHABLE, Recovery
from tests.crash.workload import Listener, Load, Rest

USERS = 64
LISTENERS = 2
AT_ONCE = 2  # faults; a third is left out
RATE = 250.0  # requests a second
MOMENT_S = 1.0
STRETCH_S = 5.0
QUIET_S = 60.0
REQUEST_S = 10.0  # how long a client waits for an answer
SHOWN = 20  # violations of a seed


@dataclass(slots=True)
class Report:
    """What one seed has shown."""

    seed: int
    seconds: float  # under load and faults
    faults: list[Fault]
    recovery: dict[str, list[float]]
    quiet: float | None  # seconds until nothing was left to do; None: not within the limit
    connections: int  # of the sockets that listened
    operations: list[Operation]
    violations: list[Violation]

    def ended(self, outcome: Outcome) -> int:
        """Return how many requests ended so."""
        return sum(each.outcome == outcome for each in self.operations)

    @property
    def messages(self) -> int:
        """Return how many messages were acknowledged."""
        return sum(each.kind == "send" and each.outcome == "ok" for each in self.operations)

    @property
    def pace(self) -> float:
        """Return how many messages a second were acknowledged in the best stretch of `STRETCH_S`."""
        answered = sorted(each.ended or 0.0 for each in self.operations if each.kind == "send" and each.outcome == "ok")
        return max((bisect_left(answered, at + STRETCH_S) - n for n, at in enumerate(answered)), default=0) / STRETCH_S


async def campaign(installation: Installation, directory: Path, seed: int, seconds: float, rate: float) -> Report:
    """Let it run under load and faults for so long, then heal and check."""
    path = directory / f"history-{seed}.jsonl"
    history = History(path)
    async with clients(installation) as rest:
        load = Load([str(uuid4()) for _ in range(USERS)], rest, history, seed)
        recovery = Recovery(installation, rest, history)
        await load.start_groups()
        await recovery.prepare()
        listeners = {each.user: _listener(installation, each.user, seed) for each in load.clients[:LISTENERS]}
        moments: list[Moment] = []
        watching = [asyncio.create_task(each.run()) for each in listeners.values()]
        watching.append(asyncio.create_task(_watch(installation, moments)))
        havoc = Havoc(installation, recovery.measure)
        try:
            lasted = await _under_fire(load, havoc, list(schedule(seed, seconds)), seconds, rate)
            quiet = await _quiet(installation)
            await _heard_all(load, listeners)
            quiet = None if await _quiet(installation) is None else quiet
        finally:
            died = [task for task in watching if task.done()]
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            history.close()
        for task in died:
            task.result()
        asked = operations(path)
        sources = Sources(installation.kafka, "", installation.database_url, installation.registry_url, rest)
        found = await evidence.collect(sources, asked)
    found.heard = {user: each.heard for user, each in listeners.items()}
    found.moments = moments
    violations = [*check(found), *recovery.never, *_resynced(listeners)]
    if quiet is None:
        violations.append(Violation("unfinished", f"not quiet within {QUIET_S:.0f} s"))
    connections = sum(each.connections for each in listeners.values())
    return Report(seed, lasted, havoc.committed, recovery.seconds, quiet, connections, asked, violations)


async def _under_fire(load: Load, havoc: Havoc, faults: list[Fault], seconds: float, rate: float) -> float:
    """Run the load, commit the faults that are due, and return the seconds until the last one is over."""
    begun = monotonic()
    stop = asyncio.Event()
    talking = asyncio.create_task(load.run(rate, stop))
    try:
        await strike(havoc, faults)
        await asyncio.sleep(max(0.0, begun + seconds - monotonic()))
    finally:
        stop.set()
        await talking
    return monotonic() - begun


async def strike(havoc: Havoc, faults: Iterable[Fault]) -> None:
    """Commit the faults when they are due, and return when the last one is over."""
    begun = monotonic()

    async def one(fault: Fault) -> None:
        await asyncio.sleep(begun + fault.at - monotonic())
        if havoc.current < AT_ONCE:  # else nothing would be tested but that nothing works
            await havoc.commit(fault)

    await asyncio.gather(*(one(fault) for fault in faults))


async def _watch(installation: Installation, moments: list[Moment]) -> None:
    """Note again and again where the groups stand and what they have stored, past the proxy."""
    while True:
        with contextlib.suppress(*UNREACHABLE):
            connection = await asyncpg.connect(installation.database_url, timeout=5)
            try:
                while True:
                    moments += [await evidence.moment(connection, group, "") for group in EFFECTS]
                    await asyncio.sleep(MOMENT_S)
            finally:
                connection.terminate()
        await asyncio.sleep(MOMENT_S)


async def _quiet(installation: Installation) -> float | None:
    """Return after how many seconds no group lagged and the outbox was empty, None if it took too long."""
    begun = monotonic()
    while monotonic() - begun < QUIET_S:
        try:
            groups = json.loads(await asyncio.to_thread(installation.stack.headwater, "groups", "--json"))
            connection = await asyncpg.connect(installation.database_url)
            try:
                waiting = await connection.fetchval("select count(*) from messaging.outbox")
            finally:
                connection.terminate()
            if not waiting and not any(int(group["lag"]) for group in groups):
                return monotonic() - begun
        except (AssertionError, subprocess.TimeoutExpired, *UNREACHABLE):
            await asyncio.sleep(1.0)
    return None


async def _heard_all(load: Load, listeners: dict[str, Listener]) -> None:
    """Send a last message into each conversation of those who listen, and wait until it was heard."""
    clients = {each.user: each for each in load.clients}
    for number, each in enumerate(load.clients):
        if (listener := listeners.get(each.user)) is None:
            continue
        group, members = next((id_, members) for id_, members in load.groups.items() if each.user in members)
        pair = load.clients[number ^ 1].user
        speaker = clients[next(user for user in members if user not in (each.user, pair))]
        for client, to in ((clients[pair], [each.user, pair]), (speaker, group)):
            before = set(client.ids)
            await client.send(to)
            for name in client.ids.keys() - before:
                await listener.hears(name, QUIET_S)


def _resynced(listeners: dict[str, Listener]) -> Iterator[Violation]:
    return (Violation("lost", f"socket of {user}: resync.required") for user, each in listeners.items() if each.is_lost)


def _listener(installation: Installation, user: str, seed: int) -> Listener:
    def gateways() -> list[str]:
        names = [name for name in installation.roles if name.startswith("realtime.")]
        return [f"http://127.0.0.1:{installation.port(name)}" for name in names]

    return Listener(installation.stack.token(user), gateways, seed)


@asynccontextmanager
async def clients(installation: Installation, roles: Mapping[str, Sequence[str]] | None = None) -> AsyncIterator[Rest]:
    """Return the REST client of a user, always the same one; some have roles."""
    opened: dict[str, httpx.AsyncClient] = {}

    def of(user: str) -> httpx.AsyncClient:
        if user not in opened:
            headers = {"authorization": f"Bearer {installation.stack.token(user, *(roles or {}).get(user, ()))}"}
            url = f"{installation.stack.url}/api/v1"
            opened[user] = httpx.AsyncClient(base_url=url, headers=headers, timeout=REQUEST_S)
        return opened[user]

    try:
        yield of
    finally:
        for each in opened.values():
            await each.aclose()


def told(reports: list[Report]) -> str:
    """Return the figures as a person reads them."""
    kinds = Counter(violation.kind for report in reports for violation in report.violations)
    faults = Counter(fault.kind for report in reports for fault in report.faults)
    messages, seconds = sum(each.messages for each in reports), sum(each.seconds for each in reports)
    lines = [
        f"seeds {', '.join(str(each.seed) for each in reports)}: {seconds:.0f} s under load and faults",
        f"acknowledged {sum(each.ended('ok') for each in reports)} requests, {messages} of them messages"
        f" ({messages / seconds:.0f}/s with outages, {max(each.pace for each in reports):.0f}/s over the best {STRETCH_S:.0f} s)",
        f"lost {kinds['lost']} · doubled {kinds['doubled']} · reordered {kinds['reordered']} · others"
        f" {sum(kinds.values()) - kinds['lost'] - kinds['doubled'] - kinds['reordered']}",
        f"unknown {sum(each.ended('unknown') for each in reports)} · refused {sum(each.ended('fail') for each in reports)}",
        f"faults {sum(faults.values())}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items())),
        f"sockets came back {sum(each.connections for each in reports) - LISTENERS * len(reports)} times",
        "quiet after " + ", ".join("never" if each.quiet is None else f"{each.quiet:.0f} s" for each in reports),
        "seconds until a killed process's work was done again (median, longest, deaths):",
    ]
    by_role: dict[str, list[float]] = {}
    for report in reports:
        for role, found in report.recovery.items():
            by_role.setdefault(role, []).extend(found)
    lines += [f"  {role:18} {median(s):5.1f} {max(s):5.1f} {len(s):3}" for role, s in sorted(by_role.items())]
    lines += [f"VIOLATION seed {each.seed}: {v.kind}: {v.what}" for each in reports for v in each.violations[:SHOWN]]
    return "\n".join(lines)


def main() -> int:
    """Run the seeds, each on an installation of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seconds", type=float, default=90.0, help="under load and faults, for each")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second")
    options = parser.parse_args()
    reports = []
    for seed in range(options.first, options.first + options.seeds):
        with tempfile.TemporaryDirectory(prefix="headwater-crash-") as directory:
            place = Path(directory)
            with Installation(place).running(place / "up.log") as installation:
                reports.append(uvloop.run(campaign(installation, place, seed, options.seconds, options.rate)))
        print(told(reports[-1:]), flush=True)
    if len(reports) > 1:
        print("\nall together\n" + told(reports))
    return int(any(each.violations or not (each.messages and each.connections and each.recovery) for each in reports))


if __name__ == "__main__":
    sys.exit(main())
