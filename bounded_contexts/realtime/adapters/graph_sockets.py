"""GraphQL subscriptions at `/graphql`, by the protocol `graphql-transport-ws` (https://github.com/enisdenjo/graphql-ws).

A socket is a session like any other: one token, one queue, one position. It begins to hear with its first subscription. What is
due to it waits as it is; each subscription's answer is made when it is written.
"""

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from bounded_contexts.realtime.adapters.connection import Listener, Refusal
from bounded_contexts.realtime.adapters.engine import Engine
from bounded_contexts.realtime.adapters.frames import POLICY, FrameConnection, refusal, refuse_with
from bounded_contexts.realtime.adapters.graph import NAMES, Heard
from bounded_contexts.realtime.adapters.outbox import Queue
from bounded_contexts.realtime.adapters.session import Bucket, Session
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.recent import Entry
from infra.problems import problem
from infra.server import have_it_pinged

PROTOCOL = "graphql-transport-ws"
INIT_S = 10.0  # a client that has not said who it is by then is closed
MOST_SUBSCRIPTIONS = 10  # of one socket
SUBSCRIBES_PER_S = 1.0  # in the long run: each is parsed and validated
ID_LIMIT = 128  # characters
# Close codes of the protocol.
BAD, UNAUTHORIZED, FORBIDDEN, INIT_TIMEOUT, NOT_UNIQUE, TOO_MANY_INITS = 4400, 4401, 4403, 4408, 4409, 4429

log = structlog.get_logger()


class Subscription(Protocol):
    """One operation of a client."""

    @property
    def key(self) -> Hashable:
        """Return what subscriptions that make the same of every event have in common, whoever asks."""
        ...

    async def heard(self, event: object) -> Mapping[str, Any] | None:
        """Return the answer that the event makes, None where it makes none."""
        ...


