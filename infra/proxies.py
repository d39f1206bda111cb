"""Whom to believe about the client: nobody but the proxies in front that were named (docs/http.md)."""

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

SAID = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))


class TrustedProxies:
    """ASGI: takes client and scheme from what a trusted proxy says; what anybody else says is not there any more."""

    def __init__(self, app: ASGIApp, trusted: str) -> None:
        self._app = app
        self._told = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]  # uvicorn's own types of ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client and client[0] in self._told.trusted_hosts:
            await self._told(scope, receive, send)  # type: ignore[arg-type]
            return
        if any(name in SAID for name, _ in scope["headers"]):
            scope["headers"] = [each for each in scope["headers"] if each[0] not in SAID]
        await self._app(scope, receive, send)
