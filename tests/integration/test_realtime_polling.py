"""Polling clients that misbehave: each request is answered at once, and nothing of them stays behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from bounded_contexts.realtime.application.limits import Limits
from headwater.wiring import House
from tests.integration.nodes import Node, device, node, token
from tests.probes import eventually

LIMITS = Limits(heartbeat_s=1, heartbeat_timeout_s=1, drain_s=0.1)
PATH = "/socket.io/?EIO=4&transport=polling"
ANSWERED_S = 60.0
TOO_LONG = "4" * (LIMITS.payload_bytes + 1)


@pytest.fixture
async def gateway(house: House) -> AsyncIterator[Node]:
    async with node(house, limits=LIMITS) as running:
        yield running


@pytest.fixture
async def browser(gateway: Node) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=ANSWERED_S) as client:
        yield client


async def opened(browser: httpx.AsyncClient) -> str:
    """Return the address of a new session."""
    answer = await browser.get(PATH)
    return f"{PATH}&sid={json.loads(answer.text[1:])['sid']}"


def held(gateway: Node) -> int:
    """Return how much the node holds for clients: connections, sessions, and timers for them."""
    engine = gateway.gateway.asgi
    return len(engine.io.sockets) + gateway.gateway.load.sessions + len(engine.strangers)


@pytest.mark.parametrize("content", [TOO_LONG, "6", "0", "49\x1e6", "2probe"])
async def test_a_post_that_is_too_long_or_no_packet_is_answered_and_ends_the_session(
    gateway: Node, browser: httpx.AsyncClient, content: str
) -> None:
    path = await opened(browser)
    waiting = asyncio.create_task(browser.get(path))

    answer = await browser.post(path, content=content)

    assert answer.status_code == 400
    assert (await waiting).status_code in (200, 400)
    assert held(gateway) == 0
    assert (await browser.post(path, content="3")).status_code == 400
    assert (await browser.get(path)).status_code == 400


async def test_a_post_that_is_too_long_frees_the_place_of_a_user_who_was_in(
    house: House, gateway: Node, browser: httpx.AsyncClient
) -> None:
    path = await opened(browser)
    await browser.post(path, content="40/chat," + json.dumps({"token": token(house, uuid4())}))
    assert "session.ready" in (await browser.get(path)).text

    answer = await browser.post(path, content=TOO_LONG)

    assert answer.status_code == 400
    assert held(gateway) == 0


async def test_many_posts_that_are_too_long_leave_nothing_behind(
    house: House, gateway: Node, browser: httpx.AsyncClient
) -> None:
    async def attack() -> int:
        return (await browser.post(await opened(browser), content=TOO_LONG)).status_code

    assert await asyncio.gather(*(attack() for _ in range(50))) == [400] * 50
    assert held(gateway) == 0
    async with device(gateway, uuid4(), house):
        assert held(gateway) > 0


@pytest.mark.parametrize("joins", [True, False])
async def test_a_session_that_never_polls_is_gone_after_the_ping_timeout(
    house: House, gateway: Node, browser: httpx.AsyncClient, joins: bool
) -> None:
    path = await opened(browser)
    if joins:
        await browser.post(path, content="40/chat," + json.dumps({"token": token(house, uuid4())}))
        assert gateway.gateway.load.sessions == 1

    async def left() -> int:
        return held(gateway)

    await eventually(left, until=lambda count: count == 0)
    assert (await browser.post(path, content="3")).status_code == 400
