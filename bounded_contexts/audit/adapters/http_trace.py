"""Traces over REST: parse, call, answer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel

from bounded_contexts.audit.application.ports import Log
from bounded_contexts.audit.application.trace import Step, Trace, trace, trace_message
from infra.http import problems


class PositionAnswer(BaseModel):
    topic: str
    partition: int
    offset: int


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


def add_traces(routes: APIRouter, log: Log, prefix: str) -> None:
    """Add the routes; `prefix` stands before topic names on the broker and is not shown."""

    @routes.get("/audit/trace/{correlation_id}", responses=problems(404))
    async def trace_correlation(correlation_id: Annotated[str, Path(max_length=200)]) -> TraceAnswer:
        """Show the events that a request led to, each before those it caused."""
        return _answer(await trace(correlation_id, log), prefix)

    @routes.get("/audit/messages/{message_id}/trace", responses=problems(404))
    async def trace_of_message(message_id: UUID) -> MessageTraces:
        """Show what sending a message led to, and deleting it."""
        traces = await trace_message(message_id, log)
        return MessageTraces(message_id=message_id, traces=[_answer(each, prefix) for each in traces])


def _answer(found: Trace, prefix: str) -> TraceAnswer:
    events = [_step(each, prefix) for each in found.steps]
    return TraceAnswer(correlation_id=found.correlation_id, complete=found.complete, events=events)


def _step(step: Step, prefix: str) -> StepAnswer:
    return StepAnswer(
        depth=step.depth,
        event_id=step.event_id,
        type=step.type,
        caused_by=step.caused_by,
        time=step.time,
        actor=step.actor,
        key=step.key,
        positions=[
            PositionAnswer(topic=each.topic.removeprefix(prefix), partition=each.partition, offset=each.offset)
            for each in step.positions
        ],
    )
