"""The answer to a conversion: the result while the document is still coming, and what was lost on the way (docs/documents.md)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal
from urllib.parse import quote

import structlog
from prometheus_client import Counter, Histogram
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bounded_contexts.documents.application.ports import Converter, Report, Running, Task
from bounded_contexts.documents.domain.errors import Unreadable
from infra.server import LINK, take_patiently
from infra.spool import Spool
from shared_kernel.errors import Refused, Unavailable, Unsupported

log = structlog.get_logger()

UNKNOWN = "unknown_format"
HEAD_BYTES = 64 * 1024  # of the result that wait for the head: until then an error is a problem document
WAITING_BYTES = 512 * 1024  # of the result that wait in memory for who takes them
TAKES_NOTHING_S = 1.0  # after which a client that still sends is taken for one that does not read meanwhile
TOLD_BYTES = 4096  # of the header that tells what was lost
UNQUOTED = "/~!$&'()*+,;=:@"  # of a JSON Pointer as a fragment of a URI (RFC 6901, 6)

CONVERSIONS = Counter(
    "headwater_conversions", "Documents that were converted, or were not.", ("read", "write", "outcome")
)
DURATION = Histogram(
    "headwater_conversion_duration_seconds", "From the head of a request to the end of the result.", ("write",),
    buckets=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
)  # fmt: skip
Outcome = Literal["converted", "refused", "unavailable", "left", "failed"]


@dataclass(frozen=True, slots=True)
class Way:
    """How the result goes out."""

    headers: dict[str, str]
    is_held: bool  # to its end: then an error is always a problem document, and the head tells every loss
    idle_s: float  # how long a client may take nothing
    directory: Path | None  # of spooled results


class Left(Exception):
    """The client is gone, or takes nothing any more."""


class ConvertedAnswer(Response):
    """Converts when it is sent. Errors before its head are the application's to answer; after it they break the connection
    off, so that no client takes what it has for the whole."""

    def __init__(
        self, converter: Converter, task: Task, way: Way, turn: Callable[[], AbstractContextManager[None]]
    ) -> None:
        super().__init__()
        self._converter, self._task, self._way, self._turn = converter, task, way, turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Convert and send. Raise what the conversion raises while nothing was sent."""
        take_patiently(scope)
        sending = _Sending(scope, send, self._way)
        body = _Body(receive)
        began = perf_counter()
        outcome: Outcome = "failed"
        try:
            with self._turn():
                await body.unless_left(self._convert(body, sending))
            outcome = "converted"
        except Left:
            outcome = "left"
        except asyncio.CancelledError:
            outcome = "left"
            raise
        except Exception as error:
            outcome = (
                "refused"
                if isinstance(error, Refused)
                else "unavailable"
                if isinstance(error, Unavailable)
                else "failed"
            )
            if not (sending.has_begun and sending.link):
                raise
            log.warning("documents.broken_off", error=getattr(error, "code", type(error).__name__))
            sending.link.abort()  # a client that gets no end of the answer does not take it for whole
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            CONVERSIONS.labels(self._task.read or "unknown", self._task.write, outcome).inc()
            DURATION.labels(self._task.write).observe(perf_counter() - began)

    async def _convert(self, body: "_Body", sending: "_Sending") -> None:
        spool = Spool(self._way.directory, WAITING_BYTES)
        try:
            async with self._converter.converting(self._task, body.pieces()) as running:
                filling = asyncio.create_task(_fill(spool, running, body, is_held=self._way.is_held))
                try:
                    await sending.send(spool, running)
                except Unreadable as error:
                    if error.code == UNKNOWN and self._task.read is None:
                        raise Unsupported("unknown_format", error.detail) from None
                    raise
                finally:
                    filling.cancel()
                    await asyncio.wait([filling])
        finally:
            spool.close()


async def _fill(spool: Spool, running: Running, body: "_Body", *, is_held: bool) -> None:
    """Put the result into the spool, as fast as the client takes it: unless it is held, or the client does not read before it
    has sent all, as many do, who would wait for us for ever."""
    reads_meanwhile = True
    try:
        async for piece in running.pieces():
            await spool.put(piece)
            if is_held:
                continue
            if body.is_read:
                await spool.emptied(WAITING_BYTES)
            elif reads_meanwhile:
                try:
                    async with asyncio.timeout(TAKES_NOTHING_S):
                        await spool.emptied(WAITING_BYTES)
                except TimeoutError:
                    reads_meanwhile = False
    except Exception as error:
        spool.end(error)
    else:
        spool.end()


