"""An Engine.IO 4 server: handshake, polls, WebSockets and the upgrade between them, heartbeats.

https://github.com/socketio/socket.io/blob/main/docs/engine.io-protocol/v4-current.md. What the messages say is its handler's.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from bounded_contexts.realtime.adapters import origins
from bounded_contexts.realtime.adapters.engine_socket import SEPARATOR, EngineSocket, Handler, Probe
from bounded_contexts.realtime.adapters.packets import CLOSE, OPEN, PING, Packet
from bounded_contexts.realtime.adapters.websocket import WebSocket
from bounded_contexts.realtime.adapters.wheel import Wheel
from bounded_contexts.realtime.application.limits import Limits

UPGRADE_S = 10.0  # a WebSocket has so long to take a session over

# The reference server's words.
TRANSPORT_UNKNOWN = {"code": 0, "message": "Transport unknown"}
SESSION_UNKNOWN = {"code": 1, "message": "Session ID unknown"}
BAD_METHOD = {"code": 2, "message": "Bad handshake method"}
BAD_REQUEST = {"code": 3, "message": "Bad request"}
FORBIDDEN = {"code": 4, "message": "Forbidden"}
UNSUPPORTED = {"code": 5, "message": "Unsupported protocol version"}

PINGED = Packet(PING)
Answer = tuple[int, str | Mapping[str, Any]]  # status and body


class EngineIO:
    """An ASGI application."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self._handler = handler
        self._limits = limits
        self.sockets: dict[str, EngineSocket] = {}
        self._due: list[EngineSocket] = []  # with something to write at the end of this turn of the loop
        self._page: list[Packet] = []
        self._joined = b""  # their frames
        self._quiet = Wheel(limits.heartbeat_s, self._ping)  # until they are pinged
        self._pinged = Wheel(limits.heartbeat_timeout_s, EngineSocket.cut)  # until they must have answered

    def end(self) -> None:
        """Cut everybody."""
        for socket in list(self.sockets.values()):
            socket.cut()
        self._quiet.stop()
        self._pinged.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)
        transport, sid = query.get("transport", [""])[0], query.get("sid", [""])[0]
        socket = self.sockets.get(sid)
        if origin is not None and not origins.is_allowed(origin, scope, self._limits.allowed_origins):
            await _answer(scope, send, (400, FORBIDDEN))
        elif scope["type"] == "http" and scope["method"] == "OPTIONS":
            await _answer(scope, send, (204, ""), origin)
        elif transport != ("websocket" if scope["type"] == "websocket" else "polling"):
            await _answer(scope, send, (400, TRANSPORT_UNKNOWN), origin)
        elif query.get("EIO") != ["4"]:
            await _answer(scope, send, (400, UNSUPPORTED), origin)
        elif sid and socket is None:
            await _answer(scope, send, (400, SESSION_UNKNOWN), origin)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send, socket)
        elif socket is not None:
            await _answer(scope, send, await self._request(scope["method"], socket, receive), origin)
        elif scope["method"] != "GET":
            await _answer(scope, send, (400, BAD_METHOD), origin)
        else:
            await _answer(scope, send, (200, self._open(address_of(scope), None).text), origin)

    def due(self, socket: EngineSocket) -> None:
        if not self._due:
            asyncio.get_running_loop().call_soon(self._flush)
        self._due.append(socket)

    def joined(self, page: list[Packet]) -> bytes:
        """Return the packets' frames in one piece, which one client after the other is sent."""
        if page != self._page:
            self._page, self._joined = page, bytes(b"".join(page))  # of one packet `join` returns that
        return self._joined

    def ponged(self, socket: EngineSocket) -> None:
        if self._pinged.remove(socket):
            self._quiet.put(socket)

    def gone(self, socket: EngineSocket) -> None:
        del self.sockets[socket.sid]
        self._quiet.remove(socket)
        self._pinged.remove(socket)

    def _flush(self) -> None:
        due, self._due = self._due, []
        for socket in due:
            if socket.is_open:
                socket.flush()
        self._page, self._joined = [], b""

    def _ping(self, socket: EngineSocket) -> None:
        self._pinged.put(socket)
        socket.send(PINGED)

    def _open(self, address: str, websocket: WebSocket | None) -> Packet:
        """Begin a session and return what its client is told."""
        socket = EngineSocket(secrets.token_urlsafe(15), address, self, self._handler, self._limits, websocket)
        self.sockets[socket.sid] = socket
        if websocket:
            websocket.reader = socket
        self._quiet.put(socket)
        self._handler.opened(socket)
        about = {
            "sid": socket.sid,
            "upgrades": [] if websocket else ["websocket"],
            "pingInterval": round(self._limits.heartbeat_s * 1000),
            "pingTimeout": round(self._limits.heartbeat_timeout_s * 1000),
            "maxPayload": self._limits.payload_bytes,
        }
        return Packet(OPEN + msgspec.json.encode(about).decode())

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, socket: EngineSocket | None) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if (
            socket is not None and not socket.is_polling
        ):  # it has a WebSocket; the reference server says so like this, too
            await send({"type": "websocket.close"})
            return
        websocket = WebSocket(self._limits.payload_bytes)
        websocket.take_over(send)
        if socket is None:
            websocket.write(bytes(self._open(address_of(scope), websocket)))
        else:
            websocket.reader = probe = Probe(socket, websocket)
            asyncio.get_running_loop().call_later(UPGRADE_S, probe.is_late)

    async def _request(self, method: str, socket: EngineSocket, receive: Receive) -> Answer:
        match method:
            case _ if not socket.is_polling:
                return 400, BAD_REQUEST
            case "GET":
                return await _polled(socket, receive)
            case "POST":
                return await self._posted(socket, receive)
        return 400, BAD_REQUEST

    async def _posted(self, socket: EngineSocket, receive: Receive) -> Answer:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if len(body) > self._limits.payload_bytes or not message.get("more_body"):
                break
        if not socket.is_open:
            return 400, SESSION_UNKNOWN
        if not _is_taken(body, self._limits.payload_bytes, socket):
            socket.cut()
            return 400, BAD_REQUEST
        return 200, "ok"


