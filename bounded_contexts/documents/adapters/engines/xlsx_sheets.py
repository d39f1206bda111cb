"""Sheets whose cells are said one by one."""

from typing import Any, Final

from bounded_contexts.documents.adapters.engines.xlsx_cells import Cells
from bounded_contexts.documents.adapters.engines.xlsx_features import Features, print_set, validation_of
from bounded_contexts.documents.domain.rendering.blocks import Sheet
from bounded_contexts.documents.domain.rendering.sheet_places import Area

CHARACTER: Final = 5.25  # points of a character, in which columns are measured


def write_sheet(sheet: Any, block: Sheet, cells: Cells, features: Features, *, is_first: bool) -> None:
    """Write all of it. The first sheet of a workbook is not hidden: one is seen at least."""
    for column, width in block.widths.items():
        sheet.set_column(column, column, min(width / CHARACTER, 255.0))
    for (row, column), cell in block.cells.items():
        if cell.formula:
            cells.formula(sheet, row, column, cell, cell.formula.text(str), None)
        else:
            cells.cell(sheet, row, column, cell, None)
    for area in block.merges:
        sheet.merge.append([*_corners(area)])  # merge_range would write cells that are written already
    for name, area in block.names.items():
        features.define(name, sheet, _corners(area))
    for area, rule in block.rules:
        features.rule(sheet, rule, _corners(area))
    for area, validation in block.validations:
        sheet.data_validation(*_corners(area), validation_of(validation))
    if block.freeze:
        sheet.freeze_panes(*block.freeze)
    if block.hidden and not is_first:
        sheet.hide()
    last = [max([place[at] for place in block.cells], default=0) for at in (0, 1)]
    print_set(sheet, block.print, (0, 0, last[0], last[1]))


def _corners(area: Area) -> tuple[int, int, int, int]:
    return area.top, area.left, area.bottom, area.right
