"""Sheets whose cells are said one by one."""

from typing import Any

from bounded_contexts.documents.adapters.engines.xlsx_cells import Cells
from bounded_contexts.documents.adapters.engines.xlsx_features import Features, comment_at, print_set, validation_of
from bounded_contexts.documents.adapters.engines.xlsx_outline import fold
from bounded_contexts.documents.adapters.engines.xlsx_protection import protect
from bounded_contexts.documents.domain.rendering.blocks import Cell, Sheet, Style
from bounded_contexts.documents.domain.rendering.sheet_places import Area


def write_sheet(sheet: Any, block: Sheet, cells: Cells, features: Features, *, is_first: bool) -> None:
    """Write all of it. The first sheet of a workbook is not hidden: one is seen at least."""
    folded = fold(sheet, block.outline, dict(block.widths)) - {row for row, _ in block.cells}
    for place, text in block.comments.items():
        comment_at(sheet, place, text)
    for row, column in sorted({*block.cells, *[(row, 0) for row in folded]}):
        _write(sheet, row, column, block.cells.get((row, column)), cells)
    for area in block.merges:
        sheet.merge.append([*_corners(area)])  # merge_range would write cells that are written already
    for name, area in block.names.items():
        features.define(name, sheet, _corners(area))
    for area, rule in block.rules:
        features.rule(sheet, rule, _corners(area))
    for area, validation in block.validations:
        sheet.data_validation(*_corners(area), validation_of(validation))
    protect(sheet, block.protection)
    if block.freeze:
        sheet.freeze_panes(*block.freeze)
    if block.hidden and not is_first:
        sheet.hide()
    last = [max([place[at] for place in block.cells], default=0) for at in (0, 1)]
    print_set(sheet, block.print, (0, 0, last[0], last[1]))


def _write(sheet: Any, row: int, column: int, cell: Cell | None, cells: Cells) -> None:
    if cell is None:
        cells.text(sheet, row, column, (), Style())
    elif cell.formula:
        cells.formula(sheet, row, column, cell, cell.formula.text(str), None)
    else:
        cells.cell(sheet, row, column, cell, None)


def _corners(area: Area) -> tuple[int, int, int, int]:
    return area.top, area.left, area.bottom, area.right
