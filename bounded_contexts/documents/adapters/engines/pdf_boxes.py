"""Blocks in a room of their own: laid out once to be measured, and drawn where there is place for them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.adapters.engines.pdf_flow import Flow
from bounded_contexts.documents.domain.rendering.blocks import Block, Note

ENDLESS: Final = float("inf")


Call = Callable[[Sheets], None]


class _Recorder:
    """Takes down what would be drawn on a sheet."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values: self.calls.append(lambda sheets: getattr(sheets, name)(*values))

    @contextmanager
    def turned(self, x: float, y: float, angle: float) -> Iterator[None]:
        outer, self.calls = self.calls, []
        yield
        outer.append(partial(_turned, self.calls, x, y, angle))
        self.calls = outer


def _turned(calls: list[Call], x: float, y: float, angle: float, sheets: Sheets) -> None:
    with sheets.turned(x, y, angle):
        for call in calls:
            call(sheets)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What fills a room of a height, or a part of it."""

    calls: list[Call]
    height: float
    notes: tuple[Note, ...] = ()

    def draw(self, sheets: Sheets, x: float, top: float) -> None:
        """Draw it with its upper left corner at x, top."""
        _turned(self.calls, x, top, 0.0, sheets)


class _Box(Flow):
    """Rooms of a width, the first of one height, all others of another. Their upper left corner is at 0, 0."""

    def __init__(self, outer: Flow, width: float, first: float, following: float) -> None:
        super().__init__(cast("Sheets", _Recorder()), outer.breaker, outer.known, outer.compound)
        self.width, self._following = width, following
        self._bottom = -first
        self.rooms: list[Drawn] = []
        self._own_notes: list[Note] = []

    def add_notes(self, notes: Iterable[Note]) -> None:
        """Keep room for notes, which stand at the foot of the page."""
        notes = list(notes)
        self._bottom += self.height_of_notes(notes)
        self._own_notes += notes

    def new_page(self) -> None:
        self.end()
        self.breaker.ahead += 1
        self.sheets = cast("Sheets", _Recorder())
        self.y, self._bottom = 0.0, -self._following

    @property
    def following_room(self) -> float:
        return self._following

    def end(self) -> None:
        self.rooms.append(Drawn(cast("_Recorder", self.sheets).calls, -self.y, tuple(self._own_notes)))
        self._own_notes = []


def boxed(
    outer: Flow, blocks: Iterable[Block], width: float, first: float = ENDLESS, following: float = ENDLESS
) -> list[Drawn]:
    """Return the blocks laid out in rooms of a width: one of the first height, and as many of the other as they take."""
    box = _Box(outer, width, first, following)
    ahead = outer.breaker.ahead
    box.place_all(blocks)
    outer.breaker.ahead = ahead
    box.end()
    return box.rooms
