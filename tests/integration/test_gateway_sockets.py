"""Sockets at processes elsewhere: what either side says, how it ends, and who is slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event
from websockets.typing import Subprotocol

from headwater.roles import SOCKET_PACKET_LIMIT
from tests.integration.gateways import Seen, answer, public, upstream
from tests.probes import eventually

PATH = "/socket.io/?EIO=4&transport=websocket"
Handle = Callable[[ServerConnection], Awaitable[None]]


class Upstream:
    """A WebSocket server that does what the test wants."""

    def __init__(self) -> None:
        self.handle: Handle = echo
        self.requests: list[Request] = []
        self.ends: list[tuple[int | None, str | None]] = []
        self.refusal: tuple[HTTPStatus, str] | None = None
        self.url = ""

    async def connected(self, connection: ServerConnection) -> None:
        ends = self.ends  # of this test
        try:
            await self.handle(connection)
        except ConnectionClosed:
            pass
        finally:
            await connection.wait_closed()
            ends.append((connection.close_code, connection.close_reason))

    def process(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return connection.respond(*self.refusal) if self.refusal else None


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def sockets(there: Upstream) -> AsyncIterator[Server]:
    def chosen(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol("chat") if "chat" in offered else None

    process = there.process
    async with serve(
        there.connected, "127.0.0.1", 0, process_request=process, select_subprotocol=chosen, compression=None
    ) as server:
        there.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield server


@pytest.fixture(scope="module")
async def front() -> AsyncIterator[tuple[Upstream, int]]:
    """An upstream of realtime, and the public port before it."""
    there = Upstream()
    async with sockets(there), public({"realtime": there.url}, trusted_proxies="") as port:
        yield there, port


@pytest.fixture
def there(front: tuple[Upstream, int]) -> Upstream:
    """The upstream, as new."""
    front[0].handle, front[0].refusal = echo, None
    front[0].requests, front[0].ends = [], []
    return front[0]


@pytest.fixture
def url(front: tuple[Upstream, int]) -> str:
    return f"ws://127.0.0.1:{front[1]}{PATH}"


async def until_ended(there: Upstream) -> tuple[int | None, str | None]:
    async def ended() -> list[tuple[int | None, str | None]]:
        return there.ends

    return (await eventually(ended))[0]


async def test_text_and_bytes_go_both_ways_and_the_handshake_is_the_clients(there: Upstream, url: str) -> None:
    said = {"origin": "https://app.example", "cookie": "a=1", "x-forwarded-for": "6.6.6.6"}
    subprotocols = [Subprotocol("other"), Subprotocol("chat")]
    async with connect(url, subprotocols=subprotocols, additional_headers=said, compression=None) as client:
        for message in ("text ü", b"\x00bytes"):
            await client.send(message)
            assert await client.recv() == message
        assert client.subprotocol == "chat"

    (seen,) = there.requests
    assert seen.path == PATH
    assert (seen.headers["origin"], seen.headers["cookie"]) == ("https://app.example", "a=1")
    assert seen.headers["x-forwarded-for"] == "127.0.0.1"
    assert seen.headers["host"] == url.removeprefix("ws://").split("/")[0]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4001])
async def test_the_upstreams_close_is_the_clients(there: Upstream, url: str, code: int) -> None:
    there.handle = lambda connection: connection.close(code, "because")

    async with connect(url) as client:
        await client.wait_closed()

    assert (client.close_code, client.close_reason) == (code, "because")


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_the_clients_close_is_the_upstreams(there: Upstream, url: str, code: int) -> None:
    async with connect(url) as client:
        await client.close(code, "bye")

    assert await until_ended(there) == (code, "bye")


async def test_what_breaks_off_at_one_side_breaks_off_at_the_other(there: Upstream, url: str) -> None:
    async with connect(url) as client:
        client.transport.abort()
    assert await until_ended(there) == (CloseCode.ABNORMAL_CLOSURE, "")

    async def breaking(connection: ServerConnection) -> None:
        connection.transport.abort()

    there.handle = breaking
    async with connect(url) as client:
        with pytest.raises(ConnectionClosedError):
            await client.recv()
    assert client.close_code == CloseCode.ABNORMAL_CLOSURE


async def test_a_refusal_is_passed_on_with_its_words_and_is_no_error_of_ours(
    there: Upstream, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    there.refusal = (HTTPStatus.SERVICE_UNAVAILABLE, "not ready")

    with pytest.raises(InvalidStatus) as refused:
        await connect(url)

    assert refused.value.response.status_code == 503
    assert refused.value.response.body == b"not ready"
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_a_process_that_is_not_ready_is_passed_by() -> None:
    starting, other = Upstream(), Upstream()
    starting.refusal = (HTTPStatus.SERVICE_UNAVAILABLE, "not ready")
    async with (
        sockets(starting),
        sockets(other),
        public({"realtime": f"{starting.url},{other.url}"}, trusted_proxies="") as port,
    ):
        for _ in range(2):  # whoever is asked first
            async with connect(f"ws://127.0.0.1:{port}{PATH}"):
                pass

    assert len(other.requests) == 2


async def test_nobody_there_is_a_bad_gateway() -> None:
    there = Upstream()
    async with sockets(there):
        pass
    async with public({"realtime": there.url}) as port:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}{PATH}")
        async with httpx.AsyncClient() as api:
            poll = await api.get(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling")

    assert refused.value.response.status_code == poll.status_code == 502
    assert b'"bad_gateway"' in bytes(refused.value.response.body or b"")
    assert poll.json()["code"] == "bad_gateway"


async def test_pings_are_answered_here_and_limits_of_messages_and_fragments_hold(there: Upstream, url: str) -> None:
    async with connect(url) as client:
        await asyncio.wait_for(await client.ping(), 60)
        await client.send("x" * SOCKET_PACKET_LIMIT)
        assert len(await client.recv()) == SOCKET_PACKET_LIMIT
        await client.send("x" * (SOCKET_PACKET_LIMIT + 1))
        await client.wait_closed()
    assert client.close_code == CloseCode.MESSAGE_TOO_BIG

    async with connect(url) as client:
        client.transport.write(
            b"".join(
                Frame(Opcode.TEXT if n == 0 else Opcode.CONT, b"", fin=False).serialize(mask=True, extensions=[])
                for n in range(70)
            )
        )
        await client.wait_closed()
    assert client.close_code == CloseCode.POLICY_VIOLATION


async def test_a_client_that_is_gone_without_a_word_is_let_go(
    there: Upstream, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.server.PING_S", 0.1)
    monkeypatch.setattr("bounded_contexts.gateway.adapters.sockets.PONG_S", 0.5)
    async with connect(url) as client:
        client.transport.pause_reading()  # it sees no ping and says nothing
        code, _ = await until_ended(there)
        client.transport.abort()

    assert code == CloseCode.ABNORMAL_CLOSURE


async def test_a_client_that_answers_pings_stays(there: Upstream, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.server.PING_S", 0.05)
    pings = 0

    class Pinged(ClientConnection):
        def process_event(self, event: Event) -> None:
            nonlocal pings
            pings += isinstance(event, Frame) and event.opcode is Opcode.PING
            super().process_event(event)

    async def pinged() -> int:
        return pings

    async with connect(url, create_connection=Pinged) as client:
        await eventually(pinged, until=lambda number: number >= 3)
        await client.send("still here")
        assert await client.recv() == "still here"


async def test_a_client_that_does_not_read_slows_the_upstream_down(there: Upstream, url: str) -> None:
    sent = 0

    async def pouring(connection: ServerConnection) -> None:
        nonlocal sent
        while sent < 2000:
            await connection.send("x" * 50_000)
            sent += 1

    there.handle = pouring
    async with connect(url, max_queue=1, ping_interval=None) as client:
        stood = -1

        async def stands() -> bool:
            nonlocal stood
            before, stood = stood, sent
            return sent > 0 and before == sent

        await eventually(stands, every=0.5)
        assert sent < 1000
        client.transport.abort()
    assert await until_ended(there) == (CloseCode.ABNORMAL_CLOSURE, "")


async def test_a_client_that_takes_nothing_is_cut(there: Upstream, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bounded_contexts.gateway.adapters.sockets.STALLED_S", 0.2)

    async def pouring(connection: ServerConnection) -> None:
        while True:
            await connection.send("x" * 50_000)

    there.handle = pouring
    async with connect(url, max_queue=1, ping_interval=None) as client:
        assert await until_ended(there) == (CloseCode.ABNORMAL_CLOSURE, "")
        client.transport.abort()


async def test_an_upstream_that_does_not_read_slows_the_client_down(there: Upstream, url: str) -> None:
    go_on = asyncio.Event()
    heard = 0

    async def dozing(connection: ServerConnection) -> None:
        nonlocal heard
        await go_on.wait()
        async for _ in connection:
            heard += 1

    there.handle = dozing
    sent = 0
    async with connect(url, ping_interval=None) as client:

        async def pour() -> None:
            nonlocal sent
            while sent < 1000:
                await client.send("x" * 50_000)
                sent += 1

        pouring = asyncio.create_task(pour())
        stood = -1

        async def stands() -> bool:
            nonlocal stood
            before, stood = stood, sent
            return sent > 0 and before == sent

        await eventually(stands, every=0.5)
        assert sent < 1000
        go_on.set()
        await asyncio.wait_for(pouring, 60)

        async def all_heard() -> bool:
            return heard == 1000

        await eventually(all_heard)


async def test_a_polling_session_stays_with_the_process_that_has_it() -> None:
    def of(sid: bytes) -> Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def polled(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            body = b"2" if "sid=" in seen.target else b'0{"sid":"' + sid + b'","upgrades":["websocket"]}'
            writer.write(answer(body))

        return polled

    poll = "/socket.io/?EIO=4&transport=polling"
    async with (
        upstream(of(b"a-1")) as one,
        upstream(of(b"b_2")) as two,
        public({"realtime": f"{one.url},{two.url}"}) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as api,
    ):
        opened = [(await api.get(poll)).text for _ in range(4)]
        for sid in ("a-1", "b_2"):
            for _ in range(3):
                await api.get(f"{poll}&sid={sid}")

    assert len({*opened}) == 2  # sessions go around
    assert {each.target for each in one.requests} == {poll, f"{poll}&sid=a-1"}
    assert {each.target for each in two.requests} == {poll, f"{poll}&sid=b_2"}
