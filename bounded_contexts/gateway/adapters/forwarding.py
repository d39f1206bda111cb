"""One table of offers, two ways to serve it: mounted in this process, or forwarded to others."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

import aiohttp
from fastapi import FastAPI
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from bounded_contexts.gateway.adapters.http import Connections, HttpForwarder
from bounded_contexts.gateway.adapters.offers import Offer
from bounded_contexts.gateway.adapters.sockets import SocketsForwarder
from bounded_contexts.gateway.adapters.upstreams import Upstream
from infra.request_context import OWN

READY = "/health/ready"
LOOK_S = 2.0  # an upstream that takes longer is away


class Gateway:
    """Forwards what is offered by contexts that have an upstream."""

    def __init__(self, upstreams: Mapping[str, Upstream] | None = None) -> None:
        self._upstreams = upstreams or {}
        self._connections = Connections()

    def serve(self, app: FastAPI, offer: Offer) -> None:
        """Add the offer's routes to the application, in front of which `RequestContext` stands."""
        if upstream := self._upstreams.get(offer.context):
            # First: to find out that none of the others' routes fits takes longer than to forward.
            forward = HttpForwarder(upstream, self._connections, OWN, offer.large_bodies)
            app.router.routes.insert(0, ForwardedRoutes(offer, forward))
        else:
            offer.mount(app)

    def sockets(self, context: str) -> ASGIApp | None:
        """Return what serves the context's sockets where they are forwarded."""
        upstream = self._upstreams.get(context)
        return SocketsForwarder(upstream, self._connections) if upstream else None

    @property
    def forwards(self) -> bool:
        """Return whether any context is served by others."""
        return bool(self._upstreams)

    def is_forwarded(self, context: str) -> bool:
        """Return whether others serve the context."""
        return context in self._upstreams

    async def look(self) -> dict[str, dict[str, Any]]:
        """Return how the processes of each upstream are, by context; without their addresses, which are nobody's business."""
        found = await asyncio.gather(*(self._look_at(upstream) for upstream in self._upstreams.values()))
        return dict(zip(self._upstreams, found, strict=True))

    async def close(self) -> None:
        """Let go of every connection."""
        await self._connections.close()

    async def _look_at(self, upstream: Upstream) -> dict[str, Any]:
        processes = await asyncio.gather(*(self._ready(url) for url in upstream.urls))
        return {"ok": any(each["ok"] for each in processes), "processes": processes}

    async def _ready(self, url: str) -> dict[str, Any]:
        began = monotonic()
        try:
            timeout = aiohttp.ClientTimeout(total=LOOK_S)
            async with self._connections.session.get(url + READY, timeout=timeout, allow_redirects=False) as response:
                is_ready = response.ok
        except (aiohttp.ClientError, OSError) as error:
            return {"ok": False, "error": type(error).__name__}
        return {"ok": is_ready, "latency_ms": round((monotonic() - began) * 1000, 1)}


class ForwardedRoutes(BaseRoute):
    """An offer's routes, each at another process."""

    def __init__(self, offer: Offer, forward: HttpForwarder) -> None:
        self.offer = offer
        self._forward = forward

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return self.offer.match(scope) if scope["type"] == "http" else (Match.NONE, {})

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Know no route by its name: who builds a URL means a route of this process."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._forward(scope, receive, send)
