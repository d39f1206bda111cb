"""uvicorn's protocols with limits that they lack: on a request's head, on the time a request takes, on a message's fragments."""

import asyncio
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.types import Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from infra.problems import CONTENT_TYPE, problem

HEAD_LIMIT = 65_536  # bytes of request line and headers
HEADER_LIMIT = 128  # lines: each costs many times its bytes
FRAGMENT_LIMIT = 64  # frames of one message; browsers send one
CHUNK_LINES = 32  # bytes around a chunk's data: its size and two ends of lines
PONG_LIMIT = 65_536  # bytes of answers that a client does not take
HEAD_S = 10.0  # from the first byte, or from connecting, to the end of the headers
BODY_S = 30.0  # from the end of the headers to the end of the body
PING_S = 30.0  # between pings of a WebSocket
SLOWEST = 30_000  # bytes of a body that a patient route wants in `BODY_S`
PATIENT = "headwater.patient"  # where a scope has what a route calls that takes a body for longer, as long as it comes
LINK = "headwater.link"  # where a scope has the connection, which what wraps `send` hides


# A path that two readers may take for different ones (RFC 3986, 6): dot segments, also behind parameters, empty segments,
# encoded slashes and control characters, escapes that are none.
AMBIGUOUS = re.compile(
    rb"//|%(?![0-9a-f]{2})|%(?:2f|5c|[01][0-9a-f]|7f)|/(?:\.|%2e){1,2}(?=[/;?]|$)|[^!$-;=@-Z_a-z~]", re.IGNORECASE
)
TARGET = re.compile(rb"(/[^?#]*)(?:\?[^#]*)?")
HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[0-9a-fA-F:.]+\])(?::\d*)?")


class LimitedHttp(HttpToolsProtocol):
    """Closes a connection whose request does not end in time, or whose head does not end within `HEAD_LIMIT`, or can be read in
    two ways.

    A request that came in one piece costs no timer. Idle connections between requests are uvicorn's to close."""

    head_s = HEAD_S
    body_s = BODY_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ends = 0  # of heads and of bodies so far
        self._in_head = self._in_body = False
        self._pending = 0  # bytes that came since the last end of a head or body
        self._head = self._lines = 0  # bytes and lines of the head that is being read
        self._body = self._extra = self._chunks = 0  # of the body: its bytes, those around them, its chunks
        self._is_oversize = self._is_patient = False
        self._lately = 0  # bytes of the body when the clock was started
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        ends, body, was_in_body = self._ends, self._body, self._in_body
        super().data_received(data)
        if was_in_body and self._ends == ends:
            self._extra += len(data) - (self._body - body)
            if self._extra > HEAD_LIMIT + CHUNK_LINES * self._chunks:
                self._refuse(problem(400, "bad_request", "more is sent around the chunks than in them"))
        if self._ends > ends:
            self._stop_clock()
            self._pending = 0
        elif not self._in_body:
            self._pending += len(data)
        if self._pending > HEAD_LIMIT:
            self._refuse_head()
        # White space between requests is of no request, but it stopped uvicorn's clock for idle connections.
        elif self._clock is None and (self._in_head or self._in_body or self._ends == ends):
            self._start_clock()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head = self._lines = 0
        self._is_patient = False
        super().on_message_begin()
        self.scope[LINK] = self.transport  # type: ignore[literal-required]
        self.scope[PATIENT] = self._be_patient  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        self._count(len(url), lines=0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4, lines=1)
        super().on_header(name, value)

    def _count(self, size: int, lines: int) -> None:
        self._head += size
        self._lines += lines
        if self._head > HEAD_LIMIT or self._lines > HEADER_LIMIT:
            self._is_oversize = True
            raise ValueError  # the parser turns it into its own error, and that into `send_400_response`

    def on_headers_complete(self) -> None:
        self._require_one_reading()
        super().on_headers_complete()  # raises for a target without a path, as `CONNECT` has one
        self._ends += 1
        self._body = self._extra = self._chunks = 0
        self._in_head, self._in_body = False, True

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._ends += 1
        self._in_body = False
        super().on_message_complete()

    def _require_one_reading(self) -> None:
        """Raise `ValueError` for a head that the next server, or the one before, might read differently (RFC 9112, 3 and 6.1).

        The parser has seen to the rest: both lengths, codings that are not known, white space where there should be none."""
        target = TARGET.fullmatch(self.url)
        hosts = [value for name, value in self.headers if name == b"host"]
        is_old = self.parser.get_http_version() == "1.0"
        if (
            not target
            or AMBIGUOUS.search(target[1])
            or self.parser.get_method() == b"CONNECT"
            or len(hosts) > 1
            or not (hosts or is_old)
            or not all(_is_host(host) for host in hosts)
            or (is_old and any(name == b"transfer-encoding" for name, _ in self.headers))
        ):
            raise ValueError

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as if no other protocol had been offered, and close: what follows might be in that protocol."""
        self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        if self._is_oversize:
            self._refuse_head()
        else:
            self._refuse(problem(400, "bad_request", msg))

    def _refuse_head(self) -> None:
        self._refuse(problem(431, "head_too_large", f"the limits are {HEAD_LIMIT} bytes and {HEADER_LIMIT} headers"))

    def _be_patient(self) -> None:
        """Take a body for as long as it comes; `_time_is_up` says how slowly."""
        self._is_patient = True

    def _start_clock(self) -> None:
        self._lately = self._body
        if not self.transport.is_closing():
            self._clock = self.loop.call_later(self.body_s if self._in_body else self.head_s, self._time_is_up)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _time_is_up(self) -> None:
        self._clock = None
        earlier = self.pipeline if self._in_body else self.cycle is not None and not self.cycle.response_complete
        comes = self._is_patient and self._in_body and self._body - self._lately >= SLOWEST
        if earlier or self.flow.read_paused or (comes and not self.cycle.response_complete):
            self._start_clock()  # it waits for us, not we for it
        elif self._in_head or self._in_body:
            self._refuse(problem(408, "request_timeout", "the request did not end in time"))
        else:
            self.transport.close()

    def _refuse(self, document: dict[str, Any]) -> None:
        """Answer, unless another answer is under way or given, and close the connection."""
        if self.transport.is_closing():
            return
        if self._in_body and not self.cycle.response_started:
            self.cycle.disconnected = True  # its application answers nobody any more
            self.cycle.message_event.set()
            self.transport.write(_answer(document))
        elif self.cycle is None or self.cycle.response_complete:
            self.transport.write(_answer(document))
        self.transport.close()


class LimitedSockets(WebSocketsSansIOProtocol):
    """Closes a connection whose message comes in more fragments than `FRAGMENT_LIMIT`, or who pings and takes no answer.

    uvicorn limits a message's bytes, and empty fragments have none."""

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.close_sent:
            self.handshake_complete = True  # or uvicorn logs a refusal as an error of the application

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < FRAGMENT_LIMIT:
            super().handle_cont(event)
        else:
            self._cut()

    def handle_ping(self) -> None:
        if not self.transport.is_closing():
            super().handle_ping()
            if self.transport.get_write_buffer_size() > PONG_LIMIT:
                self._cut()

    def _cut(self) -> None:
        if not self.transport.is_closing():
            self.conn.send_close(CloseCode.POLICY_VIOLATION)
            self.handle_parser_exception()
            if self.transport.get_write_buffer_size():  # closing would wait for a peer who takes nothing
                self.transport.abort()


