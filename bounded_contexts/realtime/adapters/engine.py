"""python-socketio with our own behaviour at its edges (docs/realtime.md, "What we change in python-socketio").

It keeps handshake, transports, upgrade, heartbeat and packets. Ours: who is let in, what a packet may look like, what a
refusal says, commands in order, and connections that are cut at once when they have to be.
"""

import asyncio
import sys
from collections.abc import Coroutine, Mapping, MutableMapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import engineio
import socketio
import structlog
from engineio.packet import NOOP
from engineio.packet import Packet as EnginePacket
from socketio.exceptions import ConnectionRefusedError as Refusal
from socketio.packet import Packet
from starlette.types import Receive, Scope, Send

from bounded_contexts.realtime.adapters import origins
from bounded_contexts.realtime.adapters.connection import GRACE_S, Kind, Listener
from bounded_contexts.realtime.adapters.outbox import Outbox
from bounded_contexts.realtime.adapters.packets import NAMESPACE, PUBLIC, UI, farewell
from bounded_contexts.realtime.application.limits import Limits
from infra.problems import problem
from infra.server import transport_of

KINDS: Mapping[str, Kind] = {NAMESPACE: "chat", UI: "ui", PUBLIC: "public"}  # namespace → who is let in there
CONNECT_S = 20  # a connection that has joined no namespace by then is closed
INVALID_NAMESPACE = {"message": "Invalid namespace"}  # word for word what the reference server says

log = structlog.get_logger()


class EngineConnection:
    """A `Connection` whose transport python-engineio chose."""

    def __init__(self, engine: "Engine", namespace: str, sid: str, engine_sid: str, outbox: Outbox) -> None:
        self._engine = engine
        self._namespace = namespace
        self._engine_sid = engine_sid
        self.sid = sid
        self.outbox = outbox

    def send(self, packet: Any) -> None:
        """Queue a packet, however full the queue is."""
        self.outbox.put_nowait(packet)

    def dismiss(self) -> None:
        """End the session by the server's wish, after what is queued: the client does not come back by itself."""
        self.send(farewell(self._namespace))
        self._engine.part(self._engine_sid, self._namespace)

    def hang_up(self) -> None:
        """Close after what is queued, at the latest `GRACE_S` later: the client connects again."""
        self._engine.hang_up(self._engine_sid)

    def cut(self) -> None:
        """Close now, without waiting for anything."""
        self._engine.cut(self._engine_sid)


