"""Tell a saga's story: what happens, and what it asks for then."""

from datetime import datetime
from typing import Any

from shared_kernel.events import Event
from shared_kernel.saga import Definition, Saga
from shared_kernel.saga_turns import Turn, compensated, heard, overdue, retried, started
from tests.orders import NOW


class Story:
    """One saga, from its start."""

    def __init__(self, definition: Definition[Any], start: Event) -> None:
        self.definition = definition
        self.now: datetime = NOW
        self.asked: list[Event] = []  # by the newest turn
        self.notes: list[tuple[str, str]] = []  # of all turns: what, step
        self.turns = 0
        turn = started(definition, start, self.now)
        assert turn
        self.saga: Saga[Any] = turn.saga
        self._take(turn)

    @property
    def asks(self) -> list[str]:
        """Return what the newest turn asks for."""
        return [type(each).__name__ for each in self.asked]

    @property
    def phase(self) -> str:
        return self.saga.phase

    def on(self, *events: Event) -> "Story":
        """Have the events happen, one after the other."""
        for event in events:
            self._take(heard(self.definition, self.saga, event, self.now))
        return self

    def silence(self) -> "Story":
        """Have nothing happen until something is due."""
        self.now = min(mark.due for mark in self.saga.marks.values() if mark.due)
        self._take(overdue(self.definition, self.saga, self.now))
        return self

    def retry(self) -> "Story":
        self._take(retried(self.definition, self.saga, self.now))
        return self

    def compensate(self) -> "Story":
        self._take(compensated(self.definition, self.saga, self.now))
        return self

    def _take(self, turn: Turn[Any] | None) -> None:
        self.asked = list(turn.commands) if turn else []
        if turn:
            self.turns += 1
            self.saga = turn.saga
            self.notes += [(note.what, note.step) for note in turn.notes]
