"""A client that costs as little as Python can: requests as bytes, one after the other on each connection."""

import asyncio
import re
from collections.abc import Iterator
from time import perf_counter

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"


def request(method: str, path: str, token: str, body: bytes) -> bytes:
    """Return the request's bytes."""
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    transport: asyncio.Transport
    body = b""  # of the last answer

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(HEAD_END)
        if head < 0:
            return
        length = LENGTH.search(self._buffer, 0, head)
        if len(self._buffer) >= head + len(HEAD_END) + int(length[1] if length else 0) and self._answer:
            status, self.body, self._buffer = int(self._buffer[9:12]), self._buffer[head + len(HEAD_END) :], b""
            self._answer.set_result(status)

    async def ask(self, sent: bytes) -> int:
        """Send the request and return the answer's status."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(sent)
        return await self._answer


async def connect(port: int) -> Connection:
    """Return a connection to the port on this machine."""
    transport, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    connection.transport = transport  # uvloop calls `connection_made` later
    return connection


async def hammer(
    connections: list[Connection], requests: list[Iterator[bytes]], seconds: float, wanted: int = 202
) -> list[float]:
    """Ask on all connections at once for so long; return how long each answer took. Every answer has to be of that status."""
    took: list[float] = []
    until = perf_counter() + seconds

    async def one(connection: Connection, asked: Iterator[bytes]) -> None:
        while (began := perf_counter()) < until:
            status = await connection.ask(next(asked))
            assert status == wanted, status
            took.append(perf_counter() - began)

    await asyncio.gather(*map(one, connections, requests))
    return took


def percentile(took: list[float], share: float) -> float:
    """Return the value that this share of them does not exceed."""
    return sorted(took)[min(int(len(took) * share), len(took) - 1)]
