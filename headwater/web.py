"""The ASGI application of a process: probes always, REST for role `web`, sockets for the feed's role."""

from collections.abc import Collection
from typing import Any, cast

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from pydantic import SecretStr
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from headwater.layout import is_open
from headwater.overview import overview_routes
from headwater.settings import Settings
from headwater.wiring import SHAPE, House, build
from headwater.wiring_graph import merged
from infra.asyncapi import asyncapi_document
from infra.health import Health, StartupGate, health_routes
from infra.http import install, open_to_all, require_policies
from infra.http_metrics import Measured, Routes
from infra.http_tracing import Traced
from infra.metrics import metrics_routes
from infra.rate_limit import RateLimit
from infra.request_context import RequestContext
from schemas.catalogue import EVENTS

ABOUT: dict[str, Any] = {
    "title": "Headwater",
    "version": "1",
    "description": "An event-driven backend: commands go in here, events come out of Kafka and Socket.IO (`/asyncapi.json`).",
}
API = "/api/v1"
SOCKETS = "/socket.io/"
COMPAT_SOCKETS = "/ws"
GRAPH = "/graphql"
BOTH = ("http", "websocket")
# Beside what browsers send and show by themselves. No cookies: nothing here is done by them.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TAKEN = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Prefer", "X-Request-Id", "traceparent")
GIVEN = ("ETag", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def application(house: House, roles: Collection[str], health: Health) -> ASGIApp:
    """Return what the process serves. Raise `RuntimeError` for a route without an access policy."""
    app = FastAPI(
        **ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect would name whatever host the client sent
        openapi_url="/openapi.json" if "web" in roles else None,
    )
    app.state.access_tokens, app.state.opaque_tokens = house.access_tokens, house.opaque_tokens
    app.state.rate_limit = RateLimit(house.settings.rate_limit_per_minute)
    install(app)
    app.include_router(health_routes(health))
    if _is_measured_here(house.settings, roles):
        app.state.metrics_token = _plain(house.settings.metrics_token)
        app.include_router(metrics_routes())
    if "web" in roles:
        _add_api(app, house)
        app.include_router(overview_routes(house, health))
    if house.settings.compat_routes:
        _add_compat_routes(app, house, roles)
    require_policies(app)
    routes = Routes(app)
    served: ASGIApp = RequestContext(StartupGate(app, health), house.access_tokens)
    if origins := [each.strip() for each in house.settings.cors_origins.split(",") if each.strip()]:
        served = CORSMiddleware(
            served, allow_origins=origins, allow_methods=METHODS, allow_headers=TAKEN, expose_headers=GIVEN, max_age=600
        )
    if house.settings.otlp_endpoint:
        served = Traced(served, routes)
    served = Measured(served, routes)
    for module in house.modules:
        if module.feed and module.feed.name in roles:
            served = SocketsFirst(served, StartupGate(cast("ASGIApp", module.sockets), health), SOCKETS)
            gate = StartupGate(cast("ASGIApp", module.graph_sockets), health)
            served = SocketsFirst(served, gate, GRAPH, ("websocket",))  # queries are posted to role `web`
            if house.settings.compat_routes:
                gate = StartupGate(cast("ASGIApp", module.compat_sockets), health)
                served = SocketsFirst(served, gate, COMPAT_SOCKETS)
    return served


def _is_measured_here(settings: Settings, roles: Collection[str]) -> bool:
    """Figures say how much business there is: nobody outside gets them without the token, not even by an oversight."""
    at_home = settings.mode == "development" and settings.host in LOOPBACK
    return settings.metrics_token is not None or not is_open(roles) or at_home


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


class SocketsFirst:
    """ASGI: sockets go past the rest, which would hide the connection that a stalled client has to be cut from."""

    def __init__(self, app: ASGIApp, sockets: ASGIApp, path: str, kinds: Collection[str] = BOTH) -> None:
        """`path` is one path, or with a slash at its end all that begin with it."""
        self._app = app
        self._sockets = sockets
        self._path = path
        self._kinds = kinds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["type"] in self._kinds and self._is_ours(scope["path"])
        await (self._sockets if first else self._app)(scope, receive, send)

    def _is_ours(self, path: str) -> bool:
        return path == self._path or (self._path.endswith("/") and path.startswith(self._path))


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of a process with every role, without starting one."""
    app = FastAPI(**ABOUT)
    install(app)
    _add_api(app, build(SHAPE))
    return app.openapi()


def asyncapi() -> dict[str, object]:
    """Return the AsyncAPI document."""
    return asyncapi_document(build(SHAPE).modules, EVENTS)


def graphql_schema() -> str:
    """Return the GraphQL schema in GraphQL's own language."""
    house = build(SHAPE)
    return merged(house.modules, house.opaque_tokens).sdl


def _add_api(app: FastAPI, house: House) -> None:
    for module in house.modules:
        if isinstance(module.router, APIRouter):
            app.include_router(module.router, prefix=API)
        if isinstance(module.root_router, APIRouter):
            app.include_router(module.root_router)

    # Swagger UI from the package, not from a content network: it works offline and under a strict policy.
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")]))

    @app.get("/docs", include_in_schema=False, dependencies=[Depends(open_to_all)])
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Headwater",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon-32x32.png",
        )

    @app.get("/asyncapi.json", tags=["meta"], dependencies=[Depends(open_to_all)])
    async def asyncapi() -> dict[str, object]:
        """The topics and socket events, as AsyncAPI 3.0."""
        return asyncapi_document(house.modules, house.codec.events)


def _add_compat_routes(app: FastAPI, house: House, roles: Collection[str]) -> None:
    for module in house.modules:
        role = module.feed.name if module.feed else "web"
        if role in roles and isinstance(module.compat_router, APIRouter):
            app.include_router(module.compat_router)
