"""What came of a request: the kept events of one correlation, as a tree by cause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bounded_contexts.audit.application.ports import Log, Outcomes
from bounded_contexts.audit.domain.chain import Kept
from schemas.messaging.events import MessageDeleted, MessageSent
from shared_kernel.errors import NotFound
from shared_kernel.events import Position, id_of
from shared_kernel.handling import Handling

LIMIT = 1_000  # records of one correlation
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Step:
    """An event and where it lies; more than one position if it was recorded more than once."""

    event_id: str
    type: str | None
    caused_by: str | None  # the id of the request, at depth 0, or of the event before
    time: datetime
    actor: str | None
    key: str | None
    depth: int = 0
    positions: list[Position] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trace:
    """The events of a correlation, each before those it caused, and what the groups did with each record. `complete` says
    whether these are all."""

    correlation_id: str
    complete: bool
    steps: Sequence[Step]
    handled: Mapping[Position, Sequence[Handling]]


async def trace(correlation_id: str, log: Log, outcomes: Outcomes) -> Trace:
    """Return what this correlation id stands on. Raise `NotFound` when nothing has been kept of it."""
    kept = await log.about(correlation_id, LIMIT + 1)
    if not kept:
        raise NotFound("correlation_not_found", "nothing of it is in the audit log, or not yet")
    found = await outcomes.of({(each.topic, each.partition, each.offset): each.type for each in kept[:LIMIT]})
    handled = {Position(*place): handlings for place, handlings in found.items()}
    return Trace(correlation_id, len(kept) <= LIMIT, in_tree_order(kept[:LIMIT]), handled)


async def trace_message(message_id: UUID, log: Log, outcomes: Outcomes) -> list[Trace]:
    """Return what came of sending the message and of deleting it. Raise `NotFound` when neither has been kept."""
    ids = [str(id_of(event, message_id)) for event in (MessageSent, MessageDeleted)]
    correlations = {kept.correlation_id: None for kept in await log.of_events(ids, LIMIT)}
    if not correlations:
        raise NotFound("message_not_found", "nothing of it is in the audit log, or not yet")
    return [await trace(each, log, outcomes) for each in correlations if each]


def in_tree_order(kept: Sequence[Kept]) -> list[Step]:
    """Return the events, each followed by what it caused, otherwise in the given order."""
    steps: dict[str, Step] = {}
    for each in kept:
        step = steps.setdefault(each.event_id or f"{each.topic}/{each.partition}/{each.offset}", _step(each))
        step.positions.append(Position(each.topic, each.partition, each.offset))
    caused: dict[str, list[Step]] = {}
    parents: dict[str, str] = {}
    first = []
    for step in steps.values():
        cause = step.caused_by
        if cause in steps and not _comes_from(cause, step.event_id, parents):
            parents[step.event_id] = cause
            caused.setdefault(cause, []).append(step)
        else:
            first.append(step)
    ordered, waiting = [], first[::-1]
    while waiting:
        step = waiting.pop()
        ordered.append(step)
        below = caused.get(step.event_id, [])
        for next_ in below:
            next_.depth = step.depth + 1
        waiting += below[::-1]
    return ordered


def _comes_from(event_id: str, other: str, parents: dict[str, str]) -> bool:
    """Return whether the event is the other one or was caused by it: headers are written by anybody, even in circles."""
    at: str | None = event_id
    while at is not None and at != other:
        at = parents.get(at)
    return at == other


def _step(kept: Kept) -> Step:
    actors = [value for name, value in zip(kept.header_names, kept.header_values, strict=True) if name == "ce_actor"]
    return Step(
        event_id=kept.event_id or f"{kept.topic}/{kept.partition}/{kept.offset}",
        type=kept.type,
        caused_by=kept.causation_id,
        time=EPOCH + timedelta(milliseconds=kept.timestamp_ms),
        actor=actors[0].decode("utf-8", "replace") if actors and actors[0] else None,
        key=None if kept.key is None else kept.key.decode("utf-8", "replace"),
    )
