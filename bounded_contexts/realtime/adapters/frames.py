"""WebSockets whose messages are text frames: what `/ws` and `/graphql` share. Queue and limits are those of the Socket.IO
gateway. Frames that are too large do not get here: the server closes the connection (`ws_max_size`)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
from starlette.types import Scope, Send

from bounded_contexts.realtime.adapters import origins
from bounded_contexts.realtime.adapters.connection import GRACE_S
from bounded_contexts.realtime.adapters.engine import Engine
from bounded_contexts.realtime.adapters.engine_io import refuse
from bounded_contexts.realtime.adapters.outbox import Queue
from bounded_contexts.realtime.application.limits import Limits
from infra.problems import CONTENT_TYPE, problem
from infra.server import PING_S

AWAY, NO_TEXT, POLICY = 1001, 1003, 1008  # close codes, RFC 6455

END = ""  # in a queue: close when it is its turn
Rendered = Callable[[Any], Awaitable[Sequence[str]]]  # the frames that a queued item becomes

log = structlog.get_logger()


class FrameConnection:
    """A `Connection` over one WebSocket."""

    dismissed = POLICY  # the close code of an end by the server's wish

    def __init__(self, sid: str, outbox: Queue, link: asyncio.Transport | None) -> None:
        self.sid = sid
        self.outbox = outbox
        self.code = 0  # with which it is being closed
        self.reason = ""
        self._link = link

    def send(self, packet: Any) -> None:
        self.outbox.put_nowait(packet)

    def dismiss(self) -> None:
        self.close(self.dismissed, self.reason)

    def hang_up(self) -> None:
        self.close(AWAY)

    def close(self, code: int, reason: str = "") -> None:
        """Close after what is queued, at the latest `GRACE_S` later."""
        if not self.code:
            self.code, self.reason = code, reason
            self.outbox.put_nowait(END)
            asyncio.get_running_loop().call_later(GRACE_S, self.cut)

    def cut(self) -> None:
        if self._link:
            self._link.abort()

    async def write(self, send: Send, patience_s: float, rendered: Rendered) -> None:
        """Send what is queued. A client that takes nothing while it should have answered a ping is cut."""
        try:
            while (item := await self.outbox.get()) != END:
                for frame in await rendered(item):
                    async with asyncio.timeout(PING_S + patience_s):
                        await send({"type": "websocket.send", "text": frame})
            await send({"type": "websocket.close", "code": self.code, "reason": self.reason})
        except TimeoutError:
            log.info("realtime.cut", reason="stalled")
            self.cut()
        except Exception:  # the server's own, and not the same for each: the connection ended while it was written to
            self.cut()


def refusal(scope: Scope, engine: Engine, limits: Limits) -> dict[str, Any] | None:
    """Return why nobody may connect like this, as a problem document."""
    origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)
    if scope["type"] != "websocket":
        return problem(400, "bad_request", "connect with a WebSocket")
    if origin is not None and not origins.is_allowed(origin, scope, limits.allowed_origins):
        return problem(403, "forbidden", "this origin is not allowed")
    if not engine.is_open:
        return problem(503, "dependency_unavailable", "not ready; try again")
    return None


async def refuse_with(document: dict[str, Any], scope: Scope, send: Send) -> None:
    """Answer the handshake with the problem."""
    await refuse(scope, send, document["status"], msgspec.json.encode(document), CONTENT_TYPE)
