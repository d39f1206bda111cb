"""Traces over REST: parse, call, answer."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from bounded_contexts.audit.application.trace import Sources, Step, Trace, trace, trace_message
from infra.http import problems
from shared_kernel.events import Position
from shared_kernel.handling import Outcome


class HandlingAnswer(BaseModel):
    """What became of the record in a consumer group."""

    group: str
    outcome: Outcome
    at: Annotated[datetime | None, Field(description="When it had that outcome, or at most a second later.")]
    attempts: int | None
    error: Annotated[str | None, Field(description="Of a dead letter.")]


class DeviceAnswer(BaseModel):
    """A socket. `acknowledged`: its client came with a position behind the event, so it had handled it by `connected_at`."""

    user_id: UUID
    session: str
    state: Literal["queued", "acknowledged"]
    connected_at: datetime
    ended_at: datetime | None


class PositionAnswer(BaseModel):
    topic: str
    partition: int
    offset: int
    handled: Annotated[list[HandlingAnswer], Field(description="By each group that hears events of this type.")]
    devices: Annotated[list[DeviceAnswer] | None, Field(description="null: not looked up, for so many events.")]


class StepAnswer(BaseModel):
    """An event. Its cause stands before it, one depth less; at depth 0 `caused_by` is the request."""

    depth: int
    event_id: str
    type: str | None
    caused_by: str | None
    time: datetime
    actor: str | None
    key: str | None
    positions: list[PositionAnswer]


class TraceAnswer(BaseModel):
    correlation_id: str
    complete: bool
    events: list[StepAnswer]


class MessageTraces(BaseModel):
    message_id: UUID
    traces: list[TraceAnswer]


def add_traces(routes: APIRouter, sources: Sources) -> None:
    """Add the routes."""

    @routes.get("/audit/trace/{correlation_id}", responses=problems(404))
    async def trace_correlation(
        correlation_id: Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")],
    ) -> TraceAnswer:
        """Show the events that a request led to, each before those it caused, and what the groups did with them."""
        return _answer(await trace(correlation_id, sources), sources.prefix)

    @routes.get("/audit/messages/{message_id}/trace", responses=problems(404))
    async def trace_of_message(message_id: UUID) -> MessageTraces:
        """Show what sending a message led to, and deleting it."""
        traces = await trace_message(message_id, sources)
        return MessageTraces(message_id=message_id, traces=[_answer(each, sources.prefix) for each in traces])


def _answer(found: Trace, prefix: str) -> TraceAnswer:
    events = [_step(each, found, prefix) for each in found.steps]
    return TraceAnswer(correlation_id=found.correlation_id, complete=found.complete, events=events)


def _step(step: Step, found: Trace, prefix: str) -> StepAnswer:
    return StepAnswer(
        depth=step.depth,
        event_id=step.event_id,
        type=step.type,
        caused_by=step.caused_by,
        time=step.time,
        actor=step.actor,
        key=step.key,
        positions=[_position(each, found, prefix) for each in step.positions],
    )


def _position(at: Position, found: Trace, prefix: str) -> PositionAnswer:
    return PositionAnswer(
        topic=at.topic.removeprefix(prefix),
        partition=at.partition,
        offset=at.offset,
        handled=[
            HandlingAnswer(group=each.group, outcome=each.outcome, at=each.at, attempts=each.attempts, error=each.error)
            for each in found.handled.get(at, ())
        ],
        devices=None
        if at not in found.devices
        else [
            DeviceAnswer(
                user_id=each.user_id,
                session=each.session,
                state=each.state,
                connected_at=each.connected_at,
                ended_at=each.ended_at,
            )
            for each in found.devices[at]
        ],
    )
