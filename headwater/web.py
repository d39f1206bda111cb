"""The ASGI application of a process: probes always, REST for role `web`, sockets for the feed's role."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, cast

from fastapi import Depends, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from pydantic import SecretStr
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from bounded_contexts.gateway.adapters.offers import Offer
from headwater.layout import is_open
from headwater.offers import API, COMPAT_PUBLIC_SOCKETS, COMPAT_SOCKETS, GRAPH, SOCKETS, offers
from headwater.overview import overview_routes
from headwater.settings import Settings
from headwater.wiring import SHAPE, House, build
from headwater.wiring_graph import merged
from headwater.wiring_redis import rate_limits
from infra.asyncapi import asyncapi_document
from infra.health import Health, StartupGate, health_routes
from infra.http import open_to_all, require_policies
from infra.http_errors import install
from infra.http_head import HeadAsGet
from infra.http_metrics import Measured, Routes
from infra.http_tracing import Traced
from infra.metrics import metrics_routes
from infra.openapi import publish
from infra.proxies import TrustedProxies
from infra.request_context import RequestContext
from schemas.catalogue import EVENTS
from shared_kernel.module import Module

ABOUT: dict[str, Any] = {
    "title": "Headwater",
    "version": "1",
    "generate_unique_id_function": lambda route: "_".join((*route.tags, route.name)),
    "description": "An event-driven backend: commands go in here, events come out of Kafka and Socket.IO (`/asyncapi.json`).",
}
BOTH = ("http", "websocket")
# Beside what browsers send and show by themselves.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TAKEN = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "Prefer",
    "Last-Event-ID",
    "X-Channel-Token",
    "X-CSRF",
    "X-Request-Id",
    "traceparent",
)
GIVEN = ("ETag", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id")
Table = Sequence[tuple[Module, Offer]]


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
    app.state.rate_limits = rate_limits(house.settings, house.redis)
    install(app)
    publish(app)
    app.include_router(health_routes(health))
    if _is_measured_here(house.settings, roles):
        app.state.metrics_token = _plain(house.settings.metrics_token)
        app.include_router(metrics_routes())
    table = list(offers(house.modules, compat=house.settings.compat_routes))
    _serve(app, house, table, roles)
    if "web" in roles:
        _add_documents(app, house)
        app.include_router(overview_routes(house, health))
    require_policies(app)
    elsewhere = (offer.routes for _, offer in table if house.gateway.is_forwarded(offer.context))
    routes = Routes(app, chain.from_iterable(elsewhere))
    large = _paths(module.large_bodies for module in house.modules)
    held = _paths(module.held_bodies for module in house.modules)
    lines = _paths(module.line_bodies for module in house.modules)
    served: ASGIApp = HeadAsGet(RequestContext(StartupGate(app, health), house.access_tokens, large, held, lines))
    if house.settings.cors_origins:
        served = CORSMiddleware(
            served,
            allow_origins=["*"] if house.settings.cors_origins == "*" else sorted(house.settings.browser_origins),
            allow_methods=METHODS,
            allow_headers=TAKEN,
            allow_credentials=bool(house.settings.browser_origins),  # cookies are for whom the operator knows by name
            expose_headers=GIVEN,
            max_age=600,
        )
    if house.settings.otlp_endpoint:
        served = Traced(served, routes)
    served = Measured(served, routes)
    for path, sockets in _sockets(house, table, roles):
        kinds = ("websocket",) if path == GRAPH else BOTH  # queries are posted to role `web`
        served = SocketsFirst(served, StartupGate(sockets, health), path, kinds)
    return TrustedProxies(served, house.settings.trusted_proxies)


def _serve(app: FastAPI, house: House, table: Table, roles: Collection[str]) -> None:
    for module, offer in table:
        if _is_served_here(module, roles):
            offer.mount(app)
        elif "web" in roles and (module.feed is None or house.gateway.is_forwarded(module.name)):
            house.gateway.serve(app, offer)
    if house.gateway.forwards:
        app.openapi = cache(openapi_document)  # type: ignore[method-assign]  # the application knows its own routes only


def _sockets(house: House, table: Table, roles: Collection[str]) -> Iterator[tuple[str, ASGIApp]]:
    for module, offer in table:
        here = {
            SOCKETS: module.sockets,
            COMPAT_SOCKETS: module.compat_sockets,
            COMPAT_PUBLIC_SOCKETS: module.compat_sockets,
            GRAPH: module.graph_sockets,
        }
        for path in (*offer.sockets, *offer.websockets):
            if _is_served_here(module, roles):
                yield path, cast("ASGIApp", here[path])
            elif "web" in roles and (forwarder := house.gateway.sockets(module.name)):
                yield path, forwarder


def _is_served_here(module: Module, roles: Collection[str]) -> bool:
    """Return whether the sockets' own process this is: whatever addresses all processes are given, it does not forward."""
    return module.feed is not None and module.feed.name in roles


def _paths(bodies: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return {API + path: size for each in bodies for path, size in each.items()}


def _is_measured_here(settings: Settings, roles: Collection[str]) -> bool:
    """Figures say how much business there is: nobody outside gets them without the token, not even by an oversight."""
    return settings.metrics_token is not None or not is_open(roles) or settings.is_at_home


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


class WholeFiles(StaticFiles):
    """Files that are not given in parts: Starlette says in plain text what is wrong with a range."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = [header for header in scope["headers"] if header[0] != b"range"]
        await super().__call__(scope, receive, send)


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of a process with every role, without starting one."""
    app = FastAPI(**ABOUT)
    install(app)
    publish(app)
    house = build(SHAPE)
    for _, offer in offers(house.modules, compat=False):
        offer.mount(app)
    _add_documents(app, house)
    return app.openapi()


def asyncapi() -> dict[str, object]:
    """Return the AsyncAPI document."""
    return asyncapi_document(build(SHAPE).modules, EVENTS)


def graphql_schema() -> str:
    """Return the GraphQL schema in GraphQL's own language."""
    house = build(SHAPE)
    return merged(house.modules, house.opaque_tokens).sdl


def _add_documents(app: FastAPI, house: House) -> None:
    # Swagger UI from the package, not from a content network: it works offline and under a strict policy.
    app.mount("/docs/assets", WholeFiles(packages=[("fastapi_swagger", "resources")]))

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
