"""A server span for each request, in the caller's trace if it sent one."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra import tracing
from infra.envelope import TRACEPARENT
from infra.http_metrics import METHODS, UNMATCHED, Routes

UNTRACED = ("/health", "/metrics")  # asked every few seconds, and of interest to nobody


class Traced:
    """ASGI: the application finds the span where it looks for the caller's, in the `traceparent` header."""

    def __init__(self, app: ASGIApp, routes: Routes) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNTRACED):
            await self._app(scope, receive, send)
            return
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"] if scope["method"] in METHODS else "HTTP"
        attributes: dict[str, tracing.Value] = {
            "http.request.method": method if method in METHODS else "_OTHER",
            "url.path": scope["path"],  # without the query, which may say more than who reads traces should know
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
        }
        with tracing.serving(method, attributes, _sent(scope)) as span:
            if span.traceparent:
                others = [header for header in scope["headers"] if header[0] != b"traceparent"]
                scope["headers"] = [*others, (b"traceparent", span.traceparent.encode())]
            try:
                await self._app(scope, receive, sending)
            finally:
                route = self._routes.template(scope)
                if route != UNMATCHED:
                    span.named(f"{method} {route}")
                    span.set("http.route", route)
                span.set("http.response.status_code", status)
                span.set("headwater.correlation_id", scope.get("request_id", ""))
                if status >= 500:
                    span.failed(str(status))


def _sent(scope: Scope) -> str | None:
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), "")
    return given if TRACEPARENT.fullmatch(given) else None
