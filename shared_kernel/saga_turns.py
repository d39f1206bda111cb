"""The interpreter of sagas: a table, a saga's state and what has happened give its next state, what it asks for and its notes.

Pure: no clock, no I/O. What is late, doubled or somebody else's changes nothing. When a silent step is due stands in its mark.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from shared_kernel.errors import Refused
from shared_kernel.events import Event
from shared_kernel.saga import ENDED, Definition, Mark, Note, Phase, Saga, Step, When

D = TypeVar("D")

UNDO_TRIES = 6  # before an undo that nobody answers waits for an operator: with limits of 30 s, after half an hour
LONGEST_PAUSE = timedelta(minutes=10)  # between repeats

NOT_UNDERSTOOD = (
    "not_understood"  # it was written by a version whose table had steps or data that this one does not know
)
UNANSWERED_UNDO = "unanswered_undo"


@dataclass(frozen=True, slots=True)
class Turn(Generic[D]):
    """What has come of something."""

    saga: Saga[D]
    commands: tuple[Event, ...]  # in the order in which they are to be sent
    notes: tuple[Note, ...]


def started(definition: Definition[D], event: Event, now: datetime) -> Turn[D] | None:
    """Return the new saga that the event starts, or nothing."""
    for each in definition.starts:
        if isinstance(event, each.event):
            turning = _Turning(definition, Saga("running", each.data(event), {}), now)
            turning.note("started", detail=_name(event))
            turning.ask_next(definition.rows)
            return turning.turn()
    return None


def heard(definition: Definition[D], saga: Saga[D], event: Event, now: datetime) -> Turn[D] | None:
    """Return what comes of the event, or nothing where it changes nothing."""
    if saga.phase in ENDED:
        return None
    turning = _Turning(definition, saga, now)
    if turning.is_strange():
        return turning.turn_if_parked(NOT_UNDERSTOOD)
    if saga.phase == "undoing":
        return turning.turn() if turning.hear_undone(event) else None
    return turning.turn() if turning.call_off(event) or turning.hear_answer(event) else None


def overdue(definition: Definition[D], saga: Saga[D], now: datetime) -> Turn[D] | None:
    """Return what comes of the silence of every step that is due, or nothing."""
    due = [name for name, mark in saga.marks.items() if _is_due(mark, now)]
    if not due or saga.phase in ENDED:
        return None
    turning = _Turning(definition, saga, now)
    if turning.is_strange():
        return turning.turn_if_parked(NOT_UNDERSTOOD)
    for step in definition.each_step():
        if step.name in due and _is_due(turning.marks[step.name], now):
            turning.miss(step)
    return turning.turn()


def retried(definition: Definition[D], saga: Saga[D], now: datetime) -> Turn[D]:
    """Return the saga with everything asked again that is open. Safe to repeat, as what it asks for is. Raise `Refused`."""
    if saga.phase in ENDED:
        raise Refused("saga_ended", f"it is {saga.phase}")
    turning = _known(definition, saga, now)
    turning.parked = None
    turning.note("retried")
    for step in definition.each_step():
        if step.name in saga.marks and saga.marks[step.name].status in ("asked", "undoing"):
            turning.repeat(step, 1)
    return turning.turn()


def compensated(definition: Definition[D], saga: Saga[D], now: datetime) -> Turn[D] | None:
    """Return the saga on its way back, or nothing where it is already. Raise `Refused` once it cannot go back."""
    if saga.phase == "done":
        raise Refused("saga_ended", "it is done")
    if saga.phase != "running":
        return None
    turning = _known(definition, saga, now)
    if not turning.can_go_back():
        raise Refused("saga_past_undoing", "it has asked for what is not taken back")
    turning.note("compensated")
    turning.go_back()
    return turning.turn()


def backoff(step: Step[D], tries: int) -> timedelta:
    """Return how long an answer is waited for after so many tries."""
    doubled = step.limit * float(2 ** min(tries - 1, 20))
    return min(doubled, max(LONGEST_PAUSE, step.limit))


class _Turning(Generic[D]):
    """A turn in the making."""

    def __init__(self, definition: Definition[D], saga: Saga[D], now: datetime) -> None:
        self._definition = definition
        self._now = now
        self._phase: Phase = saga.phase
        self._data = saga.data
        self.marks = dict(saga.marks)
        self.parked = saga.parked
        self._commands: list[Event] = []
        self._notes: list[Note] = []

    def turn(self) -> Turn[D]:
        saga = Saga(self._phase, self._data, self.marks, self.parked)
        return Turn(saga, tuple(self._commands), tuple(self._notes))

    def turn_if_parked(self, why: str) -> Turn[D] | None:
        """Park the saga, or leave it where it is parked already."""
        if self.parked == why:
            return None
        self._park(why)
        self.marks = {name: replace(mark, due=None) for name, mark in self.marks.items()}
        return self.turn()

    def note(self, what: str, step: str = "", detail: str = "") -> None:
        self._notes.append(Note(what, step, detail))

    def is_strange(self) -> bool:
        """Return whether the saga has come to a step that the table has no more."""
        return not self.marks.keys() <= {step.name for step in self._definition.each_step()}

    def can_go_back(self) -> bool:
        return all(step.undo for step in self._definition.each_step() if step.name in self.marks)

    def call_off(self, event: Event) -> bool:
        """Go back if the event says so and that is still possible."""
        matching = _matching(self._definition.called_off_by, event)
        if not matching or not self.can_go_back():
            return False
        self._remember(matching, event)
        self.note("called_off", detail=_name(event))
        self.go_back()
        return True

    def hear_answer(self, event: Event) -> bool:
        """Take the answer of an open step, if it is one."""
        for row in self._definition.rows:
            for step in row:
                if self._has(step, "asked") and self._take(step, event):
                    if self._phase == "running" and not any(self._has(each, "asked") for each in row):
                        self.ask_next(self._definition.rows)
                    return True
        return False

    def hear_undone(self, event: Event) -> bool:
        """Take the answer of a step that is being undone, if it is one."""
        for step in self._definition.each_step():
            if self._has(step, "undoing") and step.undone and isinstance(event, step.undone):
                self.marks[step.name] = replace(self.marks[step.name], status="undone", due=None)
                self.parked = None
                self.note("undone", step.name)
                self._undo_next()
                return True
        return False

    def ask_next(self, rows: tuple[tuple[Step[D], ...], ...]) -> None:
        """Ask for what comes after the last row that has been begun."""
        begun = [number for number, row in enumerate(rows) if any(step.name in self.marks for step in row)]
        for row in rows[begun[-1] + 1 if begun else 0 :]:
            for step in row:
                self._begin(step)
            if any(self._has(step, "asked") for step in row):
                return
        self._phase = "done"
        self.note("ended", detail="done")

    def go_back(self) -> None:
        self._phase = "undoing"
        self.parked = None
        self._undo_next()

    def miss(self, step: Step[D]) -> None:
        """Do what the silence of the step is for."""
        mark = self.marks[step.name]
        if mark.status == "asked" and step.undo:
            self.note("silent", step.name)
            self.go_back()
        elif mark.status == "undoing" and mark.tries >= UNDO_TRIES:
            self.marks[step.name] = replace(mark, due=None)
            self._park(UNANSWERED_UNDO, step.name)
        else:
            self.repeat(step, mark.tries + 1)

    def repeat(self, step: Step[D], tries: int) -> None:
        """Ask again for the step or its undo."""
        status = self.marks[step.name].status
        ask = step.ask if status == "asked" else step.undo
        if ask:
            self.marks[step.name] = Mark(status, tries, self._now + backoff(step, tries))
            self._commands.append(ask(self._data, self._now))
            self.note("asked_again" if status == "asked" else "undo_asked_again", step.name)

    def _begin(self, step: Step[D]) -> None:
        if step.ask:
            self.marks[step.name] = Mark("asked", 1, self._now + step.limit)
            self._commands.append(step.ask(self._data, self._now))
            self.note("asked", step.name)
        else:
            self.marks[step.name] = Mark("answered")

    def _take(self, step: Step[D], event: Event) -> bool:
        if step.goes_on and isinstance(event, step.goes_on.event):
            self._remember(step.goes_on, event)
            self.marks[step.name] = replace(self.marks[step.name], status="answered", due=None)
            self.note("went_on", step.name, _name(event))
            return True
        if given_up := _matching(step.gives_up, event):
            self._remember(given_up, event)
            self.marks[step.name] = replace(self.marks[step.name], status="refused", due=None)
            self.note("gave_up", step.name, _name(event))
            self.go_back()
            return True
        return False

    def _undo_next(self) -> None:
        """Ask for the undo of the last row that has something to undo, unless that is being done."""
        if any(mark.status == "undoing" for mark in self.marks.values()):
            return
        for row in reversed(self._definition.rows):
            for step in row:
                if step.undo and (self._has(step, "asked") or self._has(step, "answered")):
                    self.marks[step.name] = Mark("undoing", 1, self._now + step.limit)
                    self._commands.append(step.undo(self._data, self._now))
                    self.note("undo_asked", step.name)
            if any(self._has(step, "undoing") for step in row):
                return
        self._phase = "undone"
        self.note("ended", detail="undone")

    def _park(self, why: str, step: str = "") -> None:
        self.parked = why
        self.note("parked", step, why)

    def _remember(self, each: When[D], event: Event) -> None:
        self._data = each.fold(self._data, event)
        self.parked = None

    def _has(self, step: Step[D], status: str) -> bool:
        return step.name in self.marks and self.marks[step.name].status == status


def _known(definition: Definition[D], saga: Saga[D], now: datetime) -> _Turning[D]:
    turning = _Turning(definition, saga, now)
    if turning.is_strange():
        raise Refused("saga_not_understood", "it has come to a step that this version does not know")
    return turning


def _is_due(mark: Mark, now: datetime) -> bool:
    return mark.due is not None and mark.due <= now


def _matching(choices: tuple[When[D], ...], event: Event) -> When[D] | None:
    return next((each for each in choices if isinstance(event, each.event)), None)


def _name(event: Event) -> str:
    return type(event).__name__
