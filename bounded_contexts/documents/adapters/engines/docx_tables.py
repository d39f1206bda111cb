"""Rows of tables in WordprocessingML: cells that reach over others, rows that repeat or break."""

from collections.abc import Callable, Iterator
from typing import Final

from bounded_contexts.documents.domain.rendering.blocks import Cell, Row, Table

ZEBRA: Final = "F5F7F9"
WHOLE: Final = "<w:cantSplit/>"


def rows(table: Table, widths: list[int], inner: Callable[[Cell], str]) -> Iterator[str]:
    """Yield the rows; `inner` makes the paragraphs of a cell."""
    header = _Rows(widths, inner)
    for row in table.header:
        yield header.row(row, f"{WHOLE}<w:tblHeader/>" if table.repeat_header else WHOLE)
    body = _Rows(widths, inner)
    for number, row in enumerate(table.rows):
        more = "" if table.break_rows and row.kind == "body" else WHOLE
        zebra = table.zebra and number % 2 == 1 and row.kind == "body"
        yield body.row(row, more, ZEBRA if zebra else None)
    if table.footer:
        yield _Rows(widths, inner).row(table.footer, WHOLE)


class _Rows:
    """Rows one after the other; where a cell reaches down, those below have a cell that says so."""

    def __init__(self, widths: list[int], inner: Callable[[Cell], str]) -> None:
        self._widths, self._inner = widths, inner
        self._above: dict[int, tuple[int, Cell]] = {}  # by column: rows that the cell still reaches over

    def row(self, row: Row, properties: str, background: str | None = None) -> str:
        found: list[str] = []
        for column, cell in enumerate(row.cells):
            if cell is not None:
                merge = '<w:vMerge w:val="restart"/>' if cell.down > 1 else ""
                found.append(self._cell(column, cell, merge, background, self._inner(cell)))
                if cell.down > 1:
                    self._above[column] = (cell.down, cell)
            elif column in self._above:
                found.append(self._cell(column, self._above[column][1], "<w:vMerge/>", background, "<w:p/>"))
        self._above = {column: (down - 1, cell) for column, (down, cell) in self._above.items() if down > 1}
        return f"<w:tr><w:trPr>{properties}</w:trPr>{''.join(found)}</w:tr>"

    def _cell(self, column: int, cell: Cell, merge: str, background: str | None, inner: str) -> str:
        width = sum(self._widths[column : column + cell.across])
        span = f'<w:gridSpan w:val="{cell.across}"/>' if cell.across > 1 else ""
        color = cell.style.background[1:] if cell.style.background else background
        shade = f'<w:shd w:val="clear" w:color="auto" w:fill="{color}"/>' if color else ""
        return f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/>{span}{merge}{shade}</w:tcPr>{inner}</w:tc>'
