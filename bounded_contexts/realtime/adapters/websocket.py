"""The server's side of a WebSocket (RFC 6455) straight on the transport, for connections that came through uvicorn's handshake.

A frame is made once and written as it is to every client; what one turn of the loop brings is one write. While the kernel
takes no more of a client's bytes nothing is handed to the transport, so what waits is counted in one place, the outbox.
"""

import asyncio
from typing import Any, Protocol, cast

from starlette.types import Send
from websockets.utils import apply_mask

from bounded_contexts.realtime.adapters.connection import GRACE_S
from infra.server import FRAGMENT_LIMIT, hand_over

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FINAL = 0x80
NORMAL, PROTOCOL_ERROR, NOT_UTF8, POLICY, TOO_BIG = 1000, 1002, 1007, 1008, 1009
CONTROL_LIMIT = 125  # bytes of a control frame


def frame(opcode: int, payload: bytes) -> bytes:
    """Return the payload as one unfragmented frame of a server."""
    size = len(payload)
    if size < 126:
        return bytes((FINAL | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((FINAL | opcode, 126)) + size.to_bytes(2) + payload
    return bytes((FINAL | opcode, 127)) + size.to_bytes(8) + payload


class Reader(Protocol):
    """Whom a WebSocket is for."""

    def heard(self, message: str | bytes) -> None:
        """Take a message."""
        ...

    def writable(self) -> None:
        """Hear that all that was written has gone out."""
        ...

    def lost(self) -> None:
        """Hear, once, that the connection is over."""
        ...


class WebSocket(asyncio.Protocol):
    """One connection. It is `writable` unless the kernel has not taken everything yet."""

    __slots__ = (
        "_closing",
        "_connections",
        "_fragments",
        "_limit",
        "_opcode",
        "_rest",
        "is_writable",
        "reader",
        "transport",
    )

    reader: Reader  # set in the turn of the loop that takes the connection over

    def __init__(self, limit: int) -> None:
        self.is_writable = True
        self.transport: asyncio.Transport | None = None
        self._limit = limit  # bytes of a message
        self._connections: set[Any] = set()  # the server's, which it ends when it stops
        self._rest: bytearray | None = None  # a frame that has come in part
        self._fragments: list[bytes] | None = None  # of a message that has come in part
        self._opcode = 0  # of that message
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)  # `pause_writing` as soon as anything is left over

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._connections.discard(self)
        self.reader.lost()

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        self.reader.writable()

    def take_over(self, send: Send) -> None:
        """Read and write the connection that uvicorn has just accepted, in place of uvicorn."""
        self._connections = hand_over(send, self)

    def write(self, frames: bytes) -> None:
        """Write whole frames."""
        if self.transport and not self._closing:
            self.transport.write(frames)

    def close(self, code: int = NORMAL) -> None:
        """Say good-bye behind what was written; the client's own good-bye, or its silence, changes nothing."""
        if self.transport and not self._closing:
            self.transport.write(frame(CLOSE, code.to_bytes(2)))
            self._closing = True
            self.transport.close()
            if not self.is_writable:  # closing waits until all has gone out
                asyncio.get_running_loop().call_later(GRACE_S, self.abort)

    def abort(self) -> None:
        """End it now."""
        self._closing = True
        if self.transport:
            self.transport.abort()

    def shutdown(self) -> None:
        """End it because the server stops (uvicorn calls this)."""
        self.close()

    def data_received(self, data: bytes) -> None:
        rest = self._rest
        if rest is None:
            buffer: bytes | bytearray = data  # the usual case: whole frames, nothing to copy
        else:
            rest += data
            buffer = rest
        start = 0
        while not self._closing and (end := self._take(buffer, start)):
            start = end
        if self._closing or start == len(buffer):
            self._rest = None
        elif rest is None:
            self._rest = bytearray(buffer[start:])
        else:
            del rest[:start]

    def _take(self, buffer: bytes | bytearray, start: int) -> int:
        """Take the frame that begins at `start`; return where it ends, 0 while it has not."""
        have = len(buffer) - start
        if have < 2:
            return 0
        first, second = buffer[start], buffer[start + 1]
        opcode, size, head = first & 0x0F, second & 0x7F, 6
        if first & 0x70 or not second & 0x80:
            return self._fail(PROTOCOL_ERROR)
        if opcode >= CLOSE and (size > CONTROL_LIMIT or not first & FINAL):
            return self._fail(PROTOCOL_ERROR)
        if size > CONTROL_LIMIT:
            wide = 2 if size == 126 else 8
            head += wide
            if have < head:
                return 0
            size = int.from_bytes(buffer[start + 2 : start + 2 + wide])
        if size > self._limit:
            return self._fail(TOO_BIG)
        end = start + head + size
        if len(buffer) < end:
            return 0
        payload = bytes(apply_mask(buffer[start + head : end], buffer[start + head - 4 : start + head]))
        self._handle(opcode, payload, is_final=bool(first & FINAL))
        return end

    def _handle(self, opcode: int, payload: bytes, *, is_final: bool) -> None:
        if opcode == CLOSE:
            self.close(int.from_bytes(payload[:2]) if len(payload) > 1 else NORMAL)
        elif opcode == PING:
            if self.is_writable:  # for who takes nothing the answers would pile up
                self.write(frame(PONG, payload))
        elif opcode in (TEXT, BINARY) and self._fragments is None:
            self._opcode, self._fragments = opcode, []
            self._go_on(payload, is_final=is_final)
        elif opcode == CONTINUATION and self._fragments is not None:
            self._go_on(payload, is_final=is_final)
        elif opcode != PONG:
            self._fail(PROTOCOL_ERROR)

    def _go_on(self, payload: bytes, *, is_final: bool) -> None:
        """Add to the message."""
        fragments = self._fragments or []
        fragments.append(payload)
        if len(fragments) > FRAGMENT_LIMIT:
            self._fail(POLICY)
        elif sum(map(len, fragments)) > self._limit:
            self._fail(TOO_BIG)
        elif is_final:
            self._fragments = None
            self._tell(fragments)
        else:
            self._fragments = fragments

    def _tell(self, fragments: list[bytes]) -> None:
        message = b"".join(fragments)
        if self._opcode == BINARY:
            self.reader.heard(message)
            return
        try:
            text = message.decode()
        except UnicodeDecodeError:
            self._fail(NOT_UTF8)
            return
        self.reader.heard(text)

    def _fail(self, code: int) -> int:
        self.close(code)
        return 0
