"""One order, its sagas and their participants in every order in which things can happen, up to bounds. No servers.

A dying process adds nothing here: what it did not commit has not happened, and what it did is the state (docs/sagas.md).
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sagas.order_fulfilment import ORDER_FULFILMENT, placed
from sagas.order_refund import ORDER_REFUND
from shared_kernel.events import Event
from shared_kernel.saga import ENDED, Definition, Mark, Saga
from shared_kernel.saga_turns import Turn, heard, overdue, started
from tests.orders import NOW, Told
from tests.participants import COMMANDS, Doubled, World, answer, expired

TOLD = Told(UUID(int=7))
EVENTS: Mapping[str, Event] = {type(each).__name__: each for each in TOLD.everything}
_F, _T = placed(TOLD.placed), NOW
SAMPLES: Mapping[str, Event] = {
    type(each).__name__: each
    for each in (
        *(_F.reserve(_T), _F.release(_T), _F.commit(_T), _F.give_back(_T)),
        *(_F.authorise(_T), _F.void(_T), _F.capture(_T), _F.refund(_T)),
        *(replace(_F, payment_id=TOLD.payment_id).confirm(_T), _F.reject(_T)),
    )
}
assert SAMPLES.keys() == {each.__name__ for each in COMMANDS}

SagaState = tuple[str, Any, tuple[tuple[str, str, int], ...], str | None]  # phase, data, marks, parked
Queues = tuple[tuple[str, tuple[str, ...]], ...]  # by topic, names; what comes first is heard first


class Bounds(NamedTuple):
    """How often each may happen at most."""

    silences: int = 0
    repeats: int = 0  # a command or event that comes again, later
    dead_letters: int = 0  # a command that is done at any later time
    cancellations: int = 0
    expiries: int = 0


class State(NamedTuple):
    saga: SagaState
    refund: SagaState | None
    world: World
    commands: Queues
    events: Queues
    dead: tuple[str, ...]
    left: Bounds


class Violation(AssertionError):
    """Something happened that never may."""


@dataclass(slots=True)
class Found:
    states: int = 0
    ends: set[tuple[str, str]] = field(default_factory=set)  # of the saga and of the order


def explore(bounds: Bounds, world: World | None = None) -> Found:
    """Go everywhere. Raise `Violation` with the way that led there."""
    first = _state(ORDER_FULFILMENT, started(ORDER_FULFILMENT, TOLD.placed, NOW))
    start = _sent(State(first[0], None, world or World(), (), (), (), bounds), first[1])
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    waiting, found = deque([start]), Found()
    while waiting:
        state = waiting.popleft()
        found.states += 1
        try:
            if _check(state):
                found.ends.add((state.saga[0], state.world.order))
            for name, after in _moves(state):
                if state.saga[0] in ENDED and after.saga != state.saga:
                    raise Violation(f"an ended saga went on by {name}")
                if after not in came_from:
                    came_from[after] = state, name
                    waiting.append(after)
        except (Violation, Doubled) as error:
            raise Violation(f"{error}, after {', '.join(_way(came_from, state))}") from None
    return found


def _way(came_from: Mapping[State, tuple[State, str] | None], state: State) -> list[str]:
    names: list[str] = []
    while before := came_from[state]:
        state, name = before
        names.insert(0, name)
    return names


def _check(state: State) -> bool:
    """Raise `Violation` for what never may be. Return whether nothing is under way any more."""
    world, phase = state.world, state.saga[0]
    if world.order == "rejected" and not world.is_clean:
        raise Violation(f"rejected, and {world.stock} stock, {world.money} money")
    if phase == "undone" and world.order != "rejected":
        raise Violation(f"undone, and {world.order}")
    if phase == "done" and world.order not in ("confirmed", "cancelled"):
        raise Violation(f"done, and {world.order}")
    if world.order == "confirmed" and (world.stock, world.money) != ("sold", "captured"):
        raise Violation(f"confirmed, and {world.stock} stock, {world.money} money")
    is_still = not (state.commands or state.events or state.dead)
    if is_still and phase not in ENDED:
        raise Violation(f"{phase} for ever")
    if is_still and world.order == "cancelled" and not (world.is_clean and state.refund and state.refund[0] == "done"):
        raise Violation(f"cancelled, and {world.stock} stock, {world.money} money")
    return is_still


def _moves(state: State) -> Iterator[tuple[str, State]]:
    yield from _of_commands(state)
    yield from _of_events(state)
    yield from _of_people_and_time(state)


def _of_commands(state: State) -> Iterator[tuple[str, State]]:
    left = state.left
    for topic, (name, *_) in state.commands:
        taken = state._replace(commands=_taken(state.commands, topic))
        yield name, _done(taken, name)
        if left.repeats:
            again = _put(state.commands, topic, name)
            yield f"{name} again", state._replace(commands=again, left=left._replace(repeats=left.repeats - 1))
        if left.dead_letters:
            fewer = left._replace(dead_letters=left.dead_letters - 1)
            yield f"{name} fails", taken._replace(dead=tuple(sorted((*state.dead, name))), left=fewer)
    for name in set(state.dead):
        dead = list(state.dead)
        dead.remove(name)
        yield f"{name} redriven", _done(state._replace(dead=tuple(dead)), name)


def _of_events(state: State) -> Iterator[tuple[str, State]]:
    left = state.left
    for topic, (name, *_) in state.events:
        yield name, _heard(state._replace(events=_taken(state.events, topic)), name)
        if left.repeats:
            again = _put(state.events, topic, name)
            yield f"{name} again", state._replace(events=again, left=left._replace(repeats=left.repeats - 1))


def _of_people_and_time(state: State) -> Iterator[tuple[str, State]]:
    left, world = state.left, state.world
    if left.silences:
        later = state._replace(left=left._replace(silences=left.silences - 1))
        yield from ((f"silence of {who}", each) for who, each in _silent(later))
    if left.cancellations and world.order == "placed" and not world.cancelling:
        fewer = left._replace(cancellations=left.cancellations - 1)
        asked = state._replace(world=replace(world, cancelling=True), left=fewer)
        yield "cancelling", _told(asked, (TOLD.cancelling,))
    if left.cancellations and world.order == "confirmed":
        fewer = left._replace(cancellations=left.cancellations - 1)
        yield "cancelled", _told(state._replace(world=replace(world, order="cancelled"), left=fewer), (TOLD.cancelled,))
    if left.expiries and world.stock == "held":
        fewer = left._replace(expiries=left.expiries - 1)
        yield "expiry", _told(state._replace(world=expired(world), left=fewer), (TOLD.released,))


def _done(state: State, command: str) -> State:
    world, answers = answer(state.world, SAMPLES[command], TOLD)
    return _told(state._replace(world=world), answers)


def _told(state: State, events: tuple[Event, ...]) -> State:
    queues = state.events
    for event in events:
        queues = _put(queues, event.TOPIC, type(event).__name__)
    return state._replace(events=queues)


def _heard(state: State, name: str) -> State:
    event = EVENTS[name]
    saga, sent = _state(ORDER_FULFILMENT, heard(ORDER_FULFILMENT, _saga(state.saga), event, NOW), state.saga)
    state = _sent(state._replace(saga=saga), sent)
    turn = heard(ORDER_REFUND, _saga(state.refund), event, NOW) if state.refund else started(ORDER_REFUND, event, NOW)
    if turn:
        refund, sent = _state(ORDER_REFUND, turn)
        state = _sent(state._replace(refund=refund), sent)
    return state


def _silent(state: State) -> Iterator[tuple[str, State]]:
    late = NOW + timedelta(days=1)
    if turn := overdue(ORDER_FULFILMENT, _saga(state.saga), late):
        saga, sent = _state(ORDER_FULFILMENT, turn)
        yield "the order's saga", _sent(state._replace(saga=saga), sent)
    if state.refund and (turn := overdue(ORDER_REFUND, _saga(state.refund), late)):
        refund, sent = _state(ORDER_REFUND, turn)
        yield "the refund's", _sent(state._replace(refund=refund), sent)


def _sent(state: State, commands: tuple[Event, ...]) -> State:
    queues = state.commands
    for command in commands:
        queues = _put(queues, command.TOPIC, type(command).__name__)
    return state._replace(commands=queues)


def _state(
    definition: Definition[Any], turn: Turn[Any] | None, before: SagaState | None = None
) -> tuple[SagaState, tuple[Event, ...]]:
    """Return the saga as it is compared, without its times, and what it asks for."""
    if turn is None:
        assert before
        return before, ()
    saga = turn.saga
    marks = tuple((step.name, saga.marks[step.name]) for step in definition.each_step() if step.name in saga.marks)
    plain = tuple((name, mark.status, mark.tries if mark.due else 0) for name, mark in marks)
    return (saga.phase, saga.data, plain, saga.parked), turn.commands


def _saga(state: SagaState) -> Saga[Any]:
    phase, data, plain, parked = state
    marks = {name: Mark(status, max(tries, 1), NOW if tries else None) for name, status, tries in plain}  # type: ignore[arg-type]
    return Saga(phase, data, marks, parked)  # type: ignore[arg-type]


def _put(queues: Queues, topic: str, name: str) -> Queues:
    known = dict(queues)
    return tuple(sorted((known | {topic: (*known.get(topic, ()), name)}).items()))


def _taken(queues: Queues, topic: str) -> Queues:
    return tuple((each, names[each == topic :]) for each, names in queues if len(names) > (each == topic))
