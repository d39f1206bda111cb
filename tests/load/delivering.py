"""From POST to another user's socket at a steady rate, through everything that `headwater up` runs."""

import asyncio
import json
from time import perf_counter
from uuid import uuid4

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket

from headwater.configured import shared_key_tokens
from headwater.environment import load
from tests.load.http_client import Connection, connect, percentile, request
from tests.load.posting import MESSAGES, body

SENDERS = 4  # the limit of requests is for each user
LINKS = 16
STRAGGLERS_S = 5.0
PING, PONG = "2", "3"
NAMESPACE = "/chat"


async def end_to_end(port: int, per_second: float, seconds: float) -> dict[str, float]:
    """Return the percentiles from handing the request to the kernel to reading the event."""
    tokens = shared_key_tokens(load())
    reader = uuid4()
    senders = [(str(user), tokens.issue(user)) for user in (uuid4() for _ in range(SENDERS))]
    began: dict[str, float] = {}
    took: dict[str, float] = {}
    links: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(LINKS):
        links.put_nowait(await connect(port))

    async def send(number: int) -> None:
        user, token = senders[number % SENDERS]
        sent = request("POST", MESSAGES, token, body([user, str(reader)], str(number)))
        began[str(number)] = perf_counter()  # before there is a free link: an answer that is late must not hide others
        link = await links.get()
        assert await link.ask(sent) == 202
        links.put_nowait(link)

    uri = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    async with connect_socket(uri, compression=None) as socket, asyncio.TaskGroup() as sending:
        await _join(socket, tokens.issue(reader))
        total = int(per_second * seconds)
        hearing = asyncio.create_task(_hear(socket, began, took, total))
        start = perf_counter()
        for number in range(total):
            await asyncio.sleep(start + number / per_second - perf_counter())
            sending.create_task(send(number))
        await asyncio.wait_for(hearing, STRAGGLERS_S)
    late = list(took.values())
    return {"p50_ms": percentile(late, 0.5) * 1000, "p99_ms": percentile(late, 0.99) * 1000, "max_ms": max(late) * 1000}


async def _join(socket: ClientConnection, token: str) -> None:
    await socket.recv()  # Engine.IO's own opening
    await socket.send(f"40{NAMESPACE}," + json.dumps({"token": token}))
    while not str(await socket.recv()).startswith(f'42{NAMESPACE},["session.ready"'):
        pass


async def _hear(socket: ClientConnection, began: dict[str, float], took: dict[str, float], total: int) -> None:
    async for packet in socket:
        now = perf_counter()
        if packet == PING:
            await socket.send(PONG)
        elif str(packet).startswith(f'42{NAMESPACE},["message.created"'):
            name = json.loads(str(packet).partition(",")[2])[1]["data"]["client_id"]
            took[name] = now - began[name]
            if len(took) == total:
                return
