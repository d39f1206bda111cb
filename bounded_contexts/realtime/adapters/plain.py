"""The plain WebSocket of an older chat service at `/ws`: a message is one JSON text frame, in both directions.

Queue, limits, tokens and commands are those of the Socket.IO gateway; only handshake and frames are its own.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import msgspec
from starlette.types import Receive, Scope, Send

from bounded_contexts.realtime.adapters.connection import Listener, Refusal
from bounded_contexts.realtime.adapters.engine import Engine
from bounded_contexts.realtime.adapters.frames import NO_TEXT, FrameConnection, refusal, refuse_with
from bounded_contexts.realtime.adapters.outbox import Queue
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.own_messages import SEND
from bounded_contexts.realtime.application.reactions import Delivery
from bounded_contexts.realtime.application.recent import Entry
from infra.server import have_it_pinged

TEXTS = ("content", "text", "body")  # by which of these names older clients call it


class PlainSession(Session):
    """Hears new messages of others and nothing else of what happens."""

    hears_all = False

    def say(self, name: str, data: Mapping[str, Any]) -> None:
        # Older clients expect nothing before the first message, and know of no other token.
        if name not in ("session.ready", "auth.expiring"):
            self._send({"type": name, **data})

    def answer(self, number: int, outcome: Mapping[str, Any]) -> None:
        """Answer in the old words: `number` says which of `TEXTS` the frame called its text by."""
        if outcome["ok"]:
            self._send({"type": "ack", "data": outcome["data"]})
        else:
            self._send({"type": "error", "error": _renamed(outcome["error"], TEXTS[number])})

    def whisper(self, name: str, data: Mapping[str, Any]) -> bool:
        return True  # nothing that these clients know of

    def offer(self, entry: Entry, packet: Any) -> bool:
        origin = entry.delivery.origin
        if origin is None or origin.sender_id == self.id:
            return True
        return super().offer(entry, _message(entry.delivery))

    def _send(self, frame: Mapping[str, Any]) -> None:
        if self.connection and not self.ended:
            self.connection.send(_json(frame))


class PlainSockets:
    """An ASGI application for `/ws`."""

    def __init__(self, listener: Listener, engine: Engine, limits: Limits) -> None:
        self._listener = listener
        self._engine = engine
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = token_of(scope)
        sid = uuid4().hex
        if document := refusal(scope, self._engine, self._limits):
            await refuse_with(document, scope, send)
            return
        try:
            await self._listener.admit(sid, {"token": token} if token else None, "plain")
        except Refusal as refused:
            await refuse_with(refused.document, scope, send)
            return
        try:
            await self._talk(sid, receive, send)
        finally:
            self._listener.left(sid)

    async def _talk(self, sid: str, receive: Receive, send: Send) -> None:
        outbox = Queue(self._limits.queue_events, self._limits.queue_bytes)
        connection = FrameConnection(sid, outbox, self._engine.transport_of(send))
        have_it_pinged(send, self._limits.heartbeat_timeout_s)
        await receive()
        await send({"type": "websocket.accept"})
        self._listener.joined(connection)
        writing = asyncio.create_task(connection.write(send, self._limits.heartbeat_timeout_s, as_it_is))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                self._take(connection, message.get("text"))
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing

    def _take(self, connection: FrameConnection, text: str | None) -> None:
        if connection.code:
            return
        if text is None:
            connection.close(NO_TEXT)
        else:
            name, payload = _payload(text)
            self._listener.asked(connection.sid, TEXTS.index(name), [SEND, payload])


async def as_it_is(frame: str) -> Sequence[str]:
    """Return a queued frame as what is sent."""
    return (frame,)


def token_of(scope: Scope) -> str | None:
    """Return the token from header or query, and take it out of the latter: servers write that into their logs."""
    query = parse_qs(str(scope.get("query_string", b""), "latin-1"))
    scope["query_string"] = b""
    for name, value in scope["headers"]:
        scheme, _, token = str(value, "latin-1").partition(" ")
        if name == b"authorization" and scheme.lower() == "bearer":
            return token.strip()
    return next(iter(query.get("token", ())), None)


def _payload(text: str) -> tuple[str, Any]:
    """Return the name of a frame's text and what `message.send` takes; nonsense stays so, which the command refuses."""
    try:
        frame = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return TEXTS[0], None
    if not isinstance(frame, dict):
        return TEXTS[0], frame
    named = [name for name in TEXTS if name in frame]
    rest = {name: value for name, value in frame.items() if name not in named[:1]}
    payload = {"client_id": str(uuid4()), **rest} | ({"body": frame[named[0]]} if named else {})
    return (named or TEXTS)[0], payload


def _renamed(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the problem with the text's field called as in the frame."""
    fields = [
        each | {"pointer": f"/{name}"} if each["pointer"] == "/body" else each for each in document.get("errors", ())
    ]
    return {**document, "errors": fields} if fields else document


def _message(delivery: Delivery) -> str:
    data = delivery.data
    return _json(
        {
            "type": "message",
            "id": data["id"],
            "conversation_id": data["conversation_id"],
            "participants": data["participants"],
            "sender": data["sender_id"],
            "content": data["body"],
            "created_at": data["created_at"],
        }
    )


def _json(frame: Mapping[str, Any]) -> str:
    return msgspec.json.encode(frame).decode()