class Engine(socketio.AsyncServer):  # type: ignore[misc]  # the library has no types
    """An ASGI application for everything under /socket.io."""

    def __init__(self, listener: Listener, limits: Limits) -> None:
        self._limits = limits  # before the base: that asks for the engine's class
        super().__init__(
            async_mode="asgi",
            namespaces=[*KINDS],
            logger=_Log(),
            engineio_logger=_Log(),
            cors_allowed_origins=self._is_allowed_origin,
            cors_credentials=False,
            http_compression=False,
            max_http_buffer_size=limits.payload_bytes,
            ping_interval=limits.heartbeat_s,
            ping_timeout=limits.heartbeat_timeout_s,
        )
        self._listener = listener
        self.is_open = False  # until then clients are told to try again
        self._warned = False
        self._links: dict[str, asyncio.Transport] = {}  # engine id → its WebSocket's
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        for namespace, kind in KINDS.items():
            self.on("connect", partial(self._connect, kind), namespace=namespace)
            self.on("disconnect", self._disconnected, namespace=namespace)

    def open(self) -> None:
        """Let clients in."""
        self.is_open = True

    def shut(self) -> None:
        """Let no new clients in."""
        self.is_open = False

    async def end(self) -> None:
        """Cut what is left and stop what runs in the background."""
        for engine_sid in list(self.eio.sockets):
            self.cut(engine_sid)
        for deadline in self._deadlines.values():
            deadline.cancel()
        if self.eio.service_task_handle:
            await self.shutdown()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run the work beside everything else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def part(self, engine_sid: str, namespace: str) -> None:
        """End the session in this namespace, and the connection if there is no other."""
        if self._namespaces_of(engine_sid) - {namespace}:
            self.spawn(self._handle_disconnect(engine_sid, namespace, self.reason.SERVER_DISCONNECT))
        else:
            self.hang_up(engine_sid)

    def hang_up(self, engine_sid: str) -> None:
        socket = self.eio.sockets.get(engine_sid)
        if socket is None or socket.closed:
            return
        if socket.upgraded:
            socket.queue.put_nowait(None)  # the writer closes the WebSocket when it gets there
        else:
            self.spawn(socket.close(wait=False, reason=self.reason.SERVER_DISCONNECT))
        asyncio.get_running_loop().call_later(GRACE_S, self.cut, engine_sid)

    def cut(self, engine_sid: str) -> None:
        if link := self._links.get(engine_sid):
            link.abort()
        socket = self.eio.sockets.get(engine_sid)
        if socket is not None and not (socket.upgraded and link):
            del self.eio.sockets[engine_sid]
            socket.queue.put_nowait(None)
            self.spawn(socket.close(wait=False, abort=True, reason=self.reason.TRANSPORT_ERROR))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        engine_sid = query.get("sid", [""])[0]
        if not self.is_open and not engine_sid:
            # Clients take it for a connection that failed, and try again.
            await refuse(scope, send, 503, b"not ready")
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send, engine_sid)
        else:
            try:
                await self.handle_request(scope, receive, send)
            except (KeyError, UnboundLocalError):
                # python-engineio 4.15, async_server.py, `handle_request`: a POST whose session ended shortly before it is
                # not expected (`_get_socket` raises), and one whose session ends under it gets no answer (`r` is not set).
                await refuse(scope, send, 400, b"session is over")

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, engine_sid: str) -> None:
        link = self.transport_of(send)
        scope["headwater.link"] = link
        if link and engine_sid in self.eio.sockets:
            self._links[engine_sid] = link
        try:
            await self.handle_request(scope, _checked(receive, self._limits.payload_bytes), send)
        finally:
            socket = self.eio.sockets.get(engine_sid)
            if socket is not None and not socket.upgraded:
                # The upgrade failed. python-engineio forgets that in one case and would hold back packets for ever.
                socket.upgrading = False
                self._links.pop(engine_sid, None)

    def transport_of(self, send: Send) -> asyncio.Transport | None:
        """Return what the server's `send` writes to, and say once where that cannot be seen."""
        transport = transport_of(send)
        if transport is None and not self._warned:
            self._warned = True
            log.warning("realtime.no_transport", detail="stalled clients cannot be cut: mount the sockets outermost")
        return transport

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("realtime.task_failed", exc_info=error)

    def _engineio_server_class(self) -> Any:
        limits = self._limits

        class Server(engineio.AsyncServer):  # type: ignore[misc]
            def create_queue(self, *_: Any, **__: Any) -> Outbox:
                return Outbox(limits.queue_events, limits.queue_bytes)

            async def disconnect(self, sid: str) -> None:
                """End a session over a request that is too long or none. The library's way (4.15, async_server.py) joins
                the queue, which nobody empties but the client: the request, and what it holds, would stay for ever."""
                if socket := self.sockets.get(sid):
                    await socket.close(wait=False, reason=self.reason.SERVER_DISCONNECT)
                    self.sockets.pop(sid, None)

        return Server

    def _is_allowed_origin(self, origin: str, environ: MutableMapping[str, Any]) -> bool:
        return origins.is_allowed(origin, environ["asgi.scope"], self._limits.allowed_origins)

    async def _connect(self, kind: Kind, sid: str, environ: MutableMapping[str, Any], auth: Any = None) -> None:
        try:
            await self._listener.admit(sid, auth, kind, address_of(environ["asgi.scope"]))
        except Refusal:
            raise
        except Exception:
            log.exception("realtime.admit_failed")
            document = problem(500, "internal", "the failure was logged")
            raise Refusal(document["detail"], document) from None

    async def _disconnected(self, sid: str, _reason: str) -> None:
        self._listener.left(sid)

    async def _handle_eio_connect(self, eio_sid: str, environ: MutableMapping[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        if link := environ["asgi.scope"].get("headwater.link"):
            self._links[eio_sid] = link
        self._expect_joining(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        await super()._handle_eio_disconnect(eio_sid, reason)
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None and not socket.upgraded:
            socket.queue.put_nowait(EnginePacket(NOOP))  # answers the poll that is waiting
        if deadline := self._deadlines.pop(eio_sid, None):
            deadline.cancel()
        if link := self._links.pop(eio_sid, None):
            # A client that reads nothing would keep the writer, and with it all that waits, for ever.
            asyncio.get_running_loop().call_later(GRACE_S, link.abort)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        """Take a packet; one that is none, or carries what nobody here understands, ends the connection."""
        try:
            packet = Packet(encoded_packet=data if isinstance(data, str) else "")
        except (ValueError, RecursionError):
            packet = Packet(None)
        match packet.packet_type:
            case socketio.packet.CONNECT:
                await self._handle_connect(eio_sid, packet.namespace, packet.data)
            case socketio.packet.DISCONNECT:
                await self._handle_disconnect(eio_sid, packet.namespace, self.reason.CLIENT_DISCONNECT)
                if not self._namespaces_of(eio_sid):
                    self._expect_joining(eio_sid)
            case socketio.packet.EVENT if _is_event(packet):
                self._handle_event(eio_sid, packet.namespace, packet.id, packet.data)
            case socketio.packet.ACK:
                pass  # nothing is sent that asks for one
            case _:
                log.info("realtime.bad_packet")
                self.cut(eio_sid)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        known = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if namespace is None or namespace not in KINDS or known:
            refusal = {"message": "Already connected"} if known else INVALID_NAMESPACE
            await self._send_packet(eio_sid, Packet(socketio.packet.CONNECT_ERROR, data=refusal, namespace=namespace))
            return
        await super()._handle_connect(eio_sid, namespace, data)
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is None:
            return
        socket = self.eio.sockets.get(eio_sid)
        if socket is None or socket.closed:  # gone while it was being let in
            await self._handle_disconnect(eio_sid, namespace)
            self._listener.left(sid)
            return
        if deadline := self._deadlines.pop(eio_sid, None):
            deadline.cancel()
        self._listener.joined(EngineConnection(self, namespace, sid, eio_sid, socket.queue))

    def _handle_event(self, eio_sid: str, namespace: str, number: int | None, args: list[Any]) -> None:
        """Pass the event on. The library's way starts a task for each, which loses their order."""
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if sid and self.manager.is_connected(sid, namespace):
            self._listener.asked(sid, number, args)

    def _namespaces_of(self, engine_sid: str) -> set[str]:
        """Return where the connection has a session."""
        sids = ((name, self.manager.sid_from_eio_sid(engine_sid, name)) for name in KINDS)
        return {name for name, sid in sids if sid and self.manager.is_connected(sid, name)}

    def _expect_joining(self, engine_sid: str) -> None:
        """Close the connection if it has not joined a namespace in time."""
        if deadline := self._deadlines.pop(engine_sid, None):
            deadline.cancel()
        loop = asyncio.get_running_loop()
        self._deadlines[engine_sid] = loop.call_later(CONNECT_S, self.hang_up, engine_sid)


def _is_event(packet: Packet) -> bool:
    args = packet.data
    return packet.namespace in KINDS and isinstance(args, list) and bool(args) and isinstance(args[0], str)


class _Log:
    """What python-engineio takes for a logger. It tells each packet; we say ourselves what matters."""

    def info(self, *_: Any) -> None: ...

    warning = error = info

    def exception(self, text: str, *_: Any) -> None:
        malformed = isinstance(sys.exception(), ValueError | IndexError)  # what a client sent, not what we did
        log.warning("realtime.engine", detail=text, exc_info=not malformed)


def _checked(receive: Receive, limit: int) -> Receive:
    """Let only Engine.IO packets in: python-engineio loses the session over others."""

    async def receiving() -> MutableMapping[str, Any]:
        message = await receive()
        if message["type"] == "websocket.receive" and not _is_packet(message.get("text"), limit):
            return {"type": "websocket.disconnect", "code": 1002}
        return message

    return receiving


def _is_packet(text: str | None, limit: int) -> bool:
    if not text or len(text) > limit:
        return False
    return text[1:2].isdecimal() if text[0] == "4" else text[0] in "1235" and text[1:] in ("", "probe")


def address_of(scope: Scope) -> str:
    """Return where the client is."""
    return scope["client"][0] if scope.get("client") else ""


async def refuse(scope: Scope, send: Send, status: int, body: bytes, content_type: str = "text/plain") -> None:
    """Answer a request or a handshake with an error."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    headers = [(b"content-type", content_type.encode()), *([(b"retry-after", b"1")] if status == 503 else [])]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
