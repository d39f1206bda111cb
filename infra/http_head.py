"""HEAD where routes know GET only (RFC 9110, 9.3.2)."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """ASGI: answers a HEAD that is refused, though GET is allowed, as that GET without its body.

    What forwards HEAD or answers it by itself is left alone. A stream ends with its head: nobody waits for the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_refused = is_over = False

        async def unless_refused(message: Message) -> None:
            nonlocal is_refused
            is_refused = is_refused or _is_for_get(message)
            if not is_refused:
                await send(message)

        async def head(message: Message) -> None:
            nonlocal is_over
            if is_over:
                return
            is_over = message["type"] == "http.response.body"
            await send({"type": "http.response.body"} if is_over else message)

        await self._app(scope, receive, unless_refused)
        if is_refused:
            await self._app({**scope, "method": "GET"}, receive, head)


def _is_for_get(message: Message) -> bool:
    """Return whether an answer begins that says: not by this method, but by GET."""
    if message["type"] != "http.response.start" or message["status"] != HTTPStatus.METHOD_NOT_ALLOWED:
        return False
    allowed = (value for name, value in message.get("headers", ()) if name.lower() == b"allow")
    return any(b"GET" in value.split(b", ") for value in allowed)
