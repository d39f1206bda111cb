"""Blocks one below the other in a room of a width, with a new room where one is full. docs/adr/0054"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from bounded_contexts.documents.adapters.engines import chart_drawing
from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.adapters.engines.fonts import face_of
from bounded_contexts.documents.adapters.engines.lines import Breaker, Line
from bounded_contexts.documents.adapters.engines.pdf_drawings import place
from bounded_contexts.documents.domain.rendering.blocks import (
    Anchor,
    Barcode,
    Block,
    Columns,
    Contents,
    Group,
    Heading,
    Image,
    ListItem,
    Note,
    PageBreak,
    Paragraph,
    Rule,
    Run,
    Spacer,
    Style,
    Table,
)
from bounded_contexts.documents.domain.rendering.charts import Chart

FOLLOWING: Final = 40.0  # points that must be left below what is kept with its next
NUMBER_ROOM: Final = 40.0  # for a page's number, in a table of contents
LIST_STEP: Final = 16.0
RULE_ROOM: Final = 6.0
NOTE_GAP: Final = 10.0  # above the notes at a page's foot


Compound = Callable[["Flow", Table | Group | Columns], None]  # places what holds other blocks or rows


class Flow(ABC):
    """Where the next thing stands: `y` is the lower edge of what is there, `left` and `width` are the room's."""

    def __init__(self, sheets: Sheets, breaker: Breaker, known: tuple[Anchor, ...], compound: Compound) -> None:
        self.sheets, self.breaker, self.known, self.compound = sheets, breaker, known, compound
        self.left = self.width = self.y = 0.0
        self.number = 0  # of the page
        self._top = self._bottom = 0.0
        self.notes: list[tuple[Line, Style]] = []  # at the foot of this room
        self.notes_to_come: list[tuple[Line, Style]] = []

    @property
    def room(self) -> float:
        """Return the height that is left."""
        return self.y - self._bottom

    @property
    def depth(self) -> float:
        """Return the height of a room in which nothing stands."""
        return self._top - self._bottom

    @property
    def is_fresh(self) -> bool:
        """Return whether nothing stands in this room yet."""
        return self.y >= self._top - 0.01

    @abstractmethod
    def new_page(self) -> None:
        """Go on at the top of the next room."""

    @property
    @abstractmethod
    def following_room(self) -> float:
        """Return the height of the next room."""

    def height_of_notes(self, notes: Iterable[Note]) -> float:
        """Return what notes take at the foot of this room."""
        height = 0.0 if self.notes else NOTE_GAP
        lines = [line for note in notes for line in self._note_lines(note)]
        return height + sum([height_of(line, style) for line, style in lines]) if lines else 0.0

    def add_notes(self, notes: Iterable[Note]) -> None:
        """Put notes at the foot of this room, as far as there is place; the rest is for the next one."""
        self.notes_to_come += [line for note in notes for line in self._note_lines(note)]
        self.reserve_notes(self.room)

    def reserve_notes(self, room: float) -> None:
        """Give notes that are to come up to this height of the room."""
        while self.notes_to_come:
            line, style = self.notes_to_come[0]
            height = height_of(line, style) + (0.0 if self.notes else NOTE_GAP)
            if height > room:
                break
            room -= height
            self._bottom += height
            self.notes.append(self.notes_to_come.pop(0))

    def _note_lines(self, note: Note) -> list[tuple[Line, Style]]:
        mark = Run(str(note.number), replace(note.style, script="super"))
        lines = self.breaker.lines((mark, Run(" ", note.style), *note.runs), self.width)
        return [(line, note.style) for line in lines]

    def need(self, height: float) -> None:
        """Begin a new page unless the height is left, or nothing would be gained."""
        if height > self.room and not self.is_fresh:
            self.new_page()

    def place_all(self, blocks: Iterable[Block]) -> None:
        """Place blocks; what is kept with its next goes to its page."""
        waiting = iter(blocks)
        block = next(waiting, None)
        while block is not None:
            if isinstance(block, Heading | Paragraph) and block.style.keep_with_next:
                anchors: list[Anchor] = []
                following = next(waiting, None)
                while isinstance(following, Anchor):
                    anchors.append(following)
                    following = next(waiting, None)
                self._text(block, following.height if isinstance(following, Image | Barcode | Chart) else FOLLOWING)
                for anchor in anchors:
                    self.sheets.anchor(anchor)
                block = following
            else:
                self._place(block)
                block = next(waiting, None)

    def _place(self, block: Block) -> None:
        match block:
            case Heading() | Paragraph():
                self._text(block, 0.0)
            case ListItem():
                self._item(block)
            case Anchor():
                self.sheets.anchor(block)
            case Table() | Group() | Columns():
                self.compound(self, block)
            case Contents():
                self._contents(block)
            case Barcode():
                from bounded_contexts.documents.adapters.engines import barcodes  # 3 MB

                place(self, barcodes.drawing(block), block.align)
            case Chart():
                place(self, chart_drawing.drawing(block, self._measure), block.align)
            case Image():
                self._image(block)
            case Rule() | Spacer() | PageBreak():
                self._room(block)

    def _room(self, block: Rule | Spacer | PageBreak) -> None:
        if isinstance(block, Rule):
            self.need(RULE_ROOM)
            self._draw_rule(block)
        elif isinstance(block, Spacer) and block.height < self.room:
            self.y -= block.height
        else:
            self.new_page()

    def _text(self, block: Heading | Paragraph, following: float) -> None:
        style = block.style
        lines = self.breaker.lines(block.runs, self.width - style.indent)
        height = sum(height_of(line, style) for line in lines)
        if any(run.note for run in block.runs):
            height += self.height_of_notes([run.note for run in block.runs if run.note])
        if following or isinstance(block, Heading):
            self.need(style.space_before + height + style.space_after + following)
        if not self.is_fresh:
            self.y -= min(style.space_before, max(self.room, 0.0))
        if isinstance(block, Heading):
            self.need(height_of(lines[0], style))
        if any(run.field == "page" for run in block.runs):  # in one piece, on the page that it says
            self.need(height)
            lines = self.breaker.lines(block.runs, self.width - style.indent)
        self.flow(lines, style, style.indent, self.width - style.indent)
        self.y -= min(style.space_after, max(self.room, 0.0))

    def flow(self, lines: list[Line], style: Style, indent: float, width: float) -> None:
        """Draw lines over as many rooms as they take, so far from the left edge of each; neither the first nor the last one
        stands alone."""
        while lines:
            count, used = 0, 0.0
            notes: list[Note] = []
            for line in lines:
                notes += notes_of(line)
                used += height_of(line, style)
                if used + (self.height_of_notes(notes) if notes else 0.0) > self.room:
                    break
                count += 1
            if count < len(lines) and not self.is_fresh:
                count = _without_widows(count, len(lines))
            if count == 0 and self.is_fresh:
                count = 1
            for line in lines[:count]:
                self.put(line, self.left + indent, width, style)
            lines = lines[count:]
            if lines:
                self.new_page()

    def put(self, line: Line, x: float, width: float, style: Style) -> None:
        """Draw one line and go below it."""
        height = height_of(line, style)
        if style.background:
            self.sheets.box(x, self.y - height, width, height, style.background)
        self.sheets.line(line, x, self.y - base_of(line, style, height), width, style.align)
        self.y -= height
        if notes := notes_of(line):
            self.add_notes(notes)

    def _item(self, item: ListItem) -> None:
        style = item.style
        indent = style.indent + LIST_STEP * (item.level + 1)
        lines = self.breaker.lines(item.runs, self.width - indent)
        self.need(sum(height_of(line, style) for line in lines[:2]))
        if any(run.field == "page" for run in item.runs):
            self.need(sum(height_of(line, style) for line in lines))
            lines = self.breaker.lines(item.runs, self.width - indent)
        mark = self.breaker.lines((Run(item.mark, style),), LIST_STEP * 4)[0]
        height = height_of(lines[0], style)
        y = self.y - base_of(lines[0], style, height)
        left = self.left + indent - 5 - mark.width
        self.sheets.line(mark, left, y, mark.width, "left")
        self.flow(lines, style, indent, self.width - indent)
        self.y -= min(style.space_after, max(self.room, 0.0))

    def _contents(self, block: Contents) -> None:
        if block.title is not None:
            self._text(block.title, FOLLOWING)
        first, last = block.levels
        for entry in sorted(self.known, key=lambda each: each.number):
            if entry.kind == block.kind and first <= entry.level <= last:
                self._entry(entry, block.style, LIST_STEP * (entry.level - first))

    def _entry(self, entry: Anchor, style: Style, indent: float) -> None:
        number = self.breaker.lines((Run(str(entry.page), style),), NUMBER_ROOM)[0]
        lines = self.breaker.lines((Run(entry.text, style),), self.width - indent - NUMBER_ROOM)
        height = sum(height_of(line, style) for line in lines)
        self.need(height)
        self.flow(lines, replace(style, align="left"), indent, self.width - indent)
        left, right = self.left + indent, self.left + self.width
        y = self.y + height_of(lines[-1], style) - base_of(lines[-1], style, height_of(lines[-1], style))
        dots = self._dots(style, right - number.width - left - lines[-1].width - 6)
        if dots is not None:
            self.sheets.line(
                dots, left + lines[-1].width + 3, y, right - number.width - left - lines[-1].width - 6, "right"
            )
        self.sheets.line(number, right - number.width, y, number.width, "left")
        self.sheets.leads_to(entry.number, left, self.y, self.width - indent, height)
        self.y -= min(style.space_after, max(self.room, 0.0))

    def _dots(self, style: Style, room: float) -> Line | None:
        dot = face_of(style).width(" .", style.size)
        return self.breaker.lines((Run(" ." * int(room / dot), style),), room)[0] if room > dot else None

    def _measure(self, text: str, size: float) -> float:
        return self.breaker.natural((Run(text, Style(size=size)),))

    def _image(self, image: Image) -> None:
        scale = min(1.0, self.width / image.width, self.depth / image.height)
        if scale < 1.0:
            image = replace(image, width=image.width * scale, height=image.height * scale)
        self.need(image.height)
        self._draw_image(image)
        self.y -= min(4.0, max(self.room, 0.0))

    def _draw_image(self, image: Image) -> None:
        room = self.width - image.width
        x = self.left + {"left": 0.0, "center": room / 2, "right": room}.get(image.align, 0.0)
        self.y -= image.height
        self.sheets.image(image, x, self.y)

    def _draw_rule(self, rule: Rule) -> None:
        self.y -= RULE_ROOM / 2
        self.sheets.rule(self.left, self.y, self.width, rule.color, rule.thickness)
        self.y -= RULE_ROOM / 2


def height_of(line: Line, style: Style) -> float:
    """Return the height of a line: of the largest size on it."""
    size = max([piece.style.size for piece in line.pieces], default=style.size)
    return size * style.line_height


def notes_of(line: Line) -> list[Note]:
    """Return the notes whose marks stand on a line."""
    return [piece.note for piece in line.pieces if piece.note is not None]


def base_of(line: Line, style: Style, height: float) -> float:
    """Return how far below the upper edge the base line is: what the letters leave is halved."""
    size = max([piece.style.size for piece in line.pieces], default=style.size)
    face = line.pieces[0].face if line.pieces else face_of(style)
    return (height + (face.ascent - face.descent) * size) / 2


def _without_widows(count: int, total: int) -> int:
    if count == total - 1 and total > 2:
        count -= 1
    return count if count >= 2 or total <= 1 else 0
