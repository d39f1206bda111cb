"""A client that does not read is cut and nobody waits for it; one that reads slowly gets everything."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import pytest
import websockets

from bounded_contexts.realtime.adapters.gateway import Load
from bounded_contexts.realtime.application.limits import Limits
from headwater.wiring import House
from infra.kafka_log import KafkaLog
from tests.integration.nodes import Node, device, message, node, token
from tests.probes import eventually

LIMITS = Limits(queue_events=200, queue_bytes=1 << 20, patience_s=3.0, drain_s=0.1)
BODY = "x" * 4000
COUNT = 4000  # 16 MB, more than kernel and server take in before a client that does not read holds them up


@pytest.fixture
async def gateway(house: House) -> AsyncIterator[Node]:
    async with node(house, limits=LIMITS) as running:
        yield running


@asynccontextmanager
async def raw(
    gateway: Node, house: House, user: UUID, position: str = ""
) -> AsyncIterator[websockets.ClientConnection]:
    """A WebSocket that reads only what it is asked for."""
    url = gateway.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    async with websockets.connect(url, max_queue=1, compression=None, ping_interval=None, close_timeout=0.1) as socket:
        await socket.recv()
        auth = {"token": token(house, user)} | ({"position": position} if position else {})
        await socket.send("40/chat," + json.dumps(auth))
        await socket.recv()
        ready = await socket.recv()
        assert '"session.ready"' in str(ready)
        yield socket


async def publish(house: House, ann: UUID, people: list[UUID], count: int) -> list[str]:
    log = KafkaLog(house.commands, house.codec)
    bodies = [f"{number} {BODY}" for number in range(count)]
    for start in range(0, count, 200):
        await asyncio.gather(*(log.publish(message(ann, people, body)) for body in bodies[start : start + 200]))
    return bodies


async def test_a_client_that_stops_reading_is_cut_while_everybody_else_hears_all(house: House, gateway: Node) -> None:
    ann, stalled, well = uuid4(), uuid4(), uuid4()
    most = Load(0, 0, 0)

    async def watch() -> None:
        nonlocal most
        while True:
            now = gateway.gateway.load
            most = Load(0, max(most.queued_events, now.queued_events), max(most.queued_bytes, now.queued_bytes))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    async with raw(gateway, house, stalled) as stuck, device(gateway, well, house) as phone:
        bodies = await publish(house, ann, [stalled, well], COUNT)

        await phone.hears(*bodies)

        async def left() -> int:
            return gateway.gateway.load.sessions

        await eventually(left, until=lambda sessions: sessions == 1)
        stuck.transport.abort()
    watching.cancel()
    assert most.queued_events <= 2 * (LIMITS.queue_events + 5)
    assert most.queued_bytes <= 2 * (LIMITS.queue_bytes + 10 * len(BODY))


async def test_a_client_that_was_cut_comes_back_without_a_gap(house: House, gateway: Node) -> None:
    ann, bob = uuid4(), uuid4()
    heard: list[str] = []
    async with raw(gateway, house, bob) as stuck:
        bodies = await publish(house, ann, [bob], COUNT)

        async def left() -> int:
            return gateway.gateway.load.sessions

        await eventually(left, until=lambda sessions: sessions == 0)
        position = ""
        try:
            while True:
                _, event = json.loads(str(await stuck.recv()).removeprefix("42/chat,"))
                heard.append(event["data"]["body"])
                position = event["position"]
        except websockets.ConnectionClosed:
            assert len(heard) < COUNT
    async with device(gateway, bob, house, position=position) as phone:
        assert phone.session["resumed"] is True
        await phone.hears(*bodies[len(heard) :])
    assert heard == bodies[: len(heard)]


async def test_a_client_that_reads_slowly_is_not_cut_and_hears_all_in_order(house: House, gateway: Node) -> None:
    ann, bob = uuid4(), uuid4()
    async with raw(gateway, house, bob) as slow:
        publishing = asyncio.create_task(publish(house, ann, [bob], COUNT))
        heard = []
        for number in range(COUNT):
            if number % 100 == 0:
                await asyncio.sleep(0.05)  # this is what is tested: a reader slower than what comes
            _, event = json.loads(str(await slow.recv()).removeprefix("42/chat,"))
            heard.append(event["data"]["body"])
        assert heard == await publishing


async def test_a_polling_client_that_asks_no_more_is_cut(house: House, gateway: Node) -> None:
    ann, bob = uuid4(), uuid4()
    async with httpx.AsyncClient(base_url=gateway.url) as browser:
        path = "/socket.io/?EIO=4&transport=polling"
        opened = json.loads((await browser.get(path)).text[1:])
        path += f"&sid={opened['sid']}"
        await browser.post(path, content="40/chat," + json.dumps({"token": token(house, bob)}))
        assert "session.ready" in (await browser.get(path)).text
        await publish(house, ann, [bob], 400)

        async def left() -> int:
            return gateway.gateway.load.sessions

        await eventually(left, until=lambda sessions: sessions == 0)
        assert (await browser.get(path)).status_code == 400
