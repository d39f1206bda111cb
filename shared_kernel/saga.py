"""Sagas: flows over several contexts, written as tables of steps (docs/sagas.md). This is what such a table consists of.

What a saga does next follows from its table and its state alone: `shared_kernel/saga_turns.py` says how.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID, uuid5

from shared_kernel.events import Event

D = TypeVar("D")
E = TypeVar("E", bound=Event)

LIMIT = timedelta(seconds=30)  # of silence, where a step names no other

Phase = Literal["running", "undoing", "done", "undone"]
# asked: no answer yet. answered: it went on. refused: it gave up, so there is nothing to undo. undoing: the undo is asked.
Status = Literal["asked", "answered", "refused", "undoing", "undone"]
ENDED: tuple[Phase, ...] = ("done", "undone")


@dataclass(frozen=True, slots=True)
class Begin(Generic[D]):
    """An event that starts a saga, and what the saga remembers of it."""

    event: type[Event]
    data: Callable[[Any], D]


@dataclass(frozen=True, slots=True)
class When(Generic[D]):
    """An event that a saga hears, and what it remembers then."""

    event: type[Event]
    fold: Callable[[D, Any], D]


def begin(event: type[E], data: Callable[[E], D]) -> Begin[D]:
    """Pair an event with the function that makes a saga's data of it."""
    return Begin(event, data)


def when(event: type[E], fold: Callable[[D, E], D]) -> When[D]:
    """Pair an event with the function that folds it into a saga's data."""
    return When(event, fold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[D]):
    """What a saga asks of one context, and how that is taken back.

    A step with `undo` that is silent beyond its limit is undone, itself included, so `undo` must be answered also where nothing
    had been done. A step without `undo` must not fail: it is asked again for ever, and nothing before it is undone any more."""

    name: str  # never renamed while sagas that have come to it are running
    ask: Callable[[D, datetime], Event] | None = None  # None: the saga begins with it done
    goes_on: When[D] | None = None
    gives_up: tuple[When[D], ...] = ()  # nothing was done: the steps before it are undone
    undo: Callable[[D, datetime], Event] | None = None
    undone: type[Event] | None = None
    limit: timedelta = LIMIT  # of silence; pauses between repeats begin with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition(Generic[D]):
    """One saga's table. `data` is kept as JSON and has to be readable for ever: add fields with defaults, take none away."""

    name: str
    data: type[D]  # a frozen dataclass
    key: str  # field of every event it hears that says whose it is
    starts: tuple[Begin[D], ...]
    steps: tuple[Step[D] | tuple[Step[D], ...], ...]  # a tuple of steps is asked, and undone, at once
    called_off_by: tuple[When[D], ...] = ()  # until a step without undo has been asked
    deadline: timedelta  # after which an open saga is reported as stuck

    def __post_init__(self) -> None:
        names = [step.name for step in self.each_step()]
        heard = [event.NAME for event in self.events]
        if len({*names}) < len(names) or len({*heard}) < len(heard):
            raise ValueError(f"{self.name}: a step or an event is in it twice")
        for step in self.each_step():
            _require_whole(self.name, step)

    @property
    def rows(self) -> tuple[tuple[Step[D], ...], ...]:
        """Return the steps, those at once together."""
        return tuple(row if isinstance(row, tuple) else (row,) for row in self.steps)

    def each_step(self) -> Iterator[Step[D]]:
        """Yield the steps from the first to the last."""
        for row in self.rows:
            yield from row

    @property
    def events(self) -> tuple[type[Event], ...]:
        """Return the types of all events that it hears."""
        heard = [each.event for each in self.starts] + [each.event for each in self.called_off_by]
        for step in self.each_step():
            heard += [step.goes_on.event] if step.goes_on else []
            heard += [each.event for each in step.gives_up]
            heard += [step.undone] if step.undone else []
        return tuple(heard)

    def key_of(self, event: Event) -> UUID:
        """Return whose event it is."""
        key: UUID = getattr(event, self.key)
        return key

    def id_of(self, key: UUID) -> UUID:
        """Return the id of the saga of this key: there is one of each definition."""
        return uuid5(key, self.name)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one step is."""

    status: Status
    tries: int = 1  # how often it, or its undo, has been asked
    due: datetime | None = None  # when it has been silent for too long; None: nothing is waited for


@dataclass(frozen=True, slots=True)
class Saga(Generic[D]):
    """One saga's state. Steps that were not asked have no mark."""

    phase: Phase
    data: D
    marks: Mapping[str, Mark]
    parked: str | None = None  # why it waits for an operator


@dataclass(frozen=True, slots=True)
class Note:
    """A line of a saga's history."""

    what: str
    step: str = ""
    detail: str = ""


def _require_whole(saga: str, step: Step[Any]) -> None:
    """Raise `ValueError` for a step that could not go on, or not back."""
    if (step.ask is None) != (step.goes_on is None):
        raise ValueError(f"{saga}, {step.name}: what is asked has an answer that goes on, and nothing else has")
    if (step.undo is None) != (step.undone is None):
        raise ValueError(f"{saga}, {step.name}: an undo has an answer, and nothing else has")
    if step.undo is None and (step.gives_up or step.ask is None):
        raise ValueError(f"{saga}, {step.name}: without an undo a step is asked and must not give up")
