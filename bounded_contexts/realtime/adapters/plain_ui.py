"""The plain WebSockets of an older service of UI updates: each text frame is a payload, as it was published.

`/ws/public?channel=` for everybody; `/ws?channel=` with a token, where `/ws` without a channel is the chat's."""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs
from uuid import uuid4

from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from bounded_contexts.realtime.adapters.connection import Kind, Listener, Refusal
from bounded_contexts.realtime.adapters.engine import Engine
from bounded_contexts.realtime.adapters.engine_io import address_of
from bounded_contexts.realtime.adapters.frames import FrameConnection, refusal, refuse_with
from bounded_contexts.realtime.adapters.outbox import Queue
from bounded_contexts.realtime.adapters.plain import PlainSockets, as_it_is, token_of
from bounded_contexts.realtime.adapters.ui import UiUpdates
from bounded_contexts.realtime.adapters.wishes import Subscribing
from bounded_contexts.realtime.application.limits import Limits
from infra.problems import of_error, of_validation
from infra.server import have_it_pinged
from shared_kernel.errors import HeadwaterError

PUBLIC = "/ws/public"
DEFAULT = "default"  # the channel of who names none


class PlainUiSockets:
    """An ASGI application for `/ws` and `/ws/public`."""

    def __init__(self, listener: Listener, ui: UiUpdates, engine: Engine, limits: Limits, chat: PlainSockets) -> None:
        self._listener, self._ui = listener, ui
        self._engine, self._limits = engine, limits
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        channel = parse_qs(str(scope.get("query_string", b""), "latin-1")).get("channel", [""])[0]
        if not channel and scope["path"] != PUBLIC:
            await self._chat(scope, receive, send)
            return
        token = token_of(scope)
        if document := refusal(scope, self._engine, self._limits):
            await refuse_with(document, scope, send)
            return
        kind: Kind = "plain-public" if scope["path"] == PUBLIC else "plain-ui"
        outbox = Queue(self._limits.queue_events, self._limits.queue_bytes)
        connection = FrameConnection(uuid4().hex, outbox, self._engine.transport_of(send))
        try:
            session = await self._listener.admit(connection.sid, {"token": token}, kind, address_of(scope))
            self._listener.joined(connection)
            self._ui.subscribe(session, (Subscribing(channel=channel or DEFAULT),))
            await self._talk(connection, receive, send)
        except Refusal as refused:
            await refuse_with(refused.document, scope, send)
        except HeadwaterError as error:
            await refuse_with(of_error(error), scope, send)
        except ValidationError as error:
            await refuse_with(of_validation(error), scope, send)
        finally:
            self._listener.left(connection.sid)

    async def _talk(self, connection: FrameConnection, receive: Receive, send: Send) -> None:
        """Send until the client goes; what it says is of no interest."""
        have_it_pinged(send, self._limits.heartbeat_timeout_s)
        await receive()
        await send({"type": "websocket.accept"})
        writing = asyncio.create_task(connection.write(send, self._limits.heartbeat_timeout_s, as_it_is))
        try:
            while (await receive())["type"] == "websocket.receive":
                pass
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
