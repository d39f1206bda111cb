"""One event to many sockets: the gateway beside python-socketio as it comes, under the same load client (rtload, in Go).

Both servers verify the same access tokens and send the same events over WebSockets; a publish is a POST to the process itself, so
that neither Kafka nor PostgreSQL is in the figures. `python -m tests.load.fanning_out` prints what `make bench` compares."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx
import socketio
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from bounded_contexts.realtime.adapters.gateway import ChatGateway
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.ports import SessionNote, Stretch
from bounded_contexts.realtime.application.signals import Signal
from headwater import wiring
from headwater.configured import shared_key_tokens
from headwater.wiring import SHAPE
from headwater.wiring_realtime import ports_of_realtime
from infra.opaque import OpaqueTokens
from infra.server import LimitedHttp, LimitedSockets
from schemas.messaging.events import MessageSent
from shared_kernel.events import Position, Recorded
from shared_kernel.module import Offsets

SOURCE = Path(__file__).parent / "rtload"
NAMESPACE = "/chat"
USERS = [uuid5(UUID(int=0), str(number)) for number in range(2)]
CONVERSATION, SENDER = UUID(int=1), UUID(int=2)
START: Offsets = {"messages": {0: 0}}
PUBLISH = "/publish"
POSITION = "x" * 120  # about as long as a sealed one

Publish = Callable[[str], Awaitable[None]]


class NoPast:
    """Port `Past` of a node without Kafka."""

    async def read(self, start: Offsets) -> AsyncGenerator[Stretch, None]:
        raise NotImplementedError
        yield


class NoLog:
    """Port `SessionLog` of a node without a database."""

    async def note(self, node_id: UUID, reached: Offsets, notes: Sequence[SessionNote]) -> None: ...

    async def prune(self) -> None: ...


class NoSignals:
    """Port `Signals` of the only node."""

    async def send(self, *_: Signal) -> None: ...

    async def hear(self, _: Callable[[Signal], None]) -> None:
        await asyncio.Event().wait()


async def ours(port: int) -> dict[str, float]:
    """Serve the gateway until the process is ended."""
    house = wiring.build(SHAPE)
    limits = Limits(connections_per_user=10_000)
    usual = ports_of_realtime(house, wiring.messaging_ports(house), {})
    ports = replace(usual, past=NoPast(), sessions=NoLog(), signals=NoSignals())
    gateway = ChatGateway(ports, house.access_tokens, OpaqueTokens("x" * 32), limits)
    gateway.reached(START, live=True)
    offsets, batch = count(), list[Recorded]()

    async def publish(body: str) -> None:
        batch.append(_recorded(body, next(offsets)))
        await asyncio.sleep(0)
        if batch:  # what came in one turn of the loop is one batch, as from Kafka
            due = batch.copy()
            batch.clear()
            await gateway.deliver(due)

    await _serve(_with_publish(gateway.asgi, publish), port)
    return {}


async def stock(port: int) -> dict[str, float]:
    """Serve python-socketio until the process is ended."""
    house = wiring.build(SHAPE)
    server = socketio.AsyncServer(async_mode="asgi", namespaces=[NAMESPACE])

    async def connect(sid: str, _environ: object, auth: Any) -> None:
        await house.access_tokens.verify(auth["token"])
        await server.enter_room(sid, "all", namespace=NAMESPACE)

    server.on("connect", connect, namespace=NAMESPACE)

    async def publish(body: str) -> None:
        await server.emit("message.created", _envelope(body), room="all", namespace=NAMESPACE)

    await _serve(_with_publish(socketio.ASGIApp(server), publish), port)
    return {}


async def loaded(port: int, *arguments: str) -> dict[str, float]:
    """Run the load client against a server and return its figures."""
    async with httpx.AsyncClient() as client:
        pid = (await client.get(f"http://127.0.0.1:{port}{PUBLISH}")).text
    issued = shared_key_tokens(SHAPE)
    with tempfile.NamedTemporaryFile("w") as tokens:
        tokens.write("\n".join(issued.issue(user) for user in USERS))
        tokens.flush()
        about = ("-port", str(port), "-pid", pid, "-tokens", tokens.name, "-namespace", NAMESPACE)
        async with _built() as program:
            process = await asyncio.create_subprocess_exec(
                program, *about, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            said, complained = await process.communicate()
    if process.returncode:
        raise RuntimeError(complained.decode()[-2000:])
    return dict(json.loads(said))


async def saturated(port: int, clients: int, window: int, seconds: float) -> dict[str, float]:
    """Return what it costs while `window` publishes are on their way all the time."""
    return await loaded(
        port, "-n", str(clients), "-mode", "sat", "-window", str(window), "-seconds", str(seconds),
        "-warm", str(seconds / 2), "-publishers", str(window),
    )  # fmt: skip


async def paced(port: int, clients: int, per_second: float, seconds: float) -> dict[str, float]:
    """Return what it costs at a steady rate."""
    return await loaded(
        port, "-n", str(clients), "-mode", "pace", "-rate", str(per_second), "-seconds", str(seconds)
    )  # fmt: skip


@asynccontextmanager
async def _built() -> AsyncIterator[str]:
    """Compile the load client; Go keeps what it has compiled before."""
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/rtload"
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("go"),
            "build",
            "-o",
            program,
            ".",
            cwd=SOURCE,
            env=os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"},
        )
        if await process.wait():
            raise RuntimeError("the load client cannot be compiled")
        yield program


def _with_publish(sockets: ASGIApp, publish: Publish) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/socket.io/"):
            await sockets(scope, receive, send)
            return
        said = b""
        if scope["method"] == "POST":
            await publish((await receive())["body"].decode())
        else:
            said = str(os.getpid()).encode()
        headers = [(b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": 200 if said else 202, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    return application


async def _serve(application: ASGIApp, port: int) -> None:
    config = uvicorn.Config(
        application,
        port=port,
        loop="none",
        lifespan="off",
        http=LimitedHttp,
        ws=LimitedSockets,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        log_config=None,
        access_log=False,
        backlog=4096,
    )
    await uvicorn.Server(config).serve()


def _recorded(body: str, offset: int) -> Recorded:
    now = datetime.now(UTC)
    event = MessageSent(
        message_id=uuid4(), conversation_id=CONVERSATION, sender_id=SENDER, recipient_ids=tuple(USERS),
        client_id=str(offset), body=body, sent_at=now,
    )  # fmt: skip
    at = Position("messages", 0, offset)
    return Recorded(
        event, at, str(event.message_id), "/headwater/messaging", str(CONVERSATION), now.isoformat(), "c", None
    )


def _envelope(body: str) -> dict[str, Any]:
    """Return an event of the same form and size."""
    now, message = datetime.now(UTC).isoformat(), str(uuid4())
    participants = [str(user) for user in USERS]
    data = {
        "id": message, "conversation_id": str(CONVERSATION), "sender_id": str(SENDER), "client_id": "1", "body": body,
        "participants": participants, "created_at": now,
    }  # fmt: skip
    return {
        "id": message, "type": "message.created", "source": "/headwater/messaging", "subject": str(CONVERSATION),
        "time": now, "data": data, "traceparent": None, "position": POSITION,
    }  # fmt: skip
