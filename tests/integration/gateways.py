"""A public port in this process, in front of upstreams that do exactly what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from headwater import wiring
from headwater.offers import forwarding
from headwater.roles import server_config
from headwater.wiring import SHAPE, House
from infra.health import Health
from tests.integration.nodes import Server
from tests.probes import eventually

Handle = Callable[["Seen", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PROMPT = {"upstream_connect_timeout": 5.0, "upstream_answer_timeout": 20.0}


@dataclass(slots=True)
class Seen:
    """The head of a request as the upstream got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value


@dataclass(slots=True)
class Upstream:
    """A server that reads heads with a ruler and leaves the rest to `handle`."""

    handle: Handle
    url: str = ""
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    left: int = 0  # connections that the other side has closed, or that ended
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[Any]"] = field(default_factory=set)

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                pairs = (line.split(":", 1) for line in head[1:] if line)
                seen = Seen(method, target, [(name.lower(), value.strip()) for name, value in pairs])
                self.requests.append(seen)
                await self.handle(seen, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left += 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def upstream(handle: Handle) -> AsyncIterator[Upstream]:
    """Serve while the block lasts."""
    running = Upstream(handle)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


def answer(body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer with its length."""
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


async def body_of(seen: Seen, reader: asyncio.StreamReader) -> bytes:
    """Read a request's body to its end."""
    if seen.all("transfer-encoding") != ["chunked"]:
        return await reader.readexactly(int((seen.all("content-length") or ["0"])[0]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


@cache
def _shape() -> House:
    return wiring.build(SHAPE)


@asynccontextmanager
async def public(upstreams: dict[str, str] | None = None, **settings: Any) -> AsyncIterator[int]:
    """Run role `web`, without the servers that what is forwarded does not need, and yield its port."""
    more = {"upstreams": upstreams or {}, "port": 0} | PROMPT | settings
    settings_here = SHAPE.model_copy(update=more)
    shape = _shape()
    house = replace(shape, settings=settings_here, gateway=forwarding(settings_here, shape.modules))
    config = server_config(house, ("web",), Health(("web",), {}))
    server = Server(config)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await serving
        await house.gateway.close()


async def raw(port: int, *parts: bytes) -> bytes:
    """Send the bytes and return all that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    try:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
            while piece := await asyncio.wait_for(reader.read(65_536), 60):
                found += piece
    finally:
        writer.close()
    return found
