"""What stands in the cells of a table, and rows of them that belong together."""

from dataclasses import dataclass
from typing import Final, Protocol

from bounded_contexts.documents.adapters.engines.lines import Line
from bounded_contexts.documents.adapters.engines.pdf_boxes import Drawn, boxed
from bounded_contexts.documents.adapters.engines.pdf_flow import Flow, notes_of
from bounded_contexts.documents.domain.rendering.blocks import Block, Cell, Note, Row, Style

PADDING: Final = 3.0  # points on each side
CLOSE: Final = 0.01  # points that are none


class Content(Protocol):
    """What a cell holds, laid out for its width."""

    @property
    def height(self) -> float: ...

    @property
    def notes(self) -> tuple[Note, ...]: ...

    def draw(self, flow: Flow, x: float, top: float, width: float) -> None: ...

    def split(self, room: float, full: float, *, forced: bool) -> "tuple[Content | None, Content | None]":
        """Return what fits into the room, and the rest, which will have rooms of the full height. Where it is forced
        something fits."""


class Text:
    """Lines of one style."""

    __slots__ = ("height", "lines", "notes", "style")

    def __init__(self, lines: list[Line], style: Style, *, with_notes: bool = False) -> None:
        self.lines, self.style = lines, style
        self.notes = tuple([note for line in lines for note in notes_of(line)]) if with_notes else ()
        if len(lines) == 1:
            self.height = line_height(lines[0], style.size, style.line_height)
        else:
            self.height = sum([line_height(line, style.size, style.line_height) for line in lines])

    def draw(self, flow: Flow, x: float, top: float, width: float) -> None:
        style = self.style
        for line in self.lines:
            across = line_height(line, style.size, style.line_height)
            flow.sheets.line(line, x, top - across * 0.74, width, style.align)
            top -= across

    def split(self, room: float, full: float, *, forced: bool) -> "tuple[Text | None, Text | None]":
        count = 0
        for line in self.lines:
            room -= line_height(line, self.style.size, self.style.line_height)
            if room < -CLOSE:
                break
            count += 1
        count = max(count, 1 if forced else 0)
        head, rest = self.lines[:count], self.lines[count:]
        noted = bool(self.notes)
        return (
            Text(head, self.style, with_notes=noted) if head else None,
            Text(rest, self.style, with_notes=noted) if rest else None,
        )


class Blocks:
    """Blocks in rooms; in one that has no end until it is split."""

    __slots__ = ("_blocks", "_flow", "_rooms", "_width", "height", "notes")

    def __init__(self, flow: Flow, blocks: tuple[Block, ...], width: float, rooms: list[Drawn] | None = None) -> None:
        self._flow, self._blocks, self._width = flow, blocks, width
        self._rooms = rooms or boxed(flow, blocks, width)
        self.height = sum([room.height for room in self._rooms])
        self.notes = tuple([note for room in self._rooms for note in room.notes])

    def draw(self, flow: Flow, x: float, top: float, width: float) -> None:
        for room in self._rooms:
            room.draw(flow.sheets, x, top)
            top -= room.height

    def split(self, room: float, full: float, *, forced: bool) -> "tuple[Blocks | None, Blocks | None]":
        rooms = self._rooms
        if len(rooms) == 1:
            rooms = boxed(self._flow, self._blocks, self._width, max(room, 0.0), max(full, room))
        if not forced and (rooms[0].height > room + CLOSE or not rooms[0].calls):
            return None, self
        head = Blocks(self._flow, (), self._width, rooms[:1])
        return head, Blocks(self._flow, (), self._width, rooms[1:]) if len(rooms) > 1 else None


@dataclass(slots=True)
class Placed:
    """A cell in a band: its first row and column, how many rows it has there, what is left of its content."""

    row: int
    column: int
    down: int
    cell: Cell
    content: Content | None

    @property
    def wanted(self) -> float:
        """Return the height that it asks for."""
        return (self.content.height if self.content else 0.0) + 2 * PADDING


class Band:
    """Rows that cells reach over, or that are kept together; most often one."""

    def __init__(self, rows: list[Row], backgrounds: list[str | None], cells: list[Placed]) -> None:
        self.rows, self.backgrounds, self.cells = rows, backgrounds, cells
        heights = [0.0] * len(rows)
        over = []
        for placed in cells:
            if placed.down > 1:
                over.append(placed)
            elif (wanted := placed.wanted) > heights[placed.row]:
                heights[placed.row] = wanted
        for placed in over:
            last = placed.row + placed.down
            heights[last - 1] += max(placed.wanted - sum(heights[placed.row : last]), 0.0)
        self.heights = heights
        self.height = sum(heights)
        self.notes = [note for placed in cells if placed.content for note in placed.content.notes]

    def split(self, room: float, full: float, *, inside: bool, forced: bool) -> "tuple[Band | None, Band | None]":
        """Return what fits into the room, and the rest. Between two rows where it can be, unless it may be `inside` one;
        where it is forced there is something in the first."""
        whole, height = self._fitting(room)
        if whole and not inside:
            return self._cut(whole, whole, height, full)
        head, rest = self._cut(whole, whole + 1, room, full, forced=forced and not whole)
        if any(placed.row == whole and placed.content is not None for placed in head.cells):
            return head, rest
        if whole:
            return self._cut(whole, whole, height, full)
        return None, self

    def _fitting(self, room: float) -> tuple[int, float]:
        height = 0.0
        for number, each in enumerate(self.heights):
            if height + each > room + CLOSE:
                return number, height
            height += each
        return len(self.heights), height

    def _cut(self, first: int, end: int, height: float, full: float, *, forced: bool = False) -> "tuple[Band, Band]":
        """The rows before `end`, those from `first` on: one of them in both where it is cut through."""
        heads: list[Placed] = []
        rests: list[Placed] = []
        for placed in self.cells:
            last = placed.row + placed.down
            if last <= first:
                heads.append(placed)
                continue
            rest: Content | None = placed.content
            if placed.row < end:
                above = sum(self.heights[: placed.row])
                head: Content | None = None
                if placed.content is not None:
                    head, rest = placed.content.split(height - above - 2 * PADDING, full, forced=forced)
                heads.append(Placed(placed.row, placed.column, min(last, end) - placed.row, placed.cell, head))
            begin = max(placed.row, first)
            rests.append(Placed(begin - first, placed.column, last - begin, placed.cell, rest))
        return (
            Band(self.rows[:end], self.backgrounds[:end], heads),
            Band(self.rows[first:], self.backgrounds[first:], rests),
        )


def line_height(line: Line, size: float, spacing: float = 1.35) -> float:
    """Return the height of a line: of the largest size on it."""
    if len(line.pieces) == 1:
        return line.pieces[0].style.size * spacing
    return max([piece.style.size for piece in line.pieces], default=size) * spacing
