"""The plain WebSocket of an older chat service, as its clients know it, in the process that serves it."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import websockets
from websockets.frames import Opcode

from headwater.configured import shared_key_tokens
from headwater.settings import Settings
from headwater.wiring import House
from infra.access_tokens import LEEWAY
from infra.kafka_log import KafkaLog
from tests.integration.nodes import Device, message, role_process, token
from tests.probes import eventually

QUEUE, MOST = 200, 3
FRAME_LIMIT = 64 * 1024
ANSWERED_S = 60
BODY = "x" * 4000
COUNT = 4000  # 16 MB, more than kernel and queue take in before a client that does not read holds them up


process = partial(role_process, compat_routes=True, realtime_queue_limit=QUEUE, realtime_connections_per_user=MOST)


@pytest.fixture
async def node(house: House, settings: Settings) -> AsyncIterator[str]:
    async with process(settings) as url:
        yield url


@asynccontextmanager
async def old(url: str, house: House, user: UUID, **more: Any) -> AsyncIterator[websockets.ClientConnection]:
    """Connect a client of the older service."""
    async with websockets.connect(
        f"{url.replace('http', 'ws')}/ws?token={token(house, user)}",
        compression=None,
        ping_interval=None,
        close_timeout=0.1,
        **more,
    ) as connection:
        yield connection


async def take(connection: websockets.ClientConnection) -> dict[str, Any]:
    """Return the next frame."""
    return dict(json.loads(await asyncio.wait_for(connection.recv(decode=True), ANSWERED_S)))


async def ask(connection: websockets.ClientConnection, frame: Any) -> dict[str, Any]:
    """Send a frame and return the answer."""
    await connection.send(frame if isinstance(frame, str) else json.dumps(frame))
    return await take(connection)


async def ended(connection: websockets.ClientConnection) -> int | None:
    """Wait for the end of the connection and return its code."""
    with contextlib.suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(ANSWERED_S):
            while True:
                await connection.recv()
    return connection.close_code


async def count(url: str, house: House, *users: UUID) -> dict[str, int]:
    headers = {"authorization": f"Bearer {token(house, uuid4())}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as api:
        answer = await api.post("/api/connections", json={"user_ids": [str(user) for user in users]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["connections"])


@pytest.mark.parametrize("name", ["content", "text", "body"])
async def test_what_one_writes_the_others_read_on_two_nodes_and_the_writer_does_not(
    house: House, settings: Settings, node: str, name: str
) -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    people = sorted([str(ann), str(bob)])
    async with (
        process(settings) as other,
        old(node, house, ann) as writing,
        old(other, house, ann) as hers,
        old(node, house, bob) as near,
        old(other, house, bob) as far,
        old(other, house, eve) as stranger,
    ):
        answer = await ask(writing, {"participants": people, name: "Grüße"})
        heard = [await take(each) for each in (near, far)]
        await KafkaLog(house.commands, house.codec).publish(message(bob, [ann, eve], "last"))
        last = [await take(each) for each in (writing, hers, stranger)]

    assert answer["type"] == "ack"
    expected = {
        "type": "message",
        "id": answer["data"]["message_id"],
        "conversation_id": answer["data"]["conversation_id"],
        "participants": people,
        "sender": str(ann),
        "content": "Grüße",
        "created_at": heard[0]["created_at"],
    }
    assert heard == [expected, expected]
    assert [each["content"] for each in last] == ["last"] * 3


async def test_a_repeat_by_the_clients_own_name_is_the_same_message(house: House, node: str) -> None:
    ann, bob = uuid4(), uuid4()
    frame = {"participants": [str(ann), str(bob)], "content": "once", "client_id": "1"}
    async with old(node, house, ann) as writing:
        first, again = await ask(writing, frame), await ask(writing, frame)

    assert first["data"]["message_id"] == again["data"]["message_id"]


async def test_what_is_no_message_is_answered_with_the_error_and_the_connection_goes_on(
    house: House, node: str
) -> None:
    ann, bob = uuid4(), uuid4()
    async with old(node, house, ann) as writing:
        nonsense = [await ask(writing, each) for each in ("{", "[" * 60_000, "7", {}, {"participants": [], "text": ""})]
        others = await ask(writing, {"participants": [str(bob), str(uuid4())], "content": "x"})
        good = await ask(writing, {"participants": [str(ann), str(bob)], "content": "x"})

    assert {(each["type"], each["error"]["code"]) for each in nonsense} == {("error", "validation_failed")}
    assert {each["error"]["detail"] for each in nonsense[:3]} == {"send one JSON object"}
    assert [_pointers(each) for each in nonsense[3:]] == [{"/content"}, {"/participants", "/text"}]
    assert (others["type"], others["error"]["code"]) == ("error", "not_a_member")
    assert good["type"] == "ack"


def _pointers(answer: dict[str, Any]) -> set[str]:
    return {each["pointer"] for each in answer["error"]["errors"]}


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("", {}, 401, "unauthenticated"),
        ("?token=nonsense", {}, 401, "unauthenticated"),
        ("?token=expired", {}, 401, "token_expired"),
        ("", {"Authorization": "Bearer nonsense"}, 401, "unauthenticated"),
        ("?token=good", {"Origin": "https://evil.example"}, 403, "forbidden"),
    ],
)
async def test_who_is_not_let_in_learns_why(
    house: House, node: str, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    tokens = shared_key_tokens(house.settings)
    query = query.replace("expired", tokens.issue(uuid4(), lifetime=timedelta(minutes=-5)))
    query = query.replace("good", token(house, uuid4()))

    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await websockets.connect(f"{node.replace('http', 'ws')}/ws{query}", additional_headers=headers)

    response = refused.value.response
    assert response.status_code == status
    assert json.loads(response.body or b"{}")["code"] == code


async def test_a_token_in_the_header_lets_in_and_one_in_the_query_is_in_no_log(
    house: House, node: str, caplog: pytest.LogCaptureFixture
) -> None:
    ann = uuid4()
    header = {"Authorization": f"Bearer {token(house, ann)}", "Origin": node}
    async with websockets.connect(f"{node.replace('http', 'ws')}/ws", additional_headers=header):
        assert await count(node, house, ann) == {str(ann): 1}
    with caplog.at_level(logging.INFO):
        secret = token(house, ann)
        async with websockets.connect(f"{node.replace('http', 'ws')}/ws?token={secret}"):
            pass
    assert "/ws" in caplog.text
    assert secret not in caplog.text


async def test_one_user_opens_only_so_many_sockets_of_both_kinds(house: House, node: str) -> None:
    ann = uuid4()
    modern = await Device(node, {"token": token(house, ann)}).connect()
    async with old(node, house, ann), old(node, house, ann):
        assert await count(node, house, ann, nobody := uuid4()) == {str(ann): MOST, str(nobody): 0}
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            async with old(node, house, ann):
                pass
        assert refused.value.response.status_code == 429
    await modern.client.disconnect()

    async def open_now() -> int:
        return (await count(node, house, ann))[str(ann)]

    await eventually(open_now, until=lambda number: number == 0)


@pytest.mark.parametrize(("frame", "code"), [("x" * (FRAME_LIMIT + 1), 1009), (b"binary", 1003)])
async def test_a_frame_that_is_too_large_or_no_text_ends_the_connection(
    house: House, node: str, frame: str | bytes, code: int
) -> None:
    async with old(node, house, uuid4()) as writing:
        await writing.send(frame)

        assert await ended(writing) == code


async def test_a_flood_is_refused_and_then_ended(house: House, node: str) -> None:
    async with old(node, house, uuid4()) as writing:
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(1000):
                await writing.send("{}")

        assert await ended(writing) == 1008


async def test_the_connection_ends_with_its_token(house: House, node: str) -> None:
    tokens = shared_key_tokens(house.settings)
    short = tokens.issue(uuid4(), lifetime=timedelta(seconds=4) - LEEWAY)
    async with websockets.connect(f"{node.replace('http', 'ws')}/ws?token={short}") as ending:
        assert await take(ending) == {"type": "session.revoked", "reason": "token_expired"}
        assert await ended(ending) == 1008


async def test_a_client_that_stops_reading_is_cut_while_the_others_hear_all(house: House, node: str) -> None:
    ann, stalled, well = uuid4(), uuid4(), uuid4()
    log = KafkaLog(house.commands, house.codec)
    bodies = [f"{number} {BODY}" for number in range(COUNT)]
    async with old(node, house, stalled, max_queue=1) as stuck, old(node, house, well) as phone:
        stuck.transport.pause_reading()

        async def write() -> None:
            for start in range(0, COUNT, 200):
                await asyncio.gather(
                    *(log.publish(message(ann, [stalled, well], body)) for body in bodies[start : start + 200])
                )

        writing = asyncio.create_task(write())
        heard = [(await take(phone))["content"] for _ in range(COUNT)]
        await writing

        async def left() -> int:
            return (await count(node, house, stalled))[str(stalled)]

        await eventually(left, until=lambda number: number == 0)
        stuck.transport.abort()
    assert heard == bodies


async def test_a_client_is_pinged(house: House, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.server.PING_S", 0.2)

    class Pinged(websockets.ClientConnection):
        pings = 0

        def process_event(self, event: Any) -> None:
            self.pings += getattr(event, "opcode", None) is Opcode.PING
            super().process_event(event)

    async with old(node, house, uuid4(), create_connection=Pinged) as connection:
        assert isinstance(connection, Pinged)

        async def pings() -> int:
            return connection.pings

        await eventually(pings, until=lambda number: number >= 3)


async def test_a_node_that_stops_says_so_and_closes(house: House, settings: Settings) -> None:
    async with process(settings) as stopping:
        connection = await websockets.connect(f"{stopping.replace('http', 'ws')}/ws?token={token(house, uuid4())}")
    assert (await take(connection))["type"] == "server.draining"
    assert await ended(connection) == 1001


async def test_counting_is_for_the_signed_in_and_limited(house: House, node: str) -> None:
    async with httpx.AsyncClient(base_url=node) as nobody:
        assert (await nobody.post("/api/connections", json={"user_ids": [str(uuid4())]})).status_code == 401
        nobody.headers["authorization"] = f"Bearer {token(house, uuid4())}"
        too_many = {"user_ids": [str(uuid4()) for _ in range(101)]}
        assert (await nobody.post("/api/connections", json=too_many)).status_code == 422
        assert (await nobody.get("/ws")).status_code == 400


async def test_nothing_of_it_is_there_unless_it_is_asked_for(house: House, settings: Settings) -> None:
    async with process(settings, compat_routes=False) as url, httpx.AsyncClient(base_url=url) as api:
        assert (await api.post("/api/connections", json={})).status_code == 404
        with pytest.raises(websockets.exceptions.InvalidStatus):
            await websockets.connect(f"{url.replace('http', 'ws')}/ws?token={token(house, uuid4())}")
