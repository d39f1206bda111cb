"""What came of a request: the kept events of one correlation, as a tree by cause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from bounded_contexts.audit.application.ports import Devices, Log, Outcomes
from bounded_contexts.audit.domain.chain import Kept, moment_of
from schemas.messaging.events import MessageDeleted, MessageSent
from shared_kernel.errors import NotFound
from shared_kernel.events import Position, id_of
from shared_kernel.handling import Device, Handling

LIMIT = 1_000  # records of one correlation
DEVICES_OF = 50  # of them, whose devices are looked up


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
    """The events of a correlation, each before those it caused, what the groups did with each record and which devices got
    it. `complete` says whether these are all events; devices are there for the first ones only."""

    correlation_id: str
    complete: bool
    steps: Sequence[Step]
    handled: Mapping[Position, Sequence[Handling]]
    devices: Mapping[Position, Sequence[Device]]


@dataclass(frozen=True, slots=True)
class Sources:
    """What a trace is put together from."""

    log: Log
    outcomes: Outcomes
    devices: Devices
    prefix: str  # before topics' names on the broker


async def trace(correlation_id: str, of: Sources, asked_for: Sequence[Kept] = ()) -> Trace:
    """Return what this correlation id stands on, `asked_for` first. Raise `NotFound` when nothing has been kept of it."""
    found_about = await of.log.about(correlation_id, LIMIT + 1)
    if not found_about:
        raise NotFound("correlation_not_found", "nothing of it is in the audit log, or not yet")
    # Anybody may send a thousand requests under one id: what is asked for is shown all the same.
    own = [each for each in asked_for if each.correlation_id == correlation_id]
    kept = [*own, *(each for each in found_about if each not in own)]
    found = await of.outcomes.of({(each.topic, each.partition, each.offset): each.type for each in kept[:LIMIT]})
    handled = {Position(*place): handlings for place, handlings in found.items()}
    devices = {}
    for each in kept[:DEVICES_OF]:
        at = Position(each.topic.removeprefix(of.prefix), each.partition, each.offset)
        devices[Position(each.topic, each.partition, each.offset)] = await of.devices.of(each.value, at, _time(each))
    return Trace(correlation_id, len(kept) <= LIMIT, in_tree_order(kept[:LIMIT]), handled, devices)


async def trace_message(message_id: UUID, of: Sources) -> list[Trace]:
    """Return what came of sending the message and of deleting it. Raise `NotFound` when neither has been kept."""
    ids = [str(id_of(event, message_id)) for event in (MessageSent, MessageDeleted)]
    own = await of.log.of_events(ids, LIMIT)
    correlations = {kept.correlation_id: None for kept in own}
    if not correlations:
        raise NotFound("message_not_found", "nothing of it is in the audit log, or not yet")
    return [await trace(each, of, own) for each in correlations if each]


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
        time=_time(kept),
        actor=actors[0].decode("utf-8", "replace") if actors and actors[0] else None,
        key=None if kept.key is None else kept.key.decode("utf-8", "replace"),
    )


def _time(kept: Kept) -> datetime:
    return moment_of(kept.timestamp_ms)
