"""Sockets at another process: WebSockets message by message, at the pace of the slower side and with the close code of
either; polls as requests."""

import asyncio
import contextlib
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from bounded_contexts.gateway.adapters.headers import Header, end_to_end, goes_in_circles, onward, target
from bounded_contexts.gateway.adapters.http import LENGTH, Connections, HttpForwarder
from bounded_contexts.gateway.adapters.upstreams import Upstream, status_for
from infra.problems import BY_STATUS, CONTENT_TYPE, RETRY_AFTER_S, problem
from infra.server import have_it_pinged, transport_of

STALLED_S = 30.0  # a client that takes nothing for so long is cut
PONG_S = 20.0  # for a client's answer to a ping: those of the upstream end here
HANDSHAKE = frozenset(
    (b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-protocol")
)
OF_THE_HANDSHAKE = HANDSHAKE | frozenset((b"sec-websocket-accept", b"date"))  # on the way back

log = structlog.get_logger()


class SocketsForwarder:
    """ASGI: what is under a path of sockets, WebSocket or poll, goes to the upstream's processes."""

    def __init__(self, upstream: Upstream, connections: Connections) -> None:
        self._upstream = upstream
        self._polls = HttpForwarder(upstream, connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        session = query.get("sid", [""])[0]  # where its polls went, the upgrade has to go
        try:
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send, session)
            else:
                await self._polls(scope, receive, send, session)
        except HTTPException as error:
            document = problem(error.status_code, BY_STATUS[error.status_code], error.detail, instance=scope["path"])
            headers = [(b"content-type", CONTENT_TYPE.encode()), (b"retry-after", str(RETRY_AFTER_S).encode())]
            await _refuse(scope, send, error.status_code, headers, msgspec.json.encode(document))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, session: str) -> None:
        """Let the client in as the upstream does, and pass on what either says until one is gone."""
        await receive()  # the handshake
        try:
            connection = await self._connected(scope, session)
        except InvalidStatus as refusal:
            answer = refusal.response
            headers = list(end_to_end(_raw(answer.headers), LENGTH))
            await _refuse(scope, send, answer.status_code, headers, bytes(answer.body or b""))
            return
        have_it_pinged(send, PONG_S)
        pair = _Pair(connection, receive, send)
        try:
            await pair.open()
            await pair.run()
        finally:
            connection.transport.abort()  # whatever has not ended well by now

    async def _connected(self, scope: Scope, session: str) -> ClientConnection:
        context = self._upstream.context
        if goes_in_circles(scope):
            raise HTTPException(HTTPStatus.BAD_GATEWAY, f"the upstream of {context} is this process")
        status = HTTPStatus.BAD_GATEWAY
        busy: InvalidStatus | None = None
        for url in self._upstream.candidates(session):
            try:
                return await self._connect(url, scope)
            except InvalidStatus as refusal:
                if refusal.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                busy = refusal  # it starts, or ends
            except (InvalidURI, ValueError):  # by the library's reading, or by Python's
                raise HTTPException(HTTPStatus.BAD_REQUEST, "the request names no host") from None
            except (OSError, InvalidHandshake) as error:
                log.warning("gateway.unreachable", context=context, url=url, detail=str(error))
                self._upstream.away(url)
                status = status_for(error)
        if busy:
            raise busy
        raise HTTPException(status, f"no process of {context} answers")

    async def _connect(self, url: str, scope: Scope) -> ClientConnection:
        """Return a connection to one process, that of the client's handshake but for what is of the hop."""
        address = urlsplit(url)
        headers = onward(scope, HANDSHAKE)
        host = headers.pop("host")
        secure = address.scheme == "https"
        return await connect(
            f"{'wss' if secure else 'ws'}://{host}{target(scope)}",
            host=address.hostname,
            port=address.port or (443 if secure else 80),
            subprotocols=[Subprotocol(each) for each in scope["subprotocols"]] or None,
            additional_headers=list(headers.items()),
            user_agent_header=None,
            compression=None,
            open_timeout=self._upstream.patience.connect_s,
            max_size=None,  # the client's side has the limit; what the upstream sends is ours
            max_queue=1,
            proxy=None,
            server_hostname=address.hostname if secure else None,
        )


class _Pair:
    """A client and its connection to the upstream."""

    def __init__(self, upstream: ClientConnection, receive: Receive, send: Send) -> None:
        self._upstream = upstream
        self._receive = receive
        self._send = send

    async def open(self) -> None:
        """Tell the client that it is in, as the upstream did."""
        assert self._upstream.response  # noqa: S101 – narrows: the handshake is over
        headers = list(end_to_end(_raw(self._upstream.response.headers), OF_THE_HANDSHAKE))
        await self._send({"type": "websocket.accept", "subprotocol": self._upstream.subprotocol, "headers": headers})

    async def run(self) -> None:
        """Pass on until either is gone; then the other is told."""
        ways = [asyncio.create_task(self._to_client()), asyncio.create_task(self._to_upstream())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
        for way in ways:
            if not way.cancelled() and (error := way.exception()):
                raise error

    async def _to_client(self) -> None:
        try:
            async with asyncio.timeout(None) as patience:
                while True:
                    patience.reschedule(None)
                    message = await self._upstream.recv()
                    patience.reschedule(asyncio.get_running_loop().time() + STALLED_S)
                    await self._send(
                        {"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message}
                    )
        except TimeoutError:
            self._cut()
        except ConnectionClosed as closed:
            if closed.rcvd is None:
                self._cut()  # it broke off, and so does this
            elif closed.rcvd_then_sent:
                code = _sendable(closed.rcvd.code)
                await self._send({"type": "websocket.close", "code": code, "reason": closed.rcvd.reason})

    async def _to_upstream(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # the other way tells the client
            while (message := await self._receive())["type"] == "websocket.receive":
                text = message.get("text")
                await self._upstream.send(message["bytes"] if text is None else text)
            if "reason" in message:  # otherwise it broke off
                await self._upstream.close(_sendable(message["code"]), message["reason"] or "")
            return
        await asyncio.Event().wait()

    def _cut(self) -> None:
        if transport := transport_of(self._send):
            transport.abort()


def _raw(headers: Headers) -> list[Header]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.raw_items()]


def _sendable(code: int) -> int:
    """Return the code of a close frame that may be sent: one that came without a code is a normal one."""
    return CloseCode.NORMAL_CLOSURE if code == CloseCode.NO_STATUS_RCVD else code


async def _refuse(scope: Scope, send: Send, status: int, headers: Sequence[Header], body: bytes) -> None:
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    start: Message = {"type": f"{kind}.start", "status": status, "headers": [*headers]}
    await send(start)
    await send({"type": f"{kind}.body", "body": body})
