"""Tables on pages: columns as wide as asked for, rows whole, header and footer on each page."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final, Protocol

from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.adapters.engines.lines import Breaker, Line
from bounded_contexts.documents.domain.rendering.blocks import Cell, Row, Table

PADDING: Final = 3.0  # points on each side
SAMPLE: Final = 200  # rows that say how wide a column is, so that the others need not be waited for
LINE: Final = "#C0C4C8"
ZEBRA: Final = "#F5F7F9"
LEAST: Final = 12.0  # points of a column

Laid = tuple[list[list[Line]], float]  # the lines of each cell, the height of the row


class Pages(Protocol):
    """What a table needs of the layout."""

    sheets: Sheets
    breaker: Breaker
    left: float
    width: float
    y: float

    @property
    def room(self) -> float: ...

    @property
    def is_fresh(self) -> bool: ...

    def new_page(self) -> None: ...

    def need(self, height: float) -> None: ...


class TableLayout:
    """One table while it is drawn."""

    def __init__(self, pages: Pages, table: Table) -> None:
        self._pages, self._table = pages, table
        sample = list(islice(table.rows, SAMPLE))
        self._rows: Iterator[Row] = chain(sample, table.rows)
        self._widths = widths(table, sample, pages)
        self._header = Row(tuple(column.title for column in table.columns)) if table.has_header else None
        self._footer = table.footer
        self._footer_height = self._laid(table.footer)[1] if table.footer and table.repeat_footer else 0.0

    def draw(self) -> None:
        """Draw all rows, over as many pages as they take."""
        pages, table = self._pages, self._table
        header = self._laid(self._header)[1] if self._header else 0.0
        first = next(self._rows, None)
        height = header + (self._laid(first)[1] if first else 0.0) + self._footer_height
        if table.caption is not None:
            lines = pages.breaker.lines(table.caption.runs, pages.width)
            pages.need(height + sum(line_height(line, table.caption.style.size) for line in lines))
            for line in lines:
                self._line(line, table.caption.style.size)
        pages.need(height)
        self._draw_header()
        for number, row in enumerate(chain([first], self._rows) if first else self._rows):
            self._draw_row(row, ZEBRA if table.zebra and number % 2 and row.kind == "body" else None)
        if self._footer:
            self._draw_footer()
        pages.y -= min(6.0, max(pages.room, 0.0))

    def _line(self, line: Line, size: float) -> None:
        height = line_height(line, size)
        self._pages.sheets.line(line, self._pages.left, self._pages.y - height * 0.75, self._pages.width, "left")
        self._pages.y -= height

    def _draw_header(self) -> None:
        if self._header:
            laid = self._laid(self._header)
            if self._table.borders:
                self._edge()
            self._draw_cells(self._header, laid, None)

    def _draw_footer(self) -> None:
        if self._footer:
            laid = self._laid(self._footer)
            if not self._table.repeat_footer and laid[1] > self._pages.room:
                self._continue()
            self._draw_cells(self._footer, laid, None)

    def _continue(self) -> None:
        if self._table.repeat_footer:
            self._draw_footer()
        self._pages.new_page()
        if self._table.repeat_header:
            self._draw_header()

    def _draw_row(self, row: Row, background: str | None) -> None:
        laid = self._laid(row)
        if laid[1] <= self._pages.room - self._footer_height:
            self._draw_cells(row, laid, background)
            return
        if not self._pages.is_fresh:
            self._continue()
        while laid[1] > self._pages.room - self._footer_height and any(len(lines) > 1 for lines in laid[0]):
            head, laid = self._split(row, laid)
            self._draw_cells(row, head, background)
            if not any(laid[0]):
                return
            self._continue()
        self._draw_cells(row, laid, background)

    def _split(self, row: Row, laid: Laid) -> tuple[Laid, Laid]:
        """A row that is higher than a page: what fits, and the rest."""
        room = self._pages.room - self._footer_height - 2 * PADDING
        heads: list[list[Line]] = []
        rests: list[list[Line]] = []
        for cell, lines in zip(row.cells, laid[0], strict=True):
            count = max(1, int(room / (max_size(lines, cell) * cell.style.line_height)))
            heads.append(lines[:count])
            rests.append(lines[count:])
        return (heads, _height(row, heads)), (rests, _height(row, rests))

    def _laid(self, row: Row | None) -> Laid:
        if row is None:
            return [], 0.0
        lines = [
            self._pages.breaker.lines(cell.runs, width - 2 * PADDING)
            for cell, width in zip(row.cells, self._widths, strict=True)
        ]
        return lines, _height(row, lines)

    def _draw_cells(self, row: Row, laid: Laid, background: str | None) -> None:
        pages, (lines, height) = self._pages, laid
        x, top = pages.left, pages.y
        for cell, texts, width in zip(row.cells, lines, self._widths, strict=True):
            if color := cell.style.background or background:
                pages.sheets.box(x, top - height, width, height, color)
            y = top - PADDING
            for line in texts:
                across = line_height(line, cell.style.size, cell.style.line_height)
                pages.sheets.line(line, x + PADDING, y - across * 0.74, width - 2 * PADDING, cell.style.align)
                y -= across
            x += width
        pages.y = top - height
        if self._table.borders:
            self._edge()

    def _edge(self) -> None:
        self._pages.sheets.rule(self._pages.left, self._pages.y, sum(self._widths), LINE, 0.5)


def line_height(line: Line, size: float, spacing: float = 1.35) -> float:
    """Return the height of a line: of the largest size on it."""
    return max([piece.style.size for piece in line.pieces], default=size) * spacing


def max_size(lines: list[Line], cell: Cell) -> float:
    """Return the largest size in the lines."""
    return max([piece.style.size for line in lines for piece in line.pieces], default=cell.style.size)


def _height(row: Row, cells: list[list[Line]]) -> float:
    tallest = max(
        sum([line_height(line, cell.style.size, cell.style.line_height) for line in lines])
        for cell, lines in zip(row.cells, cells, strict=True)
    )
    return tallest + 2 * PADDING


def widths(table: Table, sample: list[Row], pages: Pages) -> list[float]:
    """Return the columns' widths in points. Fixed ones first, then those as wide as their content, then shares of the rest;
    where that is more than there is room, all are narrowed alike."""
    wanted = []
    shares = 0.0
    for number, column in enumerate(table.columns):
        if column.width.kind == "points":
            wanted.append(max(column.width.amount, LEAST))
        elif column.width.kind == "auto":
            cells = [column.title, *[row.cells[number] for row in sample]]
            if table.footer:
                cells.append(table.footer.cells[number])
            natural = max(pages.breaker.natural(cell.runs) for cell in cells)
            wanted.append(max(natural + 2 * PADDING + 0.01, LEAST))
        else:
            shares += column.width.amount
            wanted.append(0.0)
    left = pages.width - sum(wanted)
    if shares:
        least = LEAST * 2 * sum(1 for column in table.columns if column.width.kind == "share")
        left = max(left, least)
        for number, column in enumerate(table.columns):
            if column.width.kind == "share":
                wanted[number] = left * column.width.amount / shares
    total = sum(wanted)
    return _narrowed(wanted, pages.width) if total > pages.width else wanted


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
