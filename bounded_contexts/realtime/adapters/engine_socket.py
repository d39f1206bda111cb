"""One Engine.IO session and its way out: polls, or a WebSocket."""

import asyncio
import binascii
from base64 import b64decode
from typing import Any, Protocol

from bounded_contexts.realtime.adapters.connection import GRACE_S
from bounded_contexts.realtime.adapters.outbox import Outbox
from bounded_contexts.realtime.adapters.packets import CLOSE, NOOP, PING, PONG, UPGRADE, Packet
from bounded_contexts.realtime.adapters.websocket import PROTOCOL_ERROR, WebSocket
from bounded_contexts.realtime.application.limits import Limits

SEPARATOR = "\x1e"  # of packets in a poll
PROBE, PROBED = PING + "probe", Packet(PONG + "probe")


class Handler(Protocol):
    """Whom sessions are for."""

    def opened(self, socket: "EngineSocket") -> None: ...

    def message(self, socket: "EngineSocket", data: str | bytes) -> None: ...

    def closed(self, socket: "EngineSocket") -> None:
        """Hear, once, that it is over."""
        ...


class Beat(Protocol):
    """What sessions ask of their server."""

    def due(self, socket: "EngineSocket") -> None:
        """Have the session write at the end of this turn of the loop."""
        ...

    def joined(self, page: list[Packet]) -> bytes:
        """Return the packets' frames in one piece."""
        ...

    def ponged(self, socket: "EngineSocket") -> None: ...

    def gone(self, socket: "EngineSocket") -> None: ...


class EngineSocket:
    """Open until `end`. While nobody polls, or the WebSocket takes nothing, what is sent waits in the outbox."""

    __slots__ = (
        "_handler",
        "_hangs_up",
        "_server",
        "_websocket",
        "address",
        "is_open",
        "is_probed",
        "outbox",
        "poll",
        "sid",
        "state",
    )

    def __init__(
        self, sid: str, address: str, server: Beat, handler: Handler, limits: Limits, websocket: WebSocket | None
    ) -> None:
        self.sid = sid
        self.address = address  # the client's
        self.outbox = Outbox(limits.queue_events, limits.queue_bytes, self._is_due)
        self.is_open = True
        self.is_probed = False  # a WebSocket is about to take over
        self.poll: asyncio.Future[str] | None = None  # the one that waits
        self.state: Any = None  # the handler's
        self._hangs_up = False
        self._server = server
        self._handler = handler
        self._websocket = websocket

    @property
    def is_polling(self) -> bool:
        return self._websocket is None

    def send(self, packet: Packet) -> None:
        """Queue a packet, however full the queue is."""
        if self.is_open:
            self.outbox.put_nowait(packet)

    def flush(self) -> None:
        """Write what waits, as far as it is taken."""
        websocket = self._websocket
        if websocket is None:
            self._answer_poll()
            return
        while websocket.is_writable and (page := self.outbox.take_page()):
            websocket.write(self._server.joined(page))
        if self._hangs_up and websocket.is_writable:
            websocket.close()

    def hang_up(self) -> None:
        """Close after what is queued, at the latest `GRACE_S` later: the client connects again."""
        if self.is_open and not self._hangs_up:
            self._hangs_up = True
            asyncio.get_running_loop().call_later(GRACE_S, self.cut)
            self.flush()

    def cut(self) -> None:
        """Close now, without waiting for anything."""
        if self._websocket:
            self._websocket.abort()
        self.end()

    def end(self, last: str = CLOSE) -> None:
        """Be over; a poll that waits is answered with `last`. May be repeated."""
        if not self.is_open:
            return
        self.is_open = False
        if self.poll and not self.poll.done():
            self.poll.set_result(last)
        self.outbox.close()
        self._server.gone(self)
        self._handler.closed(self)

    def take(self, text: str) -> bool:
        """Take a packet. Return whether it is one that clients send."""
        match text[:1]:
            case "4":
                self._handler.message(self, text[1:])
            case "3" if len(text) == 1:
                self._server.ponged(self)
            case "1" if len(text) == 1:
                self.end(NOOP)
            case "b" if self.is_polling:
                try:
                    self._handler.message(self, b64decode(text[1:], validate=True))
                except binascii.Error:
                    return False
            case _:
                return False
        return True

    def heard(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._handler.message(self, message)
        elif not self.take(message) and self._websocket:
            self._websocket.close(PROTOCOL_ERROR)
        elif not self.is_open and self._websocket:
            self._websocket.close()

    def writable(self) -> None:
        self.flush()

    def lost(self) -> None:
        self.end()

    def probed(self) -> None:
        """Let no poll wait from now on: the client finishes polling before it goes over to its WebSocket."""
        self.is_probed = True
        if self.poll and not self.poll.done():
            self.poll.set_result(NOOP)

    def upgrade(self, websocket: WebSocket) -> None:
        """Go on over the WebSocket."""
        self._websocket, self.is_probed = websocket, False
        websocket.reader = self
        if self.poll and not self.poll.done():
            self.poll.set_result(NOOP)
        self.flush()

    def page(self) -> str:
        """Return what the next poll is answered with, nothing while it has to wait."""
        texts = [packet.text for packet in self.outbox.take_page()]
        if self._hangs_up and not self.outbox.qsize():
            texts.append(CLOSE)
            asyncio.get_running_loop().call_soon(self.end)
        return SEPARATOR.join(texts) or (NOOP if self.is_probed else "")

    def _answer_poll(self) -> None:
        if self.poll and not self.poll.done() and (page := self.page()):
            self.poll.set_result(page)

    def _is_due(self) -> None:
        self._server.due(self)


class Probe:
    """A WebSocket that wants to take a session over."""

    def __init__(self, socket: EngineSocket, websocket: WebSocket) -> None:
        self._socket, self._websocket = socket, websocket

    def heard(self, message: str | bytes) -> None:
        """Take the client's probe, then its decision."""
        socket = self._socket
        if message == PROBE and socket.is_open and socket.is_polling:
            self._websocket.write(bytes(PROBED))
            socket.probed()
        elif message == UPGRADE and socket.is_open and socket.is_probed:
            socket.upgrade(self._websocket)
        else:
            self._websocket.close(PROTOCOL_ERROR)

    def writable(self) -> None: ...

    def lost(self) -> None:
        """Have the session go on with polls."""
        self._socket.is_probed = False

    def is_late(self) -> None:
        """End it unless it has taken over."""
        if self._websocket.reader is self:
            self._websocket.abort()
