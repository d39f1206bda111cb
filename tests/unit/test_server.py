"""The limit on a request head, on a real socket; and which failures of the database may pass."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from infra.postgres import is_transient
from infra.server import HEAD_LIMIT, LimitedHttp


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, http=LimitedHttp, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await server.shutdown()


async def answers(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        try:
            await writer.drain()
        except ConnectionError:
            break
    found = await reader.read()
    writer.close()
    return found


async def test_a_head_without_an_end_is_refused_and_the_connection_closed(port: int) -> None:
    found = await answers(port, b"GET / HTTP/1.1\r\nx: ", b"a" * HEAD_LIMIT)

    assert found.startswith(b"HTTP/1.1 431 ")


async def test_large_bodies_and_several_requests_on_a_connection_pass(port: int) -> None:
    size = 4 * HEAD_LIMIT
    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + b"b" * size
    last = request.replace(b"host: x", b"host: x\r\nconnection: close")

    found = await answers(port, request, last)

    assert found.count(b"HTTP/1.1 200 OK") == 2
    assert found.endswith(str(size).encode())


def test_a_driver_that_was_cut_off_in_the_middle_may_be_asked_again() -> None:
    """asyncpg says so when the server is killed between two messages of its protocol."""
    assert is_transient(asyncpg.InternalClientError("another operation is in progress"))
