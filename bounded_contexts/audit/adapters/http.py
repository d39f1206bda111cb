"""REST face of audit: what happened, for auditors and administrators only."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from bounded_contexts.audit.adapters.http_trace import add_traces
from bounded_contexts.audit.adapters.range_kafka import Selection, TopicRange, open_range
from bounded_contexts.audit.adapters.records import described, line
from bounded_contexts.audit.application.trace import Sources
from infra.access_tokens import User
from infra.avro import Codec
from infra.http import Moment, SignedIn, Tokens, problems
from infra.kafka_reader import KafkaReader
from infra.opaque import OpaqueTokens
from infra.problems import of_error, problem
from shared_kernel.errors import HeadwaterError, Refused, Unavailable
from shared_kernel.permissions import require

MEDIA_TYPE = "application/x-ndjson"
STREAMS = 16  # topics that a process reads for auditors at once: each has a client of the broker and its buffers
CHUNK = 65_536  # bytes of lines that are sent together

logger = structlog.get_logger()


async def auditor(user: SignedIn) -> User:
    """Access policy: who may read everything. Raise `Forbidden`."""
    require(user.roles, "audit:read")
    return user


class JsonLines(StreamingResponse):
    """Lines as they are made. When the client goes, their making ends with it, not when the collector comes by."""

    media_type = MEDIA_TYPE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lines: Any = self.body_iterator
        async with aclosing(lines):
            await super().__call__(scope, receive, send)


def router(reader: KafkaReader, codec: Codec, topics: Collection[str], sources: Sources) -> APIRouter:
    """Return every route of the context; `topics` are those that may be read."""
    routes = APIRouter(tags=["audit"], dependencies=[Depends(auditor)], responses=problems(401, 403, 422, 503))
    slots = asyncio.Semaphore(STREAMS)
    add_traces(routes, sources)

    @routes.get("/audit/events", response_class=JsonLines)
    async def read_events(
        request: Request,
        tokens: Tokens,
        topic: Annotated[str, Query(max_length=249)],
        key: Annotated[str | None, Query(max_length=1000, description="Only this key; one partition is read.")] = None,
        type_: Annotated[str | None, Query(alias="type", max_length=200, description="Only this `ce_type`.")] = None,
        since: Annotated[Moment | None, Query(alias="from", description="Only records of this time or later.")] = None,
        until: Annotated[Moment | None, Query(alias="to", description="Only records before this time.")] = None,
        correlation_id: Annotated[str | None, Query(max_length=200, description="Only what this caused.")] = None,
        limit: Annotated[int | None, Query(ge=1, description="At most so many lines.")] = None,
        position: Annotated[
            str | None, Query(max_length=4096, description="Go on after the line that had this position.")
        ] = None,
    ) -> JsonLines:
        """Read a topic's events, a JSON object a line, up to now. A last line with `problem` says what went wrong."""
        if topic not in topics:
            raise Refused("unknown_topic", f"there is no topic {topic[:249]}")
        selection = Selection(
            key=key,
            type=type_,
            correlation_id=correlation_id,
            since=since,
            until=until,
            places=tokens.open("position", position, of=_of(topic)) if position else None,
        )
        chunks = _chunks(slots, reader, codec, topic, selection, limit, tokens, request)
        await anext(chunks)  # what is wrong before the first line becomes a plain answer
        return JsonLines(chunks)

    return routes


async def _chunks(
    slots: asyncio.Semaphore,
    reader: KafkaReader,
    codec: Codec,
    topic: str,
    selection: Selection,
    limit: int | None,
    tokens: OpaqueTokens,
    request: Request,
) -> AsyncIterator[bytes]:
    """Yield nothing once connected, then lines, many at a time."""
    where = {"instance": request.url.path, "request_id": request.scope.get("request_id", "")}
    connected = False
    if slots.locked():
        raise Unavailable("too_many_streams", f"{STREAMS} topics are being read by this process; try again")
    try:
        async with slots, open_range(reader, topic, selection) as range_:
            yield b""
            connected = True
            async for chunk in _lines(range_, codec, tokens, topic, limit):
                yield chunk
    except HeadwaterError as error:
        if not connected:
            raise
        logger.warning("audit.interrupted", code=error.code, detail=error.detail, **where)
        yield line({"problem": of_error(error, **where)})
    except Exception:
        if not connected:
            raise
        logger.exception("audit.failed", **where)
        yield line({"problem": problem(500, "internal", "the failure was logged under the request id", **where)})


async def _lines(
    range_: TopicRange, codec: Codec, tokens: OpaqueTokens, topic: str, limit: int | None
) -> AsyncIterator[bytes]:
    """Yield lines, several together: sending a chunk costs as much as making many lines."""
    places = range_.places()
    left, chunk = limit, bytearray()
    async for batch in range_.batches(codec):
        for raw in batch[:left]:
            places[raw.partition] = raw.offset + 1
            position = tokens.seal("position", places, of=_of(topic))
            chunk += line({"position": position, **described(raw, range_.opened, codec)})
            if len(chunk) > CHUNK:
                yield bytes(chunk)
                chunk.clear()
        if chunk:
            yield bytes(chunk)
            chunk.clear()
        left = None if left is None else left - len(batch)
        if left is not None and left <= 0:
            return


def _of(topic: str) -> str:
    return f"audit/{topic}"
