"""Whether a process lives and can do its work: `/health/live`, `/health/ready`, `/health` (docs/operations.md)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.http import open_to_all
from infra.problems import CONTENT_TYPE, RETRY_AFTER_S, problem

TIMEOUT_S = 2.0  # a dependency that takes longer is away
FRESH_S = 1.0  # answers are kept so long, so that probes cannot load the dependencies

ALWAYS = ("/health/live", "/metrics")  # answered while the process still connects

Check = Callable[[], Awaitable[None]]  # raises when the dependency is away


@dataclass(slots=True)
class Health:
    """A process's own account of itself."""

    roles: tuple[str, ...]
    checks: Mapping[str, Check]
    dispensable: Mapping[str, Check] = field(default_factory=dict)  # what work is done without, more slowly
    started: bool = True  # whether it has connected to what it depends on
    stopping: bool = False
    _known: dict[str, Any] = field(default_factory=dict)
    _asked_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether work can be done, and why not."""
        async with self._lock:
            if monotonic() - self._asked_at > FRESH_S:
                every = {**self.checks, **self.dispensable}
                found = await asyncio.gather(*(self._ask(check) for check in every.values()))
                self._known, self._asked_at = dict(zip(every, found, strict=True)), monotonic()
        away = {name for name, check in self._known.items() if not check["ok"]}
        ok = not self.stopping and away <= self.dispensable.keys()
        status = "stopping" if self.stopping else "unavailable" if not ok else "degraded" if away else "ok"
        return ok, {"status": status, "roles": list(self.roles), "checks": self._known}

    async def _ask(self, check: Check) -> dict[str, Any]:
        began = monotonic()
        try:
            await asyncio.wait_for(check(), TIMEOUT_S)
        except Exception as error:
            return {"ok": False, "error": type(error).__name__}
        return {"ok": True, "latency_ms": round((monotonic() - began) * 1000, 1)}


class StartupGate:
    """ASGI: until the process has connected, it lives but does nothing else."""

    def __init__(self, app: ASGIApp, health: Health) -> None:
        self._app = app
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._health.started or scope.get("path") in ALWAYS:
            await self._app(scope, receive, send)
        else:
            document = problem(503, "starting", "the process waits for what it depends on")
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            await JSONResponse(document, 503, headers, CONTENT_TYPE)(scope, receive, send)  # a handshake, too


def health_routes(health: Health) -> APIRouter:
    """Return the probes; anybody may ask, and learns only what is up."""
    routes = APIRouter(tags=["health"], dependencies=[Depends(open_to_all)])

    @routes.get("/health/live")
    async def live() -> dict[str, str]:
        """The process runs."""
        return {"status": "ok"}

    @routes.get("/health/startup", responses={503: {"description": "It waits for what it depends on."}})
    async def started() -> dict[str, str]:
        """The process has connected; until then `StartupGate` answers."""
        return {"status": "ok"}

    @routes.get("/health/ready", name="is_ready", responses={503: {"description": "Something it depends on is away."}})
    @routes.get("/health", responses={503: {"description": "Something it depends on is away."}})
    async def ready() -> JSONResponse:
        """The process and what it depends on are up."""
        ok, report = await health.ready()
        return JSONResponse(report, 200 if ok else 503)

    return routes
