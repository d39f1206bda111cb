"""The limits on how large a request head is and how long a request takes, on a real socket; and which failures of the
database may pass."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from infra.postgres import is_transient
from infra.server import FRAGMENT_LIMIT, HEAD_LIMIT, HEADER_LIMIT, LimitedHttp, LimitedSockets, take_patiently

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: bm90IHZlcnkgcmFuZG9tIQ==\r\n\r\n"
)
LATE_S = 0.2
STUCK_S = 60
IDLE_S = 120


class Impatient(LimitedHttp):
    head_s = body_s = LATE_S


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/patient":
        take_patiently(scope)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(3 * LATE_S)
        await send({"type": "websocket.send", "text": "still here"})
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/slow":  # as a long poll, or a command that waits
        await asyncio.sleep(3 * LATE_S)
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(
        app, port=0, http=Impatient, lifespan="off", log_config=None, ws=LimitedSockets, timeout_keep_alive=IDLE_S
    )
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


async def test_a_route_may_take_a_body_for_as_long_as_it_comes(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    time = asyncio.get_running_loop().time
    writer.write(b"POST /patient HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    sent, until = 0, time() + 5 * LATE_S
    while time() < until:
        writer.write(b"10000\r\n" + b"b" * 65_536 + b"\r\n")
        await writer.drain()
        sent += 65_536
        await asyncio.sleep(LATE_S / 100)
    writer.write(b"0\r\n\r\n")

    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    assert (await reader.readuntil(str(sent).encode())).endswith(str(sent).encode())
    writer.close()


async def test_a_body_that_no_longer_comes_is_refused_there_too(port: int) -> None:
    found = await answers(port, b"POST /patient HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + b"b" * 50_000)

    assert found.startswith(b"HTTP/1.1 408 ")


async def test_a_head_without_an_end_is_refused_and_the_connection_closed(port: int) -> None:
    found = await answers(port, b"GET / HTTP/1.1\r\nx: ", b"a" * HEAD_LIMIT)

    assert found.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "lines",
    [b"x: " + b"a" * HEAD_LIMIT + b"\r\n", b"a:\r\n" * (HEADER_LIMIT + 1)],
    ids=["large", "of many lines"],
)
async def test_a_head_that_comes_in_one_piece_is_refused_too(port: int, lines: bytes) -> None:
    found = await answers(port, b"GET / HTTP/1.1\r\n" + lines + b"\r\n")

    assert found.startswith(b"HTTP/1.1 431 ")
    assert found.count(b"HTTP/1.1 ") == 1


async def test_a_message_in_very_many_fragments_ends_its_connection(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/", compression=None) as client:
        client.transport.write(b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * FRAGMENT_LIMIT)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


async def ping_without_end(client: socket.socket) -> None:
    async with asyncio.timeout(STUCK_S):
        while True:  # a connection that is merely closing stands still here
            await asyncio.get_running_loop().sock_sendall(client, (b"\x89\xfd\0\0\0\0" + b"p" * 125) * 1000)


async def test_who_pings_and_takes_no_answer_is_cut(port: int) -> None:
    """Not even the close frame would be taken, so the connection has to end without it."""
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, HANDSHAKE)
        await loop.sock_recv(client, 4096)
        with pytest.raises(ConnectionError):
            await ping_without_end(client)


async def test_large_bodies_and_several_requests_on_a_connection_pass(port: int) -> None:
    size = 4 * HEAD_LIMIT
    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + b"b" * size
    last = request.replace(b"host: x", b"host: x\r\nconnection: close")

    found = await answers(port, request, last)

    assert found.count(b"HTTP/1.1 200 OK") == 2
    assert found.endswith(str(size).encode())


HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"
BODY = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nbegun"
CHUNKS = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n"
WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    "part",
    [HEAD, BODY, CHUNKS, WHOLE + HEAD, WHOLE + BODY],
    ids=["head", "body", "chunked", "second head", "second body"],
)
async def test_a_request_that_does_not_end_is_answered_408_and_the_connection_closed(port: int, part: bytes) -> None:
    head, _, body = (await answers(port, part)).rpartition(b"\r\n\r\n")

    assert b"HTTP/1.1 408 Request Timeout" in head
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["code"] == "request_timeout"
    assert head.count(b"HTTP/1.1 200 OK") == part.count(WHOLE)


@pytest.mark.parametrize("part", [HEAD, BODY.replace(b": 9", b": 999")], ids=["head", "body"])
async def test_one_that_comes_byte_by_byte_has_no_longer(port: int, part: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(part)

    async def answer() -> bytes:
        found = b""
        with contextlib.suppress(ConnectionResetError):  # by a byte that came once the server had closed
            while chunk := await reader.read(65_536):
                found += chunk
        return found

    found = asyncio.create_task(answer())
    while not found.done():
        writer.write(b"x")
        await asyncio.wait([found], timeout=LATE_S / 10)

    assert found.result().startswith(b"HTTP/1.1 408 ")
    writer.close()


@pytest.mark.parametrize("part", [b"", b"\r\n"], ids=["nothing", "white space"])
async def test_a_connection_without_a_request_is_closed_in_silence(port: int, part: bytes) -> None:
    assert await answers(port, part) == b""


async def test_white_space_after_a_request_keeps_no_connection(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE)
    await reader.readuntil(b"\r\n\r\n0")
    writer.write(b"\r\n")

    async with asyncio.timeout(IDLE_S / 2):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("behind", [HEAD, BODY], ids=["head", "body"])
async def test_who_waits_for_the_answer_before_is_not_late(port: int, behind: bytes) -> None:
    found = await answers(port, WHOLE.replace(b"/ ", b"/slow ") + behind)

    assert found.startswith(b"HTTP/1.1 200 OK")
    assert found.count(b"HTTP/1.1 408 ") == 1


async def test_a_socket_lives_on(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/") as client:
        assert await client.recv() == "still here"


async def test_what_is_no_http_is_told_so_in_a_problem(port: int) -> None:
    found = await answers(port, b"\0\r\n\r\n")

    assert found.startswith(b"HTTP/1.1 400 ")
    assert json.loads(found.rpartition(b"\r\n")[2])["code"] == "bad_request"


def test_a_driver_that_was_cut_off_in_the_middle_may_be_asked_again() -> None:
    """asyncpg says so when the server is killed between two messages of its protocol."""
    assert is_transient(asyncpg.InternalClientError("another operation is in progress"))
