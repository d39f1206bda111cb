"""Outlines of workbooks: rows and columns that are folded together, with what sums them up below or above."""

from collections import Counter
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.blocks import Row, Table
from bounded_contexts.documents.domain.rendering.sheets import Lines

_CHARACTER: Final = 5.25  # points of a character, in which columns are measured


class Outline:
    """Folds the rows of a table by its groups, row by row before their cells are written."""

    def __init__(self, sheet: Any, table: Table) -> None:
        self._sheet = sheet
        self._how = table.on_sheet.outline
        self._is_above = table.on_sheet.is_summed_above
        if self._how is not None:
            sheet.outline_settings(True, not self._is_above, True, False)

    def row(self, number: int, row: Row) -> None:
        """Fold a row. Rows come in order."""
        if self._how is None:
            return
        collapsed = self._how == "collapsed"
        sums = row.kind == ("group" if self._is_above else "subtotal")
        options = {"level": row.depth, "hidden": collapsed and row.depth > 0, "collapsed": collapsed and sums}
        self._sheet.set_row(number, None, None, options)
        self._sheet.row_info.pop(number - 2, None)  # of a row that is on the disk already: there may be a million


def fold(sheet: Any, outline: tuple[Lines, ...], widths: dict[int, float]) -> set[int]:
    """Fold rows and columns of a sheet, and set the columns' widths in points. Called before cells are written. Return the
    rows that say something, which the workbook leaves out if they have no cell."""
    levels: Counter[tuple[str, int]] = Counter()
    hidden: set[tuple[str, int]] = set()
    sums: set[tuple[str, int]] = set()
    for each in outline:
        lines = {(each.kind, line) for line in range(each.first, each.last + 1)}
        levels.update(lines)
        if each.is_collapsed:
            hidden |= lines
            sums.add((each.kind, each.last + 1))
    for line in sorted({*levels, *sums, *[("columns", column) for column in widths]}):
        kind, number = line
        options = {"level": levels[line], "hidden": line in hidden, "collapsed": line in sums}
        if kind == "rows":
            sheet.set_row(number, None, None, options)
        else:
            width = min(widths[number] / _CHARACTER, 255.0) if number in widths else None
            sheet.set_column(number, number, width, None, options)
    return {number for kind, number in (*levels, *sums) if kind == "rows"}
