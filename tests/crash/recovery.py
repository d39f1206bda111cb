"""How long it takes until what a killed process did is done again, asked the way its users would notice."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from tests.crash.checker import Violation
from tests.crash.faults import Fault
from tests.crash.history import History
from tests.crash.installation import Installation
from tests.crash.workload import Client, Rest

CANARIES = 12  # conversations, so that nearly every partition has one
LOOK_AGAIN_S = 0.05
DEATH_S = 0.02  # a signal is not obeyed in no time
LIMIT_S = 120.0
# What asyncpg raises while the server dies and comes back: the last is for an answer that ends in the middle.
UNREACHABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

STORED = "select count(*) from messaging.message where message_id = any($1::uuid[])"
RAISED = "select count(*) from notifications.entry where cause_id = any($1::uuid[])"
UNSENT = "select count(*) from messaging.outbox where key = any($1::text[])"


class Recovery:
    """Asks with users of its own, whose requests are noted like all others."""

    def __init__(self, installation: Installation, rest: Rest, history: History) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)  # by role or server
        self.never: list[Violation] = []
        self._installation = installation
        self._rest = rest
        self._clients = [Client(str(uuid4()), rest, history) for _ in range(CANARIES)]
        self._others = [str(uuid4()) for _ in range(CANARIES)]
        self._group = ""

    async def prepare(self) -> None:
        """Start what is needed while everything runs."""
        body = {"title": "canaries", "member_ids": []}
        answer = await self._rest(self._clients[0].user).post("/conversations", json=body)
        self._group = answer.raise_for_status().json()["id"]

    async def measure(self, fault: Fault) -> None:
        """Note how long it takes from now until the target's work is done again."""
        begun = monotonic()
        await asyncio.sleep(DEATH_S)
        try:
            await asyncio.wait_for(self._back(fault.target), LIMIT_S)
        except TimeoutError:
            self.never.append(Violation("unfinished", f"{fault.target} was not back within {LIMIT_S:.0f} s"))
        else:
            self.seconds[fault.target.rstrip(".12")].append(monotonic() - begun)

    async def _back(self, target: str) -> None:
        match target.rstrip(".12"):
            case "web" | "kafka":
                await self._clients[0].send([self._clients[0].user, self._others[0]])
            case "postgres":
                api = self._rest(self._clients[0].user)
                await _until(lambda: _answers(api, "/conversations"))
            case "registry":
                async with httpx.AsyncClient(base_url=self._installation.registry_url, timeout=5.0) as api:
                    await _until(lambda: _answers(api, "/subjects"))
            case "relay":
                await self._clients[0].rename(self._group)
                await _until(lambda: self._counts(UNSENT, [self._group], 0))
            case "realtime.delivery":
                await _until(lambda: asyncio.to_thread(self._installation.is_ready, target))
            case "messaging.history":
                ids = await self._canaries()
                await _until(lambda: self._counts(STORED, ids, len(ids)))
            case "work":
                ids = await self._canaries()
                await _until(lambda: self._counts(RAISED, ids, len(ids)))

    async def _canaries(self) -> list[str]:
        before = [set(each.ids) for each in self._clients]
        pairs = zip(self._clients, self._others, strict=True)
        await asyncio.gather(*(client.send([client.user, other]) for client, other in pairs))
        return [
            client.ids[name]
            for client, old in zip(self._clients, before, strict=True)
            for name in client.ids.keys() - old
        ]

    async def _counts(self, query: str, of: list[str], wanted: int) -> bool:
        with contextlib.suppress(*UNREACHABLE):
            connection = await asyncpg.connect(self._installation.database_url, timeout=5)
            try:
                found: Any = await connection.fetchval(query, of)
                return bool(found == wanted)
            finally:
                connection.terminate()
        return False


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():
        await asyncio.sleep(LOOK_AGAIN_S)


async def _answers(api: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await api.get(path)).is_success
    except httpx.TransportError:
        return False