def take_patiently(scope: Scope) -> None:
    """Take the request's body for as long as it comes, not within `BODY_S`. Elsewhere than on our own server: do nothing."""
    if be_patient := scope.get(PATIENT):
        be_patient()


def have_it_pinged(send: Send, timeout_s: float) -> None:
    """Turn on uvicorn's own pings for this one connection; it has them off, because Engine.IO brings its own."""
    protocol: Any = getattr(send, "__self__", None)
    if hasattr(protocol, "ping_interval"):
        protocol.ping_interval, protocol.ping_timeout = PING_S, timeout_s


def transport_of(send: Send) -> asyncio.Transport | None:
    """Return what the server's `send` writes to; a wrapper around it hides that."""
    transport: asyncio.Transport | None = getattr(getattr(send, "__self__", None), "transport", None)
    return transport


def hand_over(send: Send, protocol: asyncio.Protocol) -> set[Any]:
    """Give an accepted WebSocket's transport to another protocol; uvicorn forgets it, and what it kept for it. Return the
    server's set of connections, which the protocol leaves when it is lost: each has `shutdown` called when the server stops."""
    former: Any = getattr(send, "__self__", None)
    if not isinstance(former, LimitedSockets):
        raise TypeError("the server's own `send` is hidden: mount the sockets outermost")
    former.close_timer = former.loop.call_later(
        0, lambda: None
    )  # or uvicorn closes the transport when its application returns
    if former.read_paused:
        former.transport.resume_reading()
    former.connections.discard(former)
    former.connections.add(protocol)  # type: ignore[arg-type]  # all it asks of them is `shutdown`
    former.transport.set_protocol(protocol)
    former.conn.parser.close()  # its generator and it hold each other
    protocol.connection_made(former.transport)
    return former.connections


def _is_host(value: bytes) -> bool:
    """Return whether it is a host that everybody can connect to: its port is one, its address in brackets too."""
    try:
        return HOST.fullmatch(value) is not None and urlsplit(b"//" + value).port != 0
    except ValueError:
        return False


def _answer(document: dict[str, Any]) -> bytes:
    body = msgspec.json.encode(document)
    status = HTTPStatus(document["status"])
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {CONTENT_TYPE}\r\n"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
