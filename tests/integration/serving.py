"""An application behind a socket, as a process serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from infra.server import LimitedHttp, LimitedSockets


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[int]:
    """Serve, and give the port."""
    config = uvicorn.Config(
        app, port=0, http=LimitedHttp, ws=LimitedSockets, lifespan="off", log_config=None, server_header=False
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await server.shutdown()


async def raw(port: int, request: bytes) -> tuple[str, dict[str, str], bytes]:
    """Return status line, headers and body of what is answered to these bytes before the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await asyncio.wait_for(reader.read(), 30)).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    return status, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}, body
