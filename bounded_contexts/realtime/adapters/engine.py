"""Socket.IO 5 over Engine.IO: namespaces, who is let in, what a packet may look like, commands in order (docs/realtime.md)."""

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from bounded_contexts.realtime.adapters import packets
from bounded_contexts.realtime.adapters.connection import Kind, Listener, Refusal
from bounded_contexts.realtime.adapters.engine_io import EngineIO, address_of, refuse
from bounded_contexts.realtime.adapters.engine_socket import EngineSocket
from bounded_contexts.realtime.adapters.packets import Malformed, Packet, Received
from bounded_contexts.realtime.adapters.strangers import Strangers
from bounded_contexts.realtime.application.limits import Limits
from infra.problems import CONTENT_TYPE, problem
from infra.server import transport_of

KINDS: Mapping[str, Kind] = {
    packets.NAMESPACE: "chat",
    packets.UI: "ui",
    packets.PUBLIC: "public",
}  # who is let in where
CONNECT_S = 20.0  # a connection that has joined no namespace by then is closed
# Word for word what the reference server says.
INVALID_NAMESPACE = {"message": "Invalid namespace"}

log = structlog.get_logger()


class EngineConnection:
    """A `Connection`: one client in one namespace."""

    __slots__ = ("_engine", "_socket", "namespace", "outbox", "sid")

    def __init__(self, engine: "Engine", socket: EngineSocket, namespace: str, sid: str) -> None:
        self._engine = engine
        self._socket = socket
        self.namespace = namespace
        self.sid = sid
        self.outbox = socket.outbox

    def send(self, packet: Packet) -> None:
        """Queue a packet, however full the queue is."""
        self._socket.send(packet)

    def dismiss(self) -> None:
        """End the session by the server's wish, after what is queued: the client does not come back by itself."""
        self.send(packets.farewell(self.namespace))
        self._engine.leave(self._socket, self.namespace)
        if not self._socket.state.connections:
            self.hang_up()

    def hang_up(self) -> None:
        """Close after what is queued, at the latest `GRACE_S` later: the client connects again."""
        self._socket.hang_up()

    def cut(self) -> None:
        """Close now, without waiting for anything."""
        self._socket.cut()


class Client:
    """What is known of a connection's namespaces."""

    __slots__ = ("attachments", "connections", "joining", "waiting")

    def __init__(self) -> None:
        self.connections: dict[str, EngineConnection] = {}
        self.joining: set[str] = set()  # namespaces
        self.waiting: Received | None = None  # for its attachments
        self.attachments: list[bytes] = []


