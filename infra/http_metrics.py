"""How many requests, how long they took, how many are running."""

from collections.abc import Iterable, Mapping
from time import perf_counter

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.metrics import LATENCY_S

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
UNMATCHED = "unmatched"

REQUESTS = Counter("http_requests", "Answered requests.", ("method", "route", "status_code"))
DURATION = Histogram(
    "http_request_duration_seconds", "From a request's head to the end of its answer.", ("method", "route"),
    buckets=LATENCY_S,
)  # fmt: skip
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that are being answered.")


class Routes:
    """The templates of an application's routes: what may stand in a label where a path may not."""

    def __init__(self, app: FastAPI, elsewhere: Iterable[RouteContext] = ()) -> None:
        """`elsewhere` are routes that the application forwards to other processes."""
        self._templates: Mapping[int, str | None] = {
            id(route.original_route): route.path_format for route in (*iter_route_contexts(app.routes), *elsewhere)
        }

    def template(self, scope: Scope) -> str:
        """Return the template of the route that answered, `unmatched` if none did."""
        if "app_root_path" in scope:  # a mount, such as the static files
            return str(scope["root_path"])
        return self._templates.get(id(scope.get("route"))) or UNMATCHED


class Measured:
    """ASGI: counts and times every request."""

    def __init__(self, app: ASGIApp, routes: Routes) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # of an answer that never began

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = perf_counter()
        IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, sending)
        finally:
            IN_FLIGHT.dec()
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = self._routes.template(scope)
            REQUESTS.labels(method, route, status).inc()
            DURATION.labels(method, route).observe(perf_counter() - began)
