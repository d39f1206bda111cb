"""Clients of UI updates that come back whatever happens, and note what they hear. They speak Socket.IO by hand: a thousand of
them are to fit into one process."""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

BACK_S = (0.1, 1.0)  # before it connects again
FORGETS_S = (3.0, 4.0)  # the same of one that forgets, within which its channel has updates
OPEN_S = 20.0
ROOM = 4  # frames that are read ahead: one that stalls is to stall its connection, too

Token = Callable[[UUID], str]


class Heard(NamedTuple):
    """One update as it came."""

    number: int
    id: str


class Screen:
    """One client of one channel. `heard` is everything, in the order it came, over all its connections."""

    def __init__(self, channel: str, nodes: Sequence[str], token: Token, *, refreshes: bool, forgets: bool) -> None:
        """`refreshes`: it takes another token before its own ends; `forgets`: the planted bug of a client that goes on from
        now on."""
        self.channel = channel
        self.heard: list[Heard] = []
        self.told: list[tuple[str, Any]] = []  # about the session
        self.connections = 0
        self.is_subscribed = asyncio.Event()
        self.reads = asyncio.Event()  # cleared: it stalls
        self.reads.set()
        self._user = uuid4()
        self._nodes, self._token = nodes, token
        self._refreshes, self._forgets = refreshes, forgets
        self._position: str | None = None
        self._socket: ClientConnection | None = None

    async def run(self) -> None:
        """Be there, for ever."""
        while True:
            try:
                await self._session(random.choice(self._nodes).replace("http", "ws", 1))
            except (OSError, WebSocketException, TimeoutError):
                pass  # a node was killed, or has sent it away
            finally:
                self._socket = None
            await asyncio.sleep(random.uniform(*(FORGETS_S if self._forgets else BACK_S)))

    def drop(self) -> None:
        """Lose the connection, as networks do."""
        if self._socket:
            self._socket.transport.abort()

    async def refresh(self, token: Token) -> None:
        """Go on with another token, if there is a connection to say so."""
        if self._socket:
            with contextlib.suppress(OSError, WebSocketException):
                await self._ask(self._socket, "auth.refresh", {"token": token(self._user)})

    async def _session(self, node: str) -> None:
        path = f"{node}/socket.io/?EIO=4&transport=websocket"
        async with connect(
            path, compression=None, ping_interval=None, open_timeout=OPEN_S, max_queue=ROOM, close_timeout=0
        ) as socket:
            self._socket = socket
            self.connections += 1
            async with asyncio.timeout(OPEN_S):
                await socket.recv()
                position = None if self._forgets else self._position
                auth = {"token": self._token(self._user)} | ({"position": position} if position else {})
                await socket.send("40/ui," + json.dumps(auth))
            while True:
                await self.reads.wait()
                await self._take(socket, str(await socket.recv()))

    async def _take(self, socket: ClientConnection, packet: str) -> None:
        match packet[:2]:
            case "2":
                await socket.send("3")
            case "40":
                await self._ask(socket, "channel.subscribe", {"channel": self.channel})
            case "42":
                await self._hear(socket, *json.loads(packet[packet.index(",") + 1 :]))
            case "43":
                (answer,) = json.loads(packet[packet.index("[") :])
                if not answer["ok"]:
                    self.told.append(("refused", answer["error"]))
            case "41" | "44":
                raise OSError(packet)

    async def _hear(self, socket: ClientConnection, name: str, data: dict[str, Any]) -> None:
        if name == "update":
            self.heard.append(Heard(data["data"]["payload"]["n"], data["id"]))
        else:
            self.told.append((name, data))
        self._position = data.get("position", self._position)
        if name == "channel.subscribed":
            self.is_subscribed.set()
        elif name == "auth.expiring" and self._refreshes:
            await self._ask(socket, "auth.refresh", {"token": self._token(self._user)})

    async def _ask(self, socket: ClientConnection, name: str, data: dict[str, Any]) -> None:
        await socket.send("42/ui,0" + json.dumps([name, data]))
