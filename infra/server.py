"""uvicorn's HTTP protocol with limits that it lacks: on the size of a request's head, and on the time a request takes."""

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from infra.problems import CONTENT_TYPE, problem

HEAD_LIMIT = 65_536  # bytes of request line and headers
HEAD_S = 10.0  # from the first byte, or from connecting, to the end of the headers
BODY_S = 30.0  # from the end of the headers to the end of the body


class LimitedHttp(HttpToolsProtocol):
    """Closes a connection whose request does not end in time, or whose head does not end within `HEAD_LIMIT`.

    A request that came in one piece costs no timer. Idle connections between requests are uvicorn's to close."""

    head_s = HEAD_S
    body_s = BODY_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ends = 0  # of heads and of bodies so far
        self._in_head = self._in_body = False
        self._pending = 0  # bytes of a head that has not ended, the chunk it began in aside
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        ends = self._ends
        super().data_received(data)
        if self._ends > ends:
            self._stop_clock()
            self._pending = 0
        elif not self._in_body:
            self._pending += len(data)
        if self._pending > HEAD_LIMIT:
            self._refuse(problem(431, "head_too_large", f"the limit is {HEAD_LIMIT} bytes"))
        # White space between requests is of no request, but it stopped uvicorn's clock for idle connections.
        elif self._clock is None and (self._in_head or self._in_body or self._ends == ends):
            self._start_clock()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._ends += 1
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._ends += 1
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(problem(400, "bad_request", msg))

    def _start_clock(self) -> None:
        if not self.transport.is_closing():
            self._clock = self.loop.call_later(self.body_s if self._in_body else self.head_s, self._time_is_up)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _time_is_up(self) -> None:
        self._clock = None
        earlier = self.pipeline if self._in_body else self.cycle is not None and not self.cycle.response_complete
        if earlier or self.flow.read_paused:
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


def _answer(document: dict[str, Any]) -> bytes:
    body = msgspec.json.encode(document)
    status = HTTPStatus(document["status"])
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {CONTENT_TYPE}\r\n"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