class _Sending:
    """One answer on its way."""

    def __init__(self, scope: Scope, send: Send, way: Way) -> None:
        self.link, self._send, self._way = scope.get(LINK), send, way
        self.has_begun = False

    async def send(self, spool: Spool, running: Running) -> None:
        """Send what comes through the spool. Raise what it ended with, `Left`."""
        if self._way.is_held:
            await spool.over()
        held: list[bytes] = []
        size = 0
        is_whole = False
        while size < HEAD_BYTES and not is_whole:
            piece = await spool.get()
            is_whole = not piece
            held.append(piece)
            size += len(piece)
        await self._begin(running, spool, size if is_whole else None)
        for piece in held:
            await self._piece(piece)
        while not is_whole:
            piece = await spool.get()
            is_whole = not piece
            await self._piece(piece)
        await self._to_client({"type": "http.response.body"})

    async def _begin(self, running: Running, spool: Spool, size: int | None) -> None:
        if self._way.is_held:
            size = spool.size
        report = running.report if size is not None else None
        headers = {**self._way.headers, "X-Conversion-Warnings": warnings(report)}
        if size is not None:
            headers["Content-Length"] = str(size)
        if report:
            headers["X-Conversion-Notes"] = notes(report)
            if charset := report.notes.get("charset"):
                headers["X-Conversion-Charset"] = charset
        self.has_begun = True
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self._to_client({"type": "http.response.start", "status": 200, "headers": raw})

    async def _piece(self, piece: bytes) -> None:
        if piece:
            await self._to_client({"type": "http.response.body", "body": piece, "more_body": True})

    async def _to_client(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._way.idle_s):
                await self._send(message)
        except TimeoutError:
            if self.link:
                self.link.abort()
            raise Left from None


class _Body:
    """The request's body, and after it the client's leaving."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._leave: Callable[[], object] = lambda: None
        self._is_left = False
        self.is_read = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body. Raise `Left`."""
        while not self.is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Left
            self.is_read = not message.get("more_body", False)
            if self.is_read:
                self._watching = asyncio.create_task(self._watch())
            if piece := message.get("body", b""):
                yield piece

    async def unless_left(self, work: Any) -> None:
        """Do the work. Raise `Left` when the client leaves, and let the work go."""
        task = asyncio.create_task(work)
        self._leave = task.cancel
        try:
            await asyncio.wait([task])
            if self._is_left and task.cancelled():
                raise Left
            task.result()
        finally:
            for each in (task, self._watching):
                if each and not each.done():
                    each.cancel()
                    await asyncio.wait([each])

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._is_left = True
        self._leave()


def warnings(report: Report | None) -> str:
    """Return what was lost as a dictionary of structured fields (RFC 9651), or that it is not known yet: how many leaves, how
    many by each code, and the places of the first."""
    if report is None:
        return "complete=?0"
    parts = [f"count={sum(report.losses.values())}", "complete"]
    parts += [f"{code}={count}" for code, count in sorted(report.losses.items())]
    told = ", ".join(parts)
    first: list[str] = []
    for each in report.first:
        place = f'"{each.code}";at="{quote(each.pointer, safe=UNQUOTED)}"'
        if len(told) + sum(map(len, first)) + len(place) > TOLD_BYTES:
            break
        first.append(place)
    return f"{told}, first=({' '.join(first)})" if first else told


def notes(report: Report) -> str:
    """Return what was found out as a dictionary of structured fields (RFC 9651), as much of it as a header may hold."""
    told = ""
    for name, text in report.notes.items():
        more = f"{', ' if told else ''}{name}={_field(text)}"
        if len(told) + len(more) > TOLD_BYTES:
            break
        told += more
    return told


def _field(text: str) -> str:
    """Return a string, or a display string where there is more in it than ASCII."""
    if text.isascii() and text.isprintable():
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    signs = (chr(each) if 0x20 <= each < 0x7F and each not in b'%"' else f"%{each:02x}" for each in text.encode())
    return f'%"{"".join(signs)}"'
