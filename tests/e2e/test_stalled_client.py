"""A client that stops reading is cut, its connection ends, and nobody waits for it.

Cutting needs the connection itself, which any ASGI application between the server and the gateway may hide: only the
whole process shows that nothing does."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx
import websockets

from tests.e2e.conftest import Stack
from tests.e2e.test_message_exchange import GATEWAYS, device, send
from tests.probes import eventually

GATEWAY, OTHER = GATEWAYS  # nobody stalls at the other
BODY = "\N{WAVING HAND SIGN}" * 3990  # 16 kB: the kernel and the server take in some hundreds
EACH, ROUNDS = 250, 8  # messages
AT_ONCE = 10
PATIENCE_S = 5.0  # how long a client may take nothing: whoever waits for it is late by this much
CUT_WITHIN_S = 30.0
ORPHAN = "0"  # the inode of a connection that no process has open


@asynccontextmanager
async def stalled(stack: Stack, user: UUID) -> AsyncIterator[websockets.ClientConnection]:
    """Connect a client that reads nothing once it is in."""
    address = ("127.0.0.1", stack.process(GATEWAY)["port"])
    url = f"ws://127.0.0.1:{address[1]}/socket.io/?EIO=4&transport=websocket"

    async def connected() -> websockets.ClientConnection | None:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.setblocking(False)
        await asyncio.get_running_loop().sock_connect(small, address)
        with contextlib.suppress(websockets.exceptions.InvalidStatus):  # 503: the gateway reads its topics still
            return await websockets.connect(url, sock=small, compression=None, ping_interval=None, close_timeout=0.1)
        return None

    connection = await eventually(connected)
    assert connection
    await connection.recv()
    await connection.send("40/chat," + json.dumps({"token": stack.token(user)}))
    await connection.recv()
    assert '"session.ready"' in str(await connection.recv())
    connection.transport.pause_reading()
    try:
        yield connection
    finally:
        connection.transport.abort()


async def test_a_client_that_stops_reading_is_cut_while_the_others_hear_everything_at_once(
    stack: Stack, api: Callable[[str | UUID], httpx.AsyncClient]
) -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    people = [ann, bob, eve]
    sent_at: dict[str, float] = {}
    heard_at: dict[str, float] = {}
    heard_elsewhere: dict[str, float] = {}

    async with (
        stalled(stack, eve) as stuck,
        device(stack, bob, GATEWAY) as phone,
        device(stack, bob, OTHER) as tablet,
    ):
        ours, theirs = stuck.transport.get_extra_info("sockname"), stuck.transport.get_extra_info("peername")
        assert holder(theirs, ours) not in (None, ORPHAN)
        for client, heard in ((phone.client, heard_at), (tablet.client, heard_elsewhere)):
            client.on("message.created", partial(note, heard), "/chat")
        turns, anns = asyncio.Semaphore(AT_ONCE), api(ann)

        async def say(number: int) -> None:
            async with turns:
                started = monotonic()
                answer = await send(anns, people, f"{number} {BODY}")
                sent_at[answer["message_id"]] = started

        async def cut() -> list[dict[str, Any]]:
            lines = await asyncio.to_thread(told, stack, "realtime.cut")
            return [line for line in lines if line["user"] == str(eve)]

        for _ in range(ROUNDS):  # how much the kernel and the server take in is theirs to say
            await asyncio.gather(*(say(number) for number in range(EACH)))
            if await cut():
                break

        async def heard_by_both() -> int:
            return min(len(heard_at), len(heard_elsewhere))

        await eventually(heard_by_both, until=lambda count: count >= len(sent_at))
        (line,) = await eventually(cut, within=CUT_WITHIN_S)
        assert line["reason"] in ("stalled", "too_slow")

        async def open_by() -> str | None:
            return holder(theirs, ours)

        await eventually(open_by, until=lambda inode: inode in (None, ORPHAN))
    assert heard_at.keys() == heard_elsewhere.keys() == sent_at.keys()
    assert slowest(heard_at, sent_at) < slowest(heard_elsewhere, sent_at) + PATIENCE_S
    assert told(stack, "realtime.no_transport") == []


def note(heard: dict[str, float], event: dict[str, Any]) -> None:
    heard.setdefault(event["data"]["id"], monotonic())


def slowest(heard_at: dict[str, float], sent_at: dict[str, float]) -> float:
    """Return how long the message on its way longest took, in seconds."""
    return max(heard_at[each] - sent_at[each] for each in sent_at)


def told(stack: Stack, event: str) -> list[dict[str, Any]]:
    """Return what the gateway's log says about the event."""
    lines = stack.headwater("logs", GATEWAY).splitlines()
    documents = [json.loads(line[line.index("{") :]) for line in lines if event in line and "{" in line]
    return [document for document in documents if document.get("event") == event]


def holder(local: tuple[str, int], remote: tuple[str, int]) -> str | None:
    """Return the inode under which a process has this end of a TCP connection open, None when it is gone altogether."""
    wanted = (_hexadecimal(local), _hexadecimal(remote))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1], fields[2]) == wanted:
            return fields[9]
    return None


def _hexadecimal(address: tuple[str, int]) -> str:
    return f"{int.from_bytes(socket.inet_aton(address[0]), 'little'):08X}:{address[1]:04X}"
