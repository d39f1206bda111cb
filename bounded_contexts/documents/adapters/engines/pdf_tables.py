"""Tables on pages: columns as wide as asked for, rows whole, header and footer on each page."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from bounded_contexts.documents.adapters.engines.lines import Line
from bounded_contexts.documents.adapters.engines.pdf_cells import PADDING, Band, Blocks, Placed, Text, line_height
from bounded_contexts.documents.adapters.engines.pdf_flow import LIST_STEP, Flow
from bounded_contexts.documents.domain.rendering.blocks import (
    Block,
    Cell,
    Group,
    Heading,
    Image,
    ListItem,
    Paragraph,
    Row,
    Table,
    Width,
)

SAMPLE: Final = 200  # rows that say how wide a column is, so that the others need not be waited for
LINE: Final = "#C0C4C8"
ZEBRA: Final = "#F5F7F9"
LEAST: Final = 12.0  # points of a column
SOME: Final = 72.0  # points that blocks ask for whose width follows from that of their room


class TableLayout:
    """One table while it is drawn."""

    def __init__(self, flow: Flow, table: Table) -> None:
        self._flow, self._table = flow, table
        rows = iter(table.rows)
        sample = list(islice(rows, SAMPLE))
        self._rows: Iterator[Row] = chain(sample, rows)
        self._widths = widths(table, sample, flow)
        self._header = self._band(table.header) if table.header else None
        self._footer = self._band([table.footer]) if table.footer else None
        self._last: Row | None = None
        self._at_top = False  # of a page, below the header
        # what each page keeps free for its last rows
        self._reserved = self._footer.height if self._footer and table.repeat_footer else 0.0
        if sample and sample[0].carried:
            self._reserved += max(self._band([row]).height for row in sample[0].carried())

    def draw(self) -> None:
        """Draw all rows, over as many pages as they take."""
        flow, table = self._flow, self._table
        bands = self._bands()
        first = next(bands, None)
        header = self._header.height if self._header else 0.0
        height = header + (first.height if first else 0.0) + self._reserved
        if table.caption is not None:
            lines = flow.breaker.lines(table.caption.runs, flow.width)
            flow.need(height + sum(line_height(line, table.caption.style.size) for line in lines))
            for line in lines:
                self._line(line, table.caption.style.size)
        flow.need(height)
        self._at_top = flow.is_fresh
        self._draw_header()
        for band in chain([first] if first else [], bands):
            self._draw_band(band)
        if self._footer:
            if not table.repeat_footer and self._footer.height > flow.room:
                self._continue()
            self._put(self._footer)
        flow.y -= min(6.0, max(flow.room, 0.0))

    def _line(self, line: Line, size: float) -> None:
        height = line_height(line, size)
        self._flow.sheets.line(line, self._flow.left, self._flow.y - height * 0.75, self._flow.width, "left")
        self._flow.y -= height

    def _draw_header(self) -> None:
        if self._header:
            if self._table.borders:
                self._edge(0, len(self._widths))
            self._put(self._header)

    def _bands(self) -> Iterator[Band]:
        """The rows, those together that a cell reaches over, and the heads of groups with what they are above."""
        rows: list[Row] = []
        colors: list[str | None] = []
        below = 0
        for number, row in enumerate(self._rows):
            rows.append(row)
            colors.append(ZEBRA if self._table.zebra and number % 2 and row.kind == "body" else None)
            below = max(below, *[cell.down for cell in row.cells if cell is not None], 1) - 1
            if not below and row.kind != "group":
                yield self._band(rows, colors)
                rows, colors = [], []
        if rows:
            yield self._band(rows, colors)

    def _band(self, rows: Iterable[Row], colors: list[str | None] | None = None) -> Band:
        rows = list(rows)
        breaker, widths = self._flow.breaker, self._widths
        cells: list[Placed] = []
        for number, row in enumerate(rows):
            for column, cell in enumerate(row.cells):
                if cell is None:
                    continue
                width = widths[column] if cell.across == 1 else sum(widths[column : column + cell.across])
                width -= 2 * PADDING
                content = (
                    Blocks(self._flow, cell.blocks, width)
                    if cell.blocks
                    else Text(breaker.lines(cell.runs, width), cell.style, with_notes=_has_notes(cell))
                )
                cells.append(Placed(number, column, min(cell.down, len(rows) - number), cell, content))
        return Band(rows, colors or [None] * len(rows), cells)

    def _continue(self) -> None:
        carried = self._last.carried() if self._last is not None and self._last.carried is not None else None
        if carried:
            self._put(self._band([carried[0]]))
        if self._table.repeat_footer and self._footer:
            self._put(self._footer)
        self._flow.new_page()
        if self._table.repeat_header:
            self._draw_header()
        if carried:
            self._put(self._band([carried[1]]))
        self._at_top = True

    @property
    def _room(self) -> float:
        return self._flow.room - self._reserved

    def _draw_band(self, band: Band) -> None:
        if self._height(band) > self._room and not self._at_top and not self._table.break_rows:
            self._continue()
        while self._height(band) > self._room:
            head, rest = band.split(
                self._room, self._full, inside=self._table.break_rows or self._at_top, forced=self._at_top
            )
            if rest is None:
                break
            if head is not None:
                self._put(head)
            band = rest
            self._continue()
        self._put(band)
        self._last = band.rows[-1]
        self._at_top = False

    def _height(self, band: Band) -> float:
        return band.height + self._flow.height_of_notes(band.notes) if band.notes else band.height

    @property
    def _full(self) -> float:
        """The height of a cell that fills a page."""
        header = self._header.height if self._header and self._table.repeat_header else 0.0
        return self._flow.following_room - header - self._reserved - 2 * PADDING

    def _put(self, band: Band) -> None:
        """Draw rows here: backgrounds, then what is on them, then lines where no cell reaches over."""
        flow = self._flow
        tops = [flow.y]
        for height in band.heights:
            tops.append(tops[-1] - height)
        lefts = [flow.left]
        for width in self._widths:
            lefts.append(lefts[-1] + width)
        for placed in band.cells:
            cell, top, x = placed.cell, tops[placed.row], lefts[placed.column]
            width = lefts[placed.column + cell.across] - x
            if color := cell.style.background or band.backgrounds[placed.row]:
                bottom = tops[placed.row + placed.down]
                flow.sheets.box(x, bottom, width, top - bottom, color)
            if placed.content is not None:
                placed.content.draw(flow, x + PADDING, top - PADDING, width - 2 * PADDING)
        if self._table.borders:
            for number in range(1, len(tops)):
                flow.y = tops[number]
                self._edges(band, number)
        flow.y = tops[-1]
        if band.notes:
            flow.add_notes(band.notes)

    def _edges(self, band: Band, above: int) -> None:
        """The line below a row."""
        over = [placed for placed in band.cells if placed.row < above < placed.row + placed.down]
        begin = 0
        for placed in sorted(over, key=lambda each: each.column):
            self._edge(begin, placed.column)
            begin = placed.column + placed.cell.across
        self._edge(begin, len(self._widths))

    def _edge(self, first: int, end: int) -> None:
        if first < end:
            x = self._flow.left + sum(self._widths[:first])
            self._flow.sheets.rule(x, self._flow.y, sum(self._widths[first:end]), LINE, 0.5)


def _has_notes(cell: Cell) -> bool:
    return len(cell.runs) > 1 and any(run.note for run in cell.runs)


def _natural(cell: Cell | None, flow: Flow) -> float:
    """How wide a cell of one column is when nothing is broken."""
    if cell is None or cell.across > 1:
        return 0.0
    if not cell.blocks:
        return flow.breaker.natural(cell.runs)
    return natural_width(cell.blocks, flow)


def natural_width(blocks: Iterable[Block], flow: Flow) -> float:
    """Return how wide blocks are when nothing in them is broken."""
    return max([_natural_block(block, flow) for block in blocks], default=0.0)


def _natural_block(block: Block, flow: Flow) -> float:
    match block:
        case Group():
            return natural_width(block.blocks, flow) + 2 * block.padding
        case Heading() | Paragraph():
            return flow.breaker.natural(block.runs) + block.style.indent
        case ListItem():
            return flow.breaker.natural(block.runs) + LIST_STEP * (block.level + 1)
        case Image():
            return block.width
    return SOME


def widths(table: Table, sample: list[Row], flow: Flow) -> list[float]:
    """Return the columns' widths in points."""
    carried = next((row.carried() for row in reversed(sample) if row.carried), ())
    rows = [*table.header, *sample, *carried, *([table.footer] if table.footer else [])]

    def natural(number: int) -> float:
        return max([_natural(row.cells[number], flow) for row in rows], default=0.0) + 2 * PADDING + 0.01

    return shared([column.width for column in table.columns], flow.width, natural)


def shared(asked: Sequence[Width], room: float, natural: Callable[[int], float]) -> list[float]:
    """Return widths in points. Fixed ones first, then those as wide as their content, then shares of the rest; where that
    is more than there is room, all are narrowed alike."""
    wanted = []
    shares = 0.0
    for number, width in enumerate(asked):
        if width.kind == "share":
            shares += width.amount
            wanted.append(0.0)
        else:
            wanted.append(max(width.amount if width.kind == "points" else natural(number), LEAST))
    if shares:
        least = LEAST * 2 * sum(1 for width in asked if width.kind == "share")
        left = max(room - sum(wanted), least)
        for number, width in enumerate(asked):
            if width.kind == "share":
                wanted[number] = left * width.amount / shares
    return _narrowed(wanted, room) if sum(wanted) > room else wanted


def _narrowed(wanted: list[float], room: float) -> list[float]:
    """Return widths that fit: the widest give first, so that narrow columns stay readable."""
    widest = room / len(wanted)
    for _ in range(20):
        small = [width for width in wanted if width <= widest]
        large = len(wanted) - len(small)
        if not large:
            break
        level = (room - sum(small)) / large
        if level <= widest + 0.01:
            break
        widest = level
    return [min(width, widest) for width in wanted]
