"""How everything is: the servers and every role, for people and for what watches them (`GET /`)."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bounded_contexts.realtime import module as realtime
from bounded_contexts.realtime.adapters.sessions_postgres import PostgresSessions
from headwater.layout import SOCKETS
from headwater.wiring import House
from infra.health import Health
from infra.http import open_to_all
from infra.outbox_metrics import look

TIMEOUT_S = 3.0
FRESH_S = 2.0  # answers are kept so long: anybody may ask
LATE_S = 10.0  # a decision that waits so long in an outbox: nobody relays


class Overview(BaseModel):
    """`status` is `ok`; `degraded` where a service is not, or a server that can be done without; `unavailable` where another is
    away."""

    status: str
    dependencies: dict[str, dict[str, Any]]
    services: dict[str, dict[str, Any]]


class Everything:
    """What is known of the house, asked at most every `FRESH_S`."""

    def __init__(self, house: House, health: Health) -> None:
        self._house = house
        self._health = health
        self._known = Overview(status="unavailable", dependencies={}, services={})
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def overview(self) -> Overview:
        async with self._lock:
            if monotonic() - self._asked_at > FRESH_S:
                self._known, self._asked_at = await self._ask(), monotonic()
        return self._known

    async def _ask(self) -> Overview:
        is_ready, report = await self._health.ready()
        asks = (self._groups, self._relay, self._gateways)
        # Upstreams have a limit of their own: whoever falls silent is told of, even where the clock is late.
        asked = await asyncio.gather(*(_within(ask) for ask in asks), self._upstreams())
        services = {"web": {"ok": not self._health.stopping}} | {
            name: each for some in asked if some for name, each in some.items()
        }
        is_known = bool(asked[0]) and None not in asked
        is_whole = report["status"] == "ok" and is_known and all(each["ok"] for each in services.values())
        status = "unavailable" if not is_ready else "ok" if is_whole else "degraded"
        return Overview(status=status, dependencies=report["checks"], services=services)

    async def _groups(self) -> dict[str, dict[str, Any]]:
        return {
            each.group: {
                "ok": each.state == "running",
                "state": each.state,
                "lag": each.lag,
                "members": len(each.members),
                "dead_letters": each.dead_letters,
            }
            for each in await self._house.group_operations.view()
        }

    async def _relay(self) -> dict[str, dict[str, Any]]:
        schemas = [module.name for module in self._house.modules if module.has_outbox]
        found = await asyncio.gather(*(look(self._house.databases[schema], schema) for schema in schemas))
        oldest = max((age for _, age in found), default=0.0)
        waiting = sum(int(count) for count, _ in found)
        return {"relay": {"ok": oldest < LATE_S, "waiting": waiting, "oldest_s": round(oldest, 1)}}

    async def _gateways(self) -> dict[str, dict[str, Any]]:
        count = await PostgresSessions(self._house.databases[realtime.NAME], self._house.codec).nodes()
        return {SOCKETS: {"ok": count > 0, "processes": count}}

    async def _upstreams(self) -> dict[str, dict[str, Any]]:
        return {f"upstream.{context}": each for context, each in (await self._house.gateway.look()).items()}


async def _within(ask: Callable[[], Awaitable[dict[str, dict[str, Any]]]]) -> dict[str, dict[str, Any]] | None:
    """Return what can be known in time, None where nothing can; a server that is away is told of among the dependencies."""
    try:
        return await asyncio.wait_for(ask(), TIMEOUT_S)
    except Exception:
        return None


def overview_routes(house: House, health: Health) -> APIRouter:
    """Return `GET /`."""
    routes = APIRouter(tags=["health"])
    everything = Everything(house, health)

    @routes.get("/", dependencies=[Depends(open_to_all)], response_model=Overview, responses={503: {"model": Overview}})
    async def overview() -> JSONResponse:
        """How everything is: servers with their latency, roles with what waits for them. 503 while a server is away."""
        found = await everything.overview()
        return JSONResponse(found.model_dump(), 503 if found.status == "unavailable" else 200)

    return routes