Subscribe = Callable[
    [Any], Subscription | list[dict[str, Any]]
]  # by the payload; or what is wrong with it, as GraphQL errors


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery in a queue. Its packet, by which it is weighed, is shared by all queues, and so are the answers it keeps."""

    heard: Heard
    packet: Any

    def __len__(self) -> int:
        return len(self.packet)


class GraphConnection(FrameConnection):
    dismissed = FORBIDDEN

    def __init__(self, sid: str, outbox: Queue, link: asyncio.Transport | None) -> None:
        super().__init__(sid, outbox, link)
        self.subscriptions: dict[str, Subscription] = {}
        self.is_known = self.has_begun = False

    def fail(self, id_: str, errors: Sequence[Mapping[str, Any]]) -> None:
        """End a subscription, or refuse it."""
        self.subscriptions.pop(id_, None)
        self.send(_frame("error", id_, errors))


class GraphSession(Session):
    """Hears what its subscriptions are about."""

    begins_at_once = False
    hears_all = False

    def say(self, name: str, data: Mapping[str, Any]) -> None:
        if not isinstance(self.connection, GraphConnection) or self.ended:
            return
        if name == "session.revoked":
            self.connection.reason = data["reason"]
        if name == "resync.required":
            document = problem(
                410, "resync_required", "what was missed is too much or gone: load it and subscribe again"
            )
            for id_ in list(self.connection.subscriptions):
                self.connection.fail(id_, [_error(document)])

    def whisper(self, name: str, data: Mapping[str, Any]) -> bool:
        return True  # nothing that these clients know of

    def offer(self, entry: Entry, packet: Any) -> bool:
        if entry.delivery.name not in NAMES:
            return True
        return super().offer(entry, Due(Heard(entry.delivery, packet.position), packet))


class GraphSockets:
    """An ASGI application for the WebSockets of `/graphql`."""

    def __init__(self, listener: Listener, engine: Engine, limits: Limits, subscribe: Subscribe) -> None:
        self._listener = listener
        self._engine = engine
        self._limits = limits
        self._subscribe = subscribe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        document = refusal(scope, self._engine, self._limits)
        if document is None and PROTOCOL not in scope["subprotocols"]:
            document = problem(400, "bad_request", f"the subprotocol is {PROTOCOL}")
        if document:
            await refuse_with(document, scope, send)
            return
        outbox = Queue(self._limits.queue_events, self._limits.queue_bytes)
        connection = GraphConnection(uuid4().hex, outbox, self._engine.transport_of(send))
        have_it_pinged(send, self._limits.heartbeat_timeout_s)
        try:
            await self._talk(connection, receive, send)
        finally:
            self._listener.left(connection.sid)

    async def _talk(self, connection: GraphConnection, receive: Receive, send: Send) -> None:
        frames = Bucket(self._limits.commands_per_s, self._limits.commands_burst)
        subscribes = Bucket(SUBSCRIBES_PER_S, MOST_SUBSCRIPTIONS)
        await receive()
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})

        async def rendered(item: Any) -> Sequence[str]:
            return await _answers(item, connection) if isinstance(item, Due) else (item,)

        writing = asyncio.create_task(connection.write(send, self._limits.heartbeat_timeout_s, rendered))
        try:
            async with asyncio.timeout(INIT_S) as patience:
                while (message := await receive())["type"] == "websocket.receive":
                    if connection.code:
                        continue
                    if not frames.take():
                        connection.close(POLICY, "rate_limited")
                        continue
                    await self._take(_decoded(message.get("text")), connection, subscribes)
                    if connection.is_known:
                        patience.reschedule(None)
        except TimeoutError:
            connection.close(INIT_TIMEOUT, "Connection initialisation timeout")
            await asyncio.wait([writing])
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing

    async def _take(self, frame: Mapping[str, Any], connection: GraphConnection, subscribes: Bucket) -> None:
        match frame:
            case {"type": "connection_init"}:
                await self._begin(frame.get("payload"), connection)
            case {"type": "ping"}:
                connection.send(_frame("pong"))
            case {"type": "pong"}:
                pass
            case {"type": "subscribe" | "complete"} if not connection.is_known:
                connection.close(UNAUTHORIZED, "Unauthorized")
            case {"type": "subscribe", "id": str(id_), "payload": payload} if 0 < len(id_) <= ID_LIMIT:
                self._add(id_, payload, connection, subscribes)
            case {"type": "complete", "id": str(id_)}:
                connection.subscriptions.pop(id_, None)
            case _:
                connection.close(BAD, "Invalid message")

    async def _begin(self, payload: Any, connection: GraphConnection) -> None:
        if connection.is_known:
            connection.close(TOO_MANY_INITS, "Too many initialisation requests")
            return
        try:
            await self._listener.admit(connection.sid, payload, "graph")
        except Refusal as refused:
            connection.close(FORBIDDEN, refused.document["code"])
            return
        connection.is_known = True
        connection.send(_frame("connection_ack"))
        self._listener.joined(connection)

    def _add(self, id_: str, payload: Any, connection: GraphConnection, subscribes: Bucket) -> None:
        if id_ in connection.subscriptions:
            connection.close(NOT_UNIQUE, f"Subscriber for {id_[:40]} already exists")
        elif len(connection.subscriptions) >= MOST_SUBSCRIPTIONS or not subscribes.take():
            document = problem(
                429, "too_many_subscriptions", f"{MOST_SUBSCRIPTIONS} of a socket, and not too often others"
            )
            connection.fail(id_, [_error(document)])
        elif isinstance(subscription := self._subscribe(payload), list):
            connection.fail(id_, subscription)
        else:
            connection.subscriptions[id_] = subscription
            if not connection.has_begun:
                connection.has_begun = True
                self._listener.began(connection.sid)


async def _answers(due: Due, connection: GraphConnection) -> Sequence[str]:
    frames, answers = [], due.packet.answers
    for id_, subscription in list(connection.subscriptions.items()):
        if subscription.key not in answers:
            answers[subscription.key] = await subscription.heard(due.heard)
            await asyncio.sleep(0)  # others are served between the many that one socket may have
        if answer := answers[subscription.key]:
            frames.append(_frame("next", id_, answer))
    return frames


def _decoded(text: str | None) -> Mapping[str, Any]:
    """Return the frame, an empty one for what is none."""
    try:
        frame = msgspec.json.decode(text or "")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}


def _frame(type_: str, id_: str | None = None, payload: Any = None) -> str:
    frame = {"type": type_} | ({"id": id_} if id_ else {}) | ({"payload": payload} if payload else {})
    return msgspec.json.encode(frame).decode()


def _error(document: Mapping[str, Any]) -> dict[str, Any]:
    return {"message": document["detail"], "extensions": {"code": document["code"], "status": document["status"]}}
