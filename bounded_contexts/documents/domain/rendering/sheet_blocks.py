"""Sheets of a document whose cells are said one by one; elsewhere than in a workbook they are tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import Cell, Column, Row, Run, Sheet, Style, Table, Width
from bounded_contexts.documents.domain.rendering.column_formulas import shortened
from bounded_contexts.documents.domain.rendering.expressions import expression
from bounded_contexts.documents.domain.rendering.formula_functions import ERRORS
from bounded_contexts.documents.domain.rendering.formulas import Formula, formula
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.sheet_places import Place, area_of, column_of, in_order, place_of
from bounded_contexts.documents.domain.rendering.sheeting import (
    lines_of,
    print_of,
    protection_of,
    rule_of,
    validation_of,
)
from bounded_contexts.documents.domain.rendering.styles import points
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.rendering.texts import Texts
from bounded_contexts.documents.domain.values import Value

CELLS: Final = 100_000  # of the table that a sheet is elsewhere


@dataclass(slots=True)
class _Scope:
    """A sheet, as formulas see it."""

    context: Context
    values: dict[Place, Value]

    def step(self) -> None:
        self.context.step()

    def this(self, key: str) -> Value:
        raise LookupError(key)  # a formula of a sheet has no columns of its own

    def cells(self, area: str) -> list[Value]:
        found = area_of(area)
        if (found.top, found.left) == (found.bottom, found.right):
            return [self.values.get((found.top, found.left))]
        rows, columns = found.bottom - found.top + 1, found.right - found.left + 1
        if rows * columns <= len(self.values):
            places = [(found.top + at // columns, found.left + at % columns) for at in range(rows * columns)]
        else:
            places = sorted(place for place in self.values if place in found)
        for _ in places:
            self.context.step()
        return [self.values.get(place) for place in places]


def _has_comment(given: Value) -> bool:
    return isinstance(given, dict) and "comment" in given


class Sheets:
    """Makes sheets, and tables of them."""

    def __init__(self, texts: Texts, telling: Telling, base: Style) -> None:
        self._texts, self._telling, self._base = texts, telling, base

    def sheet(self, block: Mapping[str, Any], pointer: str) -> Sheet | Table:
        """Return a sheet, for a workbook; a table for other targets. Raise `TooLarge`."""
        self._telling.pointer = f"{pointer}/cells"
        cells = self._cells(block["cells"])
        merges = tuple([area_of(each) for each in block.get("merges", ())])
        widths = {column_of(name): points(width) for name, width in block.get("widths", {}).items()}
        comments = self._comments(block["cells"])
        if self._telling.target != "xlsx":
            return self._table(cells, Sheet("", cells, merges, widths))
        return Sheet(
            self._texts.filled(block.get("name", "")),
            cells,
            merges,
            widths,
            {name: area_of(area) for name, area in block.get("names", {}).items()},
            place_of(block["freeze"]) if "freeze" in block else None,
            block.get("hidden", False),
            tuple([(area_of(each["cells"]), rule_of(each, self._texts)) for each in block.get("rules", ())]),
            tuple(
                [(area_of(each["cells"]), validation_of(each, self._texts)) for each in block.get("validations", ())]
            ),
            print_of(block.get("print", {})),
            protection_of(block.get("protect", False)),
            comments,
            tuple([lines_of(each) for each in block.get("outline", ())]),
        )

    def _comments(self, given: Mapping[str, Any]) -> dict[Place, str]:
        said = {place_of(name): each["comment"] for name, each in given.items() if _has_comment(each)}
        if said:
            self._telling.uses("comment")
        return {place: self._texts.filled(said[place]) for place in sorted(said)}

    def _cells(self, given: Mapping[str, Any]) -> dict[Place, Cell]:
        context = self._texts.context
        placed = {place_of(name): each if isinstance(each, dict) else {"value": each} for name, each in given.items()}
        formulas = {place: formula(each["formula"]) for place, each in placed.items() if "formula" in each}
        values = {place: expression(each["value"])(context) for place, each in placed.items() if "value" in each}
        scope = _Scope(context, values)
        for place in in_order(formulas):
            if place not in values:
                values[place] = self._given(formulas[place], scope)
        styles = {place: self._texts.styles.over(self._base, each.get("style")) for place, each in placed.items()}
        return {place: self._cell(values.get(place), styles[place], formulas.get(place)) for place in sorted(placed)}

    def _given(self, found: Formula, scope: _Scope) -> Value:
        value = shortened(found.value(scope))
        if isinstance(value, str) and value in ERRORS:
            scope.context.warn("formula_error", f"a formula gives {value}")
        return value

    def _cell(self, value: Value, style: Style, own: Formula | None) -> Cell:
        return Cell((Run(self._texts.of_value(value, style), style),), style, value, formula=own)

    def _table(self, cells: dict[Place, Cell], sheet: Sheet) -> Table:
        rows, columns = [1 + max([place[at] for place in cells], default=0) for at in (0, 1)]
        if rows * columns > CELLS:
            raise TooLarge("sheet_cells", CELLS)
        grid: list[list[Cell | None]] = [
            [cells.get((row, column)) or Cell((), self._base) for column in range(columns)] for row in range(rows)
        ]
        for area in sheet.merges:
            self._merge(grid, area.top, area.left, min(area.bottom, rows - 1), min(area.right, columns - 1))
        widths = [sheet.widths.get(column) for column in range(columns)]
        return Table(
            tuple([Column(Cell((), self._base), Width("points", each) if each else Width("auto")) for each in widths]),
            tuple([Row(tuple(row)) for row in grid]),
        )

    def _merge(self, grid: list[list[Cell | None]], top: int, left: int, bottom: int, right: int) -> None:
        if top > bottom or left > right or (top, left) == (bottom, right):
            return
        first = grid[top][left] or Cell((), self._base)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                grid[row][column] = None
        grid[top][left] = Cell(
            first.runs, first.style, first.value, right - left + 1, bottom - top + 1, formula=first.formula
        )
