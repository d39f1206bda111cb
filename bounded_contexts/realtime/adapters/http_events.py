"""UI updates over plain HTTP, for who can open no WebSocket: server-sent events, or one page at a time (docs/realtime.md)."""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from bounded_contexts.realtime.adapters.catch_up import PAST_S
from bounded_contexts.realtime.adapters.connection import Kind, Refusal
from bounded_contexts.realtime.adapters.engine_io import address_of
from bounded_contexts.realtime.adapters.frames import END, FrameConnection
from bounded_contexts.realtime.adapters.gateway import ChatGateway
from bounded_contexts.realtime.adapters.outbox import Queue
from bounded_contexts.realtime.adapters.ui_frames import Said
from bounded_contexts.realtime.adapters.wishes import Subscribing
from bounded_contexts.realtime.application.channels import NAME as CHANNEL
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.updates import NAME
from infra.http import PerhapsSignedIn, bearer, problems
from infra.http_errors import CHALLENGE, answer
from infra.server import LINK
from shared_kernel.errors import Unavailable

STREAM = "text/event-stream"
LONGEST_S = 30
HEARTBEAT_S = 15.0  # a comment is sent after so much silence: proxies end what is silent for long
NEWS = (NAME, "resync.required")  # what a page does not wait behind
NAMES = f"^{CHANNEL.pattern}(,{CHANNEL.pattern})*$"
ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {STREAM: {"schema": {"type": "string"}}}}}


class Updates(BaseModel):
    """A page of what happened in the channels."""

    updates: list[dict[str, Any]]
    position: str  # to go on from
    resync: list[str]  # channels that could not go on from the position that was given


class EventStream(Response):
    """What a client hears, until it goes."""

    media_type = STREAM

    def __init__(self, gateway: ChatGateway, connection: FrameConnection, patience_s: float) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._gateway, self._connection, self._patience_s = gateway, connection, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ways = [asyncio.create_task(self._write(send)), asyncio.create_task(_gone(receive))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._gateway.left(self._connection.sid)
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    async def _write(self, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (chunk := await self._next()) is not None:
                async with asyncio.timeout(self._patience_s):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            self._connection.cut()

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                item = await self._connection.outbox.get()
        except TimeoutError:
            return b":\n\n"
        return None if item == END else bytes(item.encode())


def event_routes(gateway: ChatGateway, limits: Limits) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["realtime"])

    @routes.get("/events", response_model=Updates, responses=ANSWERS | problems(401, 403, 422, 429, 503))
    async def events(
        request: Request,
        _: PerhapsSignedIn,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
        channels: Annotated[str, Query(pattern=NAMES, max_length=4096, description="Comma-separated.")],
        position: Annotated[str | None, Query(max_length=4096, description="Go on from there.")] = None,
        wait_s: Annotated[
            int, Query(ge=0, le=LONGEST_S, description="How long to wait for an update, if there is none.")
        ] = 0,
        last_event_id: Annotated[str | None, Header(max_length=4096, description="The same as `position`.")] = None,
        x_channel_token: Annotated[
            str | None, Header(max_length=8192, description="Channel tokens, `channel=token`, comma-separated.")
        ] = None,
    ) -> Response:
        """Hear UI updates: with `Accept: text/event-stream` until you go, else a page of them. Without a token, public ones."""
        if not gateway.asgi.is_open:
            raise Unavailable("dependency_unavailable", "not ready; try again")
        auth = {"token": credentials.credentials if credentials else None, "position": last_event_id or position}
        pairs = (each.strip().partition("=") for each in (x_channel_token or "").split(","))
        tokens = {channel: token for channel, _, token in pairs}
        wishes = [Subscribing(channel=name, token=tokens.get(name)) for name in dict.fromkeys(channels.split(","))]
        outbox = Queue(limits.queue_events, limits.queue_bytes)
        connection = FrameConnection(uuid4().hex, outbox, request.scope.get(LINK))
        try:
            kind: Kind = "events" if STREAM in request.headers.get("accept", "") else "page"
            session = await gateway.admit(connection.sid, auth, kind, address_of(request.scope))
        except Refusal as refused:
            document, status = refused.document, refused.document["status"]
            return answer(request, status, document, CHALLENGE if status == HTTPStatus.UNAUTHORIZED else None)
        gateway.joined(connection)
        try:
            gateway.ui.subscribe(session, wishes)
            if kind == "events":
                return EventStream(gateway, connection, limits.heartbeat_timeout_s)
            page = await _page(outbox, len(wishes), wait_s)
        except BaseException:
            gateway.left(connection.sid)
            raise
        gateway.left(connection.sid)
        return Response(page, media_type="application/json")

    return routes


async def _page(outbox: Queue, channels: int, wait_s: int) -> bytes:
    """Return what there is once all channels have begun, or what comes first within that time."""
    loop = asyncio.get_running_loop()
    said: list[Said] = []
    begun = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(PAST_S) as patience:
            while begun < channels or not any(each.name in NEWS for each in said):
                if (item := await outbox.get()) == END:
                    break
                said.append(item)
                if item.name == "channel.subscribed":
                    begun += 1
                    if begun == channels:
                        patience.reschedule(loop.time() + wait_s)
    while page := outbox.take_page():
        said += [item for item in page if item != END]
    positions = [each.position for each in said if each.position]
    if not positions:
        raise Unavailable("dependency_unavailable", "the past cannot be read now; try again")
    resync = [msgspec.json.decode(each.data)["channel"] for each in said if each.name == "resync.required"]
    updates = ",".join(each.data for each in said if each.name == NAME)
    rest = msgspec.json.encode({"position": positions[-1], "resync": resync}).decode()
    return f'{{"updates":[{updates}],{rest[1:]}'.encode()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
