"""Engine.IO 4 and Socket.IO 5 as the reference's protocol suites ask for them, at a server that sends back what it hears.

https://github.com/socketio/socket.io: docs/engine.io-protocol/v4-test-suite, docs/socket.io-protocol/v5-test-suite."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.frames import Frame, Opcode

from tests.integration.protocol_server import protocol_server

BARE, SOCKETS = "/engine.io/", "/socket.io/"
POLLING, WEBSOCKET = "?EIO=4&transport=polling", "?EIO=4&transport=websocket"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    async with protocol_server() as running:
        yield running


@pytest.fixture
async def browser(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture
async def bare(url: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket to the Engine.IO server, after its handshake."""
    async with socket(url, BARE + WEBSOCKET) as opened:
        await opened.recv()
        yield opened


@pytest.fixture
async def joined(url: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket in namespace `/`."""
    async with socket(url, SOCKETS + WEBSOCKET) as opened:
        await opened.recv()
        await opened.send("40")
        assert str(await opened.recv()).startswith('40{"sid":')
        assert await opened.recv() == '42["auth",{}]'
        yield opened


def socket(url: str, path: str) -> connect_socket:
    return connect_socket(url.replace("http", "ws") + path, compression=None, ping_interval=None, close_timeout=1)


async def said(opened: ClientConnection) -> str | bytes:
    """Return what comes next that is no ping, and answer those."""
    async with asyncio.timeout(PATIENCE_S):
        while (message := await opened.recv()) == "2":
            await opened.send("3")
    return message


async def is_closed(opened: ClientConnection) -> None:
    """Wait for the end, and answer no ping."""
    async with asyncio.timeout(PATIENCE_S):
        with suppress(websockets.ConnectionClosedError):  # it ends without one when the connection was closed well
            async for _ in opened:
                pass


async def opened_by_poll(browser: httpx.AsyncClient) -> str:
    handshake = json.loads((await browser.get(BARE + POLLING)).text[1:])
    return f"{BARE}{POLLING}&sid={handshake['sid']}"


class TestHandshake:
    async def test_it_says_how_the_session_works(self, browser: httpx.AsyncClient, url: str) -> None:
        polled = (await browser.get(BARE + POLLING)).text
        async with socket(url, BARE + WEBSOCKET) as opened:
            direct = str(await opened.recv())

        about = {"pingInterval": 300, "pingTimeout": 200, "maxPayload": 1_000_000}
        for text, upgrades in ((polled, ["websocket"]), (direct, [])):
            found = json.loads(text.removeprefix("0"))
            assert found == {"sid": found["sid"], "upgrades": upgrades, **about}

    @pytest.mark.parametrize(
        "query", ["?transport=polling", "?EIO=abc&transport=polling", "?EIO=4", "?EIO=4&transport=abc"]
    )
    async def test_another_protocol_or_transport_is_refused(
        self, browser: httpx.AsyncClient, url: str, query: str
    ) -> None:
        assert (await browser.get(BARE + query)).status_code == 400
        with pytest.raises(websockets.InvalidStatus):
            await socket(url, BARE + query.replace("polling", "websocket"))

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    async def test_a_session_begins_with_a_get(self, browser: httpx.AsyncClient, method: str) -> None:
        answer = await browser.request(method, BARE + POLLING)

        assert (answer.status_code, answer.json()["message"]) == (400, "Bad handshake method")


class TestPolling:
    @pytest.mark.parametrize("payload", ["4hello", "4a\x1e4b\x1e4c", "4hello\x1ebAQIDBA==", "4Grüße"])
    async def test_what_is_posted_comes_back(self, browser: httpx.AsyncClient, payload: str) -> None:
        path = await opened_by_poll(browser)
        posted = await browser.post(path, content=payload)

        assert (posted.status_code, posted.text) == (200, "ok")
        assert (await browser.get(path)).text == payload

    @pytest.mark.parametrize("payload", ["abc", "", "4a\x1e", "bAQ", "5", "0", b"\xff"])
    async def test_what_is_no_packet_ends_the_session(self, browser: httpx.AsyncClient, payload: str | bytes) -> None:
        path = await opened_by_poll(browser)

        assert (await browser.post(path, content=payload)).status_code == 400
        assert (await browser.get(path)).status_code == 400

    async def test_two_polls_at_once_end_the_session(self, browser: httpx.AsyncClient) -> None:
        path = await opened_by_poll(browser)
        first, second = await asyncio.gather(browser.get(path), browser.get(path))

        assert sorted((first.status_code, second.status_code)) == [200, 400]
        assert "1" in (first.text, second.text)
        assert (await browser.get(path)).status_code == 400

    async def test_a_poll_that_is_given_up_ends_the_session(self, browser: httpx.AsyncClient) -> None:
        path = await opened_by_poll(browser)
        with pytest.raises(httpx.ReadTimeout):
            await browser.get(path, timeout=0.05)

        assert (await browser.get(path)).status_code == 400

    async def test_a_client_that_says_good_bye_has_its_poll_answered(self, browser: httpx.AsyncClient) -> None:
        path = await opened_by_poll(browser)
        polling = asyncio.create_task(browser.get(path))
        await asyncio.sleep(0.05)  # the poll is to wait by then; where it does not yet, it is refused below

        assert (await browser.post(path, content="1")).text == "ok"
        assert (await polling).text in ("6", '{"code":1,"message":"Session ID unknown"}')
        assert (await browser.get(path)).status_code == 400

    async def test_pings_come_and_a_client_that_answers_stays(self, browser: httpx.AsyncClient) -> None:
        path = await opened_by_poll(browser)
        for _ in range(3):
            assert (await browser.get(path)).text == "2"
            assert (await browser.post(path, content="3")).text == "ok"

    async def test_a_client_that_answers_no_ping_is_gone(self, browser: httpx.AsyncClient) -> None:
        path = await opened_by_poll(browser)
        assert (await browser.get(path)).text == "2"

        assert (await browser.get(path)).text in ("1", '{"code":1,"message":"Session ID unknown"}')


class TestWebSocket:
    @pytest.mark.parametrize("message", ["hello", "", "Grüße", "x" * 126, "x" * 70_000])
    async def test_what_is_sent_comes_back(self, bare: ClientConnection, message: str) -> None:
        await bare.send("4" + message)
        assert await said(bare) == "4" + message

    async def test_bytes_come_back(self, bare: ClientConnection) -> None:
        await bare.send(b"\x01\x02\x03\x04")
        assert await said(bare) == b"\x01\x02\x03\x04"

    async def test_a_message_in_fragments_is_one(self, bare: ClientConnection) -> None:
        await bare.send(iter(["4he", "", "llo"]))
        assert await said(bare) == "4hello"

    async def test_frames_that_come_in_pieces_or_together_are_read(self, bare: ClientConnection) -> None:
        raw = b"".join(
            Frame(Opcode.TEXT, text.encode()).serialize(mask=True) for text in ("4one", "4two", "4" + "y" * 300)
        )
        for start in range(0, len(raw), 7):
            bare.transport.write(raw[start : start + 7])
            await asyncio.sleep(0)

        assert [await said(bare) for _ in range(3)] == ["4one", "4two", "4" + "y" * 300]

    async def test_a_ping_is_answered(self, bare: ClientConnection) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await (await bare.ping())

    @pytest.mark.parametrize(
        "raw",
        [
            Frame(Opcode.TEXT, b"4unmasked").serialize(mask=False),
            b"\xc1\x81\x00\x00\x00\x004",  # a reserved bit
            Frame(Opcode.CONT, b"of nothing").serialize(mask=True),
            Frame(Opcode.TEXT, b"4\xff").serialize(mask=True),
            Frame(Opcode.TEXT, b"4", fin=False).serialize(mask=True) * 2,
            Frame(Opcode.TEXT, b"4", fin=False).serialize(mask=True)
            + Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 64,
            b"\x83\x80\x00\x00\x00\x00",  # an opcode that there is not
            b"\x89\xfe\x00\x80\x00\x00\x00\x00",  # a ping that is too long
            b"\x81\xff" + (1 << 40).to_bytes(8) + b"\x00\x00\x00\x00",
        ],
        ids=[
            "unmasked",
            "reserved",
            "nothing",
            "no_text",
            "twice",
            "many",
            "unknown",
            "long_ping",
            "too_long",
        ],  # masks vary
    )
    async def test_a_frame_that_breaks_the_protocol_ends_the_connection(
        self, bare: ClientConnection, raw: bytes
    ) -> None:
        bare.transport.write(raw)
        await is_closed(bare)

    @pytest.mark.parametrize("message", ["abc", "", "0", "2probe", "3more", "5"])
    async def test_what_is_no_packet_ends_the_connection(self, bare: ClientConnection, message: str) -> None:
        await bare.send(message)
        await is_closed(bare)

    async def test_a_client_that_says_good_bye_is_closed(self, bare: ClientConnection) -> None:
        await bare.send("1")
        await is_closed(bare)

    async def test_a_client_that_answers_no_ping_is_closed(self, bare: ClientConnection) -> None:
        assert await bare.recv() == "2"
        await is_closed(bare)


class TestUpgrade:
    async def test_a_poll_in_between_is_answered_with_nothing(self, browser: httpx.AsyncClient, url: str) -> None:
        path = await opened_by_poll(browser)
        async with socket(url, path.replace("polling", "websocket")) as taking_over:
            await taking_over.send("2probe")
            assert await taking_over.recv() == "3probe"
            assert (await browser.get(path)).text == "6"
            await taking_over.send("5")
            await taking_over.send("4hello")

            assert await said(taking_over) == "4hello"
            assert (await browser.get(path)).status_code == 400
            async with socket(url, path.replace("polling", "websocket")) as late:
                await is_closed(late)
            await taking_over.send("4still")
            assert await said(taking_over) == "4still"

    async def test_one_that_fails_leaves_the_polls(self, browser: httpx.AsyncClient, url: str) -> None:
        path = await opened_by_poll(browser)
        async with socket(url, path.replace("polling", "websocket")) as taking_over:
            await taking_over.send("2probe")
            await taking_over.recv()
        await browser.post(path, content="4hello")

        assert (await browser.get(path)).text in ("4hello", "2\x1e4hello")

    async def test_a_session_that_there_is_not_is_refused(self, url: str) -> None:
        with pytest.raises(websockets.InvalidStatus):
            await socket(url, f"{BARE}{WEBSOCKET}&sid=nobody")


class TestNamespaces:
    @pytest.mark.parametrize("auth", [None, {"token": "123"}])
    @pytest.mark.parametrize("namespace", ["", "/custom,"])
    async def test_who_joins_is_told_its_id_first(self, url: str, namespace: str, auth: Any) -> None:
        async with socket(url, SOCKETS + WEBSOCKET) as opened:
            await opened.recv()
            await opened.send(f"40{namespace}{json.dumps(auth) if auth else ''}")

            welcome = str(await said(opened))
            assert set(json.loads(welcome.removeprefix("40" + namespace))) == {"sid"}
            assert await said(opened) == f'42{namespace}["auth",{json.dumps(auth or {}, separators=(",", ":"))}]'

    async def test_one_that_there_is_not_is_refused(self, joined: ClientConnection) -> None:
        await joined.send("40/random")
        assert await said(joined) == '44/random,{"message":"Invalid namespace"}'

    async def test_leaving_one_leaves_the_other(self, joined: ClientConnection) -> None:
        await joined.send("40/custom,")
        assert str(await said(joined)).startswith("40/custom,")
        assert await said(joined) == '42/custom,["auth",{}]'
        await joined.send("41/custom,")
        await joined.send('42/custom,["message","nobody"]')
        await joined.send('42["message","somebody"]')

        assert await said(joined) == '42["message-back","somebody"]'

    async def test_who_joins_nothing_is_closed(self, url: str) -> None:
        async with socket(url, SOCKETS + WEBSOCKET) as opened, asyncio.timeout(PATIENCE_S):
            async for message in opened:
                if message == "2":
                    await opened.send("3")


class TestMessages:
    @pytest.mark.parametrize("data", ['1,"2",{"3":[true]}', '{"_placeholder":true,"num":0}', '"Grüße"'])
    async def test_an_event_comes_back(self, joined: ClientConnection, data: str) -> None:
        await joined.send(f'42["message",{data}]')
        assert await said(joined) == f'42["message-back",{data}]'

    async def test_an_ack_carries_the_number(self, joined: ClientConnection) -> None:
        await joined.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await said(joined) == '43456[1,"2",{"3":[false]}]'

    @pytest.mark.parametrize(("asked", "answered"), [("452-", "452-"), ("452-789", "462-789")])
    async def test_attachments_come_back(self, joined: ClientConnection, asked: str, answered: str) -> None:
        places = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
        await joined.send(f'{asked}["message",{places}]')
        await joined.send(b"\x01\x02\x03")
        await joined.send(b"\x04\x05\x06")

        name = '"message-back",' if answered == asked else ""
        assert await said(joined) == f"{answered}[{name}{places}]"
        assert [await said(joined), await said(joined)] == [b"\x01\x02\x03", b"\x04\x05\x06"]

    @pytest.mark.parametrize(
        "packet",
        ["4abc", "42{}", "42", "42[]", "42[1]", '42abc["message"]', "43", "44{}", "47", '451-["message"]', "451-[]", '45["a"]',
         '4511-["a"' + ',{"_placeholder":true,"num":0}' * 11 + "]", '42["a",' + "[" * 50_000, b"no place"],
    )  # fmt: skip
    async def test_what_is_no_packet_ends_the_connection(self, joined: ClientConnection, packet: str | bytes) -> None:
        await joined.send(packet)
        await is_closed(joined)

    @pytest.mark.parametrize("second", ['42["message"]', b"one"])
    async def test_attachments_that_do_not_fit_end_the_connection(
        self, joined: ClientConnection, second: str | bytes
    ) -> None:
        await joined.send('451-["message",{"_placeholder":true,"num":7}]')
        await joined.send(second)
        await is_closed(joined)