class Engine:
    """An ASGI application for everything under /socket.io."""

    def __init__(
        self, listener: Listener, limits: Limits, kinds: Mapping[str, Kind] = KINDS, connect_s: float = CONNECT_S
    ) -> None:
        self._listener = listener
        self._kinds = kinds
        self.io = EngineIO(self, limits)
        self.is_open = False  # until then clients are told to try again
        self._warned = False
        self.strangers = Strangers(limits.strangers_per_address, connect_s, EngineSocket.hang_up)
        self._tasks: set[asyncio.Task[Any]] = set()

    def open(self) -> None:
        """Let clients in."""
        self.is_open = True

    def shut(self) -> None:
        """Let no new clients in."""
        self.is_open = False

    def end(self) -> None:
        """Cut what is left."""
        self.io.end()
        self.strangers.stop()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run the work beside everything else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_new = not parse_qs(str(scope.get("query_string", b""), "latin-1")).get("sid")
        if is_new and not self.is_open:
            # Clients take it for a connection that failed, and try again.
            await refuse(scope, send, 503, b"not ready")
        elif is_new and not self.strangers.has_room(address_of(scope)):
            document = problem(429, "too_many_connections", "too many from there have not signed in, or in vain")
            await refuse(scope, send, 429, msgspec.json.encode(document), CONTENT_TYPE)
        else:
            await self.io(scope, receive, send)

    def transport_of(self, send: Send) -> asyncio.Transport | None:
        """Return what the server's `send` writes to, and say once where that cannot be seen."""
        transport = transport_of(send)
        if transport is None and not self._warned:
            self._warned = True
            log.warning("realtime.no_transport", detail="stalled clients cannot be cut: mount the sockets outermost")
        return transport

    def opened(self, socket: EngineSocket) -> None:
        socket.state = Client()
        self.strangers.put(socket)

    def closed(self, socket: EngineSocket) -> None:
        self.strangers.remove(socket)
        for namespace in list(socket.state.connections):
            self.leave(socket, namespace)

    def message(self, socket: EngineSocket, data: str | bytes) -> None:
        """Take a packet; one that is none, or that nobody here understands, ends the connection."""
        try:
            if packet := _whole(socket.state, data):
                self._take(socket, packet)
        except Malformed:
            log.info("realtime.bad_packet")
            socket.cut()

    def leave(self, socket: EngineSocket, namespace: str) -> None:
        """End a client's stay in a namespace."""
        if connection := socket.state.connections.pop(namespace, None):
            self._listener.left(connection.sid)

    def _take(self, socket: EngineSocket, packet: Received) -> None:
        client: Client = socket.state
        connection = client.connections.get(packet.namespace)
        match packet.type:
            case packets.CONNECT:
                self._connect(socket, packet)
            case packets.DISCONNECT:
                self.leave(socket, packet.namespace)
                if not client.connections:
                    self.strangers.put(socket)
            case packets.EVENT | packets.BINARY_EVENT if connection:
                self._listener.asked(connection.sid, packet.number, packet.data)
            case _:
                pass  # for a namespace that was left, or an ack, for which nothing that is sent asks

    def _connect(self, socket: EngineSocket, packet: Received) -> None:
        client: Client = socket.state
        if packet.namespace not in self._kinds:
            self._refuse(socket, packet.namespace, INVALID_NAMESPACE)
        elif packet.namespace in client.connections or packet.namespace in client.joining:
            self._refuse(socket, packet.namespace, {"message": "Already connected"})
        else:
            client.joining.add(packet.namespace)
            self.spawn(self._join(socket, packet.namespace, packet.data))

    async def _join(self, socket: EngineSocket, namespace: str, auth: Any) -> None:
        sid = secrets.token_urlsafe(15)
        client: Client = socket.state
        try:
            session = await self._listener.admit(sid, auth, self._kinds[namespace], socket.address)
        except Refusal as refused:
            if refused.document["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
                socket.hang_up()  # clients come back by themselves, which they do not after a refusal
                return
            if refused.document["status"] == HTTPStatus.UNAUTHORIZED:
                self.strangers.refuse(socket.address)
            self._refuse(socket, namespace, {"message": refused.message, "data": refused.document})
        except Exception:
            log.exception("realtime.admit_failed")
            document = problem(500, "internal", "the failure was logged")
            self._refuse(socket, namespace, {"message": document["detail"], "data": document})
        else:
            if not socket.is_open:  # gone while it was being let in
                self._listener.left(sid)
                return
            connection = client.connections[namespace] = EngineConnection(self, socket, namespace, sid)
            self.strangers.remove(socket)
            socket.send(packets.welcome(namespace, sid, session.pid))
            self._listener.joined(connection)
        finally:
            client.joining.discard(namespace)

    def _refuse(self, socket: EngineSocket, namespace: str, why: Mapping[str, Any]) -> None:
        if socket.outbox.is_full or not self.strangers.has_room(socket.address):  # it asks on, whatever is answered
            socket.cut()
        socket.send(packets.refusal(namespace, why))

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("realtime.task_failed", exc_info=error)


def _whole(client: Client, data: str | bytes) -> Received | None:
    """Return the packet once it is complete. Raise `Malformed` for what is none, or not its attachment."""
    if isinstance(data, str):
        if client.waiting:
            raise Malformed
        packet = packets.parsed(data)
        if packet.attachments:
            client.waiting = packet
            return None
        return packet
    if client.waiting is None:
        raise Malformed
    packet = client.waiting
    client.attachments.append(data)
    if len(client.attachments) < packet.attachments:
        return None
    filled = packets.filled(packet, client.attachments)
    client.waiting, client.attachments = None, []
    return filled