async def _polled(socket: EngineSocket, receive: Receive) -> Answer:
    if socket.poll is not None:
        socket.cut()
        return 400, BAD_REQUEST
    if page := socket.page():
        return 200, page
    socket.poll = asyncio.get_running_loop().create_future()
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait((socket.poll, leaving), return_when=asyncio.FIRST_COMPLETED)
        if socket.poll.done():
            return 200, socket.poll.result()
        socket.cut()
        return 400, BAD_REQUEST
    finally:
        socket.poll = None
        leaving.cancel()


async def _left(receive: Receive) -> None:
    """Return when the client has gone away from its request."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_taken(body: bytes, limit: int, socket: EngineSocket) -> bool:
    """Have the session take the packets. Return whether they are sound, and none more than they may be."""
    try:
        packets = body.decode().split(SEPARATOR)
    except UnicodeDecodeError:
        return False
    if len(body) > limit:
        return False
    for packet in packets:
        if not socket.take(packet):
            return False
        if not socket.is_open:
            return packet == CLOSE
    return True


async def _answer(scope: Scope, send: Send, answer: Answer, origin: str | None = None) -> None:
    status, body = answer
    headers = []
    if origin is not None:
        headers = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
    if scope.get("method") == "OPTIONS":
        headers += [(b"access-control-allow-methods", b"GET, POST"), (b"access-control-allow-headers", b"content-type")]
    if isinstance(body, str):
        await refuse(scope, send, status, body.encode(), "text/plain; charset=UTF-8", headers)
    else:
        await refuse(scope, send, status, msgspec.json.encode(body), "application/json", headers)


def address_of(scope: Scope) -> str:
    """Return where the client is."""
    return scope["client"][0] if scope.get("client") else ""


async def refuse(
    scope: Scope,
    send: Send,
    status: int,
    body: bytes,
    content_type: str = "text/plain",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Answer a request or a handshake."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    retry = [(b"retry-after", b"1")] if status == 503 else []
    own = [*retry, (b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": f"{kind}.start", "status": status, "headers": own})
    await send({"type": f"{kind}.body", "body": body})
