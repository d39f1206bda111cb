"""The unmodified socket.io-client for Node, through `headwater up`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.e2e.conftest import Stack
from tests.e2e.test_message_exchange import GATEWAYS, send
from tests.npm import installed
from tests.probes import eventually

Api = Callable[[str | UUID], httpx.AsyncClient]
PROJECT = Path(__file__).parent / "node"


class OfficialClient:
    """The client's process, and what it has told so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []

    async def listen(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            self.told.append(json.loads(line))

    def do(self, what: str, **more: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": what, "id": "one", **more}).encode() + b"\n")

    async def until(self, what: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until it has told so at least `count` times."""

        async def found() -> list[dict[str, Any]]:
            return [each for each in self.told if each["what"] == what]

        return await eventually(found, until=lambda each: len(each) >= count)

    def bodies(self) -> list[str]:
        events = [
            each["args"][0] for each in self.told if each["what"] == "event" and each["name"] == "message.created"
        ]
        return [event["data"]["body"] for event in events]


@asynccontextmanager
async def official_client() -> AsyncIterator[OfficialClient]:
    pipe = asyncio.subprocess.PIPE
    project = await asyncio.to_thread(installed, PROJECT)
    process = await asyncio.create_subprocess_exec("node", "chat.mjs", cwd=project, stdin=pipe, stdout=pipe)
    client = OfficialClient(process)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        client.do("exit")
        assert await process.wait() == 0
        await listening


@pytest.mark.parametrize("transports", [None, ["websocket"], ["polling"]])
async def test_it_connects_sends_hears_and_upgrades(stack: Stack, api: Api, transports: list[str] | None) -> None:
    ann, bob = uuid4(), uuid4()
    url = f"http://127.0.0.1:{stack.process(GATEWAYS[0])['port']}"
    async with official_client() as client:
        client.do("connect", url=url, token=stack.token(bob), transports=transports)
        await client.until("connected")
        wanted = transports or ["polling", "websocket"]
        told = await client.until("transport", len(wanted))
        assert [each["transport"] for each in told] == wanted

        payload = {"client_id": "1", "participants": [str(ann), str(bob)], "body": "from Node"}
        client.do("emit", event="message.send", data=payload, ref=1)
        (ack,) = await client.until("ack")
        await send(api(ann), [ann, bob], "from REST")

        async def heard() -> list[str]:
            return client.bodies()

        assert ack["answer"]["ok"] is True
        assert await eventually(heard) == ["from REST"]


async def test_a_refusal_carries_the_problem(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.process(GATEWAYS[0])['port']}"
    async with official_client() as client:
        client.do("connect", url=url, token="no token")
        (refused,) = await client.until("refused")

    assert refused["data"]["code"] == "unauthenticated"
    assert refused["data"]["status"] == 401


async def test_it_comes_back_by_itself_after_its_gateway_died_and_misses_nothing(stack: Stack, api: Api) -> None:
    ann, bob = uuid4(), uuid4()
    url = f"http://127.0.0.1:{stack.process(GATEWAYS[1])['port']}"
    expected = [str(number) for number in range(60)]
    async with official_client() as client:
        client.do("connect", url=url, token=stack.token(bob), transports=["websocket"], reconnection=True)
        await client.until("connected")
        for body in expected[:20]:
            await send(api(ann), [ann, bob], body)
        stack.kill(GATEWAYS[1])
        for body in expected[20:40]:
            await send(api(ann), [ann, bob], body)
        await client.until("connected", 2)
        for body in expected[40:]:
            await send(api(ann), [ann, bob], body)

        async def heard() -> list[str]:
            return client.bodies()

        assert await eventually(heard, until=lambda bodies: len(bodies) >= len(expected)) == expected
