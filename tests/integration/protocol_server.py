"""What the reference's protocol suites expect at the other end: `/socket.io/` with an echo in `/` and `/custom`, and the bare
`/engine.io/` that sends back every message. `python -m tests.integration.protocol_server 3000` serves them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from bounded_contexts.realtime.adapters.connection import Connection, Kind
from bounded_contexts.realtime.adapters.engine import Engine, EngineConnection
from bounded_contexts.realtime.adapters.engine_io import EngineIO
from bounded_contexts.realtime.adapters.engine_socket import EngineSocket
from bounded_contexts.realtime.adapters.packets import ACK, EVENT, MESSAGE, Packet
from bounded_contexts.realtime.application.limits import Limits
from infra.server import LimitedHttp, LimitedSockets
from tests.integration.nodes import served

LIMITS = Limits(heartbeat_s=0.3, heartbeat_timeout_s=0.2, payload_bytes=1_000_000)
CONNECT_S = 1.0


class Echo:
    """Sends every message back as it came."""

    def opened(self, socket: EngineSocket) -> None: ...

    def message(self, socket: EngineSocket, data: str | bytes) -> None:
        socket.send(Packet(MESSAGE + data) if isinstance(data, str) else Packet.of_bytes(data))

    def closed(self, socket: EngineSocket) -> None: ...


class Namespaces:
    """Says what a client connected with; answers `message` by `message-back`, and `message-with-ack` by its arguments."""

    def __init__(self) -> None:
        self._auth: dict[str, Any] = {}
        self._connections: dict[str, Connection] = {}

    async def admit(self, sid: str, auth: Any, _kind: Kind = "chat", _address: str = "") -> SimpleNamespace:
        self._auth[sid] = auth or {}
        return SimpleNamespace(pid=None)

    def joined(self, connection: Connection) -> None:
        self._connections[connection.sid] = connection
        self._say(connection, EVENT, None, ["auth", self._auth[connection.sid]])

    def began(self, sid: str) -> None: ...

    def asked(self, sid: str, number: int | None, args: list[Any]) -> None:
        name, *rest = args
        if number is None:
            self._say(self._connections[sid], EVENT, None, [f"{name}-back", *rest])
        else:
            self._say(self._connections[sid], ACK, number, rest)

    def left(self, sid: str) -> None:
        self._connections.pop(sid, None)

    def _say(self, connection: Connection, type_: str, number: int | None, args: list[Any]) -> None:
        assert isinstance(connection, EngineConnection)
        namespace = "" if connection.namespace == "/" else f"{connection.namespace},"
        attachments = [each for each in args if isinstance(each, bytes)]
        places = [
            {"_placeholder": True, "num": attachments.index(each)} if isinstance(each, bytes) else each for each in args
        ]
        kind = f"{int(type_) + 3}{len(attachments)}-" if attachments else type_
        text = f"{kind}{namespace}{'' if number is None else number}{msgspec.json.encode(places).decode()}"
        connection.send(Packet(MESSAGE + text))
        for each in attachments:
            connection.send(Packet.of_bytes(each))


@asynccontextmanager
async def protocol_server(port: int = 0) -> AsyncIterator[str]:
    """Serve both while the block lasts; yield the address."""
    sockets = Engine(Namespaces(), LIMITS, {"/": "chat", "/custom": "chat"}, CONNECT_S)
    sockets.open()
    bare = EngineIO(Echo(), LIMITS)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await (bare if scope["path"] == "/engine.io/" else sockets)(scope, receive, send)

    async def drain() -> None:
        bare.end()
        sockets.end()

    config = uvicorn.Config(
        application,
        port=port,
        loop="none",
        lifespan="off",
        http=LimitedHttp,
        ws=LimitedSockets,
        ws_per_message_deflate=False,
        log_config=None,
    )
    async with served(config, drain) as url:
        yield url


async def _serve(port: int) -> None:
    async with protocol_server(port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
