"""One sheet of an XLSX template: its rows come one by one, and everything else of it follows them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import escape

from lxml import etree

from bounded_contexts.documents.adapters.engines.xlsx_cells import fits
from bounded_contexts.documents.adapters.formats.xlsx_cells import COLUMNS, ROWS, column_of, letters
from bounded_contexts.documents.adapters.templates.axis import Axis, Lines, Node
from bounded_contexts.documents.adapters.templates.pairs import Pair, paired
from bounded_contexts.documents.adapters.templates.program import DECLARED, Field, Filling, Program, bad, gather, run
from bounded_contexts.documents.adapters.templates.references import Here, Shape, Shapes
from bounded_contexts.documents.adapters.templates.runs import SHEET, whole
from bounded_contexts.documents.adapters.templates.sheet_cells import Cell, CellReader, CellWriter, DatedStyles
from bounded_contexts.documents.adapters.templates.sheet_parts import follow
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.functions import text_of
from bounded_contexts.documents.domain.rendering.markers import markers
from bounded_contexts.documents.domain.rendering.problems import BadExpression
from bounded_contexts.documents.domain.rendering.texts import clean
from bounded_contexts.documents.domain.rendering.variables import Variables
from bounded_contexts.documents.domain.values import Value

_SPLIT: Final = "hw-rows"
_FURNITURE: Final = tuple(
    f"{SHEET}{name}" for name in ("oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter")
)


@dataclass(slots=True)
class Row:
    """A row of a template."""

    head: str  # attributes but its number
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column where it has gone to: that of the template, the times round, what the names of its loops mean."""

    line: int
    steps: dict[int, int]
    names: dict[str, Any]
    is_empty: bool


@dataclass(slots=True)
class Sheet:
    """A sheet that has been read: rows by their number, both axes, and the rest as a tree."""

    name: str
    part: str
    root: Any
    rows: dict[int, Row] = field(default_factory=dict)
    down: Axis = field(default_factory=lambda: Axis([], frozenset()))
    across: Axis = field(default_factory=lambda: Axis([], frozenset()))
    furniture: dict[str, Program] = field(default_factory=dict)  # headers and footers with fields, by their tag

    @property
    def key(self) -> str:
        """Return the name as references are looked up."""
        return self.name.lower()

    @property
    def last_row(self) -> int:
        """Return the number of the last row of the template."""
        return max(self.rows, default=0)

    @property
    def last_column(self) -> int:
        """Return the number of the last column that has a cell or a width."""
        found = [cell.column for row in self.rows.values() for cell in row.cells]
        found += [whole(each.get("max")) for each in self.root.iter(f"{SHEET}col")]
        return min(max(found, default=0), COLUMNS)

    def shape(self, filling: Filling) -> Shape:
        """Return where its rows and columns go with the data."""
        return Shape(self.down.laid(filling.context), self.across.laid(filling.context))

    def gather(self, variables: Variables) -> None:
        """Gather what it needs."""
        for program in self.furniture.values():
            gather(program, variables)
        self._gather(self.down.nodes, variables)

    def _gather(self, nodes: list[Node], variables: Variables) -> None:
        for node in nodes:
            if isinstance(node, Lines):
                for row in sorted(each for each in self.rows if node.first <= each <= node.last):
                    for cell in self.rows[row].cells:
                        self._gather_cell(cell, variables)
            elif loop := node.pair.begin.marker.loop:
                with variables.each(loop):
                    self._gather(node.then, variables)
            else:
                variables.marker(node.pair.begin.marker)
                self._gather(node.then, variables)
                self._gather(node.other, variables)

    def _gather_cell(self, cell: Cell, variables: Variables) -> None:
        with ExitStack() as stack:
            for span in self.across.spans:
                if span.first <= cell.column <= span.last and (loop := span.pair.begin.marker.loop):
                    stack.enter_context(variables.each(loop))
            if cell.value:
                variables.marker(cell.value.marker, "any")
            gather(cell.text, variables)


def read_sheet(root: Any, name: str, part: str, texts: Mapping[int, Any]) -> Sheet:
    """Return the sheet of a part. Raise `Unreadable`, `TooLarge`."""
    sheet = Sheet(name, part, root)
    reader = CellReader(dict(texts), name)
    data = root.find(f"{SHEET}sheetData")
    if data is None:
        return sheet
    number = 0
    for element in data:
        number = _row_number(element.get("r"), number + 1, name)
        sheet.rows[number] = _row(element, number, reader)
    data.clear()
    data.tag = _SPLIT
    for tag in _FURNITURE:
        for each in root.iter(tag):
            if "{{" in (each.text or ""):
                sheet.furniture[tag] = _furniture(each.text, f"{name}, header or footer")
    _set_axes(sheet)
    return sheet


def _furniture(text: str, place: str) -> Program:
    try:
        found = list(markers(text))
    except BadExpression as error:
        raise bad(place, str(error)) from None
    program: list[str | Field] = []
    at = 0
    for marker in found:
        if marker.kind not in ("field", "brace"):
            raise bad(place, "headers and footers have fields only")
        program.append(text[at : marker.start])
        program.append("{{" if marker.kind == "brace" else Field(marker, _coded, place))
        at = marker.end
    return (*program, text[at:])


def _coded(value: Value) -> str:
    return clean(text_of(value)).replace("&", "&&")  # what stands behind a single one is a code


def _row_number(given: str | None, expected: int, name: str) -> int:
    number = expected if given is None else int(given) if given.isdecimal() and len(given) < 8 else 0
    if not expected <= number <= ROWS:
        raise bad(name, "its rows are in no order")
    return number


def _row(element: Any, number: int, reader: CellReader) -> Row:
    head = "".join(
        [f' {key}="{escape(value)}"' for key, value in element.items() if key not in ("r", "spans") and key[:1] != "{"]
    )
    cells: list[Cell] = []
    column = 0
    for each in element:
        column = column_of(each.get("r")) + 1 if each.get("r") else column + 1
        cells.append(reader.cell(each, number, column, f"{letters(column - 1)}{number}"))
    return Row(head, cells)


def _set_axes(sheet: Sheet) -> None:
    placed = [
        (control, number, cell.column)
        for number, row in sheet.rows.items()
        for cell in row.cells
        for control in cell.controls
    ]
    at = {id(control): (row, column) for control, row, column in placed}
    down: list[tuple[Pair, int, int, int]] = []
    across: dict[tuple[int, int, str], tuple[Pair, int, int, int]] = {}
    for pair in paired([control for control, _, _ in placed]):
        (top, left), (bottom, right) = at[id(pair.begin)], at[id(pair.end)]
        loop = pair.begin.marker.loop
        if loop and loop.is_across:
            if top != bottom:
                raise bad(pair.begin.place, "across begins and ends in cells of one row")
            across.setdefault((left, right, pair.begin.marker.text), (pair, left, right, 0))
            continue
        middle = at[id(pair.other)][0] if pair.other else 0
        if middle and middle == top:
            raise bad(pair.begin.place, "{{else}} stands in a row behind that of its {{#if}}")
        down.append((pair, top, bottom, middle))
    gone = frozenset(
        number
        for number, row in sheet.rows.items()
        if any(cell.controls for cell in row.cells)
        and not any(cell.value or cell.text or cell.formula or cell.fixed not in ("", "/>") for cell in row.cells)
        and not any(_is_across(cell) for cell in row.cells)
    )
    sheet.down = Axis(down, gone)
    sheet.across = Axis(sorted(across.values(), key=lambda each: (each[1], -each[2])), frozenset())


def _is_across(cell: Cell) -> bool:
    return any(control.marker.loop and control.marker.loop.is_across for control in cell.controls)


class SheetWriter:
    """Writes one sheet."""

    def __init__(self, sheet: Sheet, filling: Filling, shapes: Shapes, styles: DatedStyles) -> None:
        self._sheet, self._filling, self._shapes = sheet, filling, shapes
        self._cells = CellWriter(filling, shapes, styles)
        self._columns = self._laid_columns()
        self._plans: dict[int, list[tuple[str, Cell, _Column]]] = {}

    def pieces(self) -> Iterator[str]:
        """Yield the part."""
        root = deepcopy(self._sheet.root)
        self._widths(root)
        follow(root, self._sheet.key, self._shapes)
        for tag, program in self._sheet.furniture.items():
            for each in root.iter(tag):
                each.text = fits("".join(run(program, self._filling, set())))
        head, _, tail = etree.tostring(root, encoding="unicode").partition(f"<{_SPLIT}/>")
        yield f'{DECLARED}{head}<sheetData xmlns="{SHEET[1:-1]}">'
        yield from self._rows()
        yield f"</sheetData>{tail}"

    def _laid_columns(self) -> list[_Column]:
        names = self._filling.context.names
        before = dict(names)
        found: list[_Column] = []
        lines = self._sheet.across.lines(self._filling.context, self._sheet.last_column)
        for line, steps, is_empty in lines:
            own = {name: value for name, value in names.items() if name not in before or before[name] is not value}
            found.append(_Column(line, dict(steps), own, is_empty))
            if len(found) > COLUMNS:
                raise TooLarge("columns", COLUMNS)
        return found

    def _rows(self) -> Iterator[str]:
        sheet = self._sheet
        number = 0
        for line, steps, is_blank in sheet.down.lines(self._filling.context, sheet.last_row):
            number += 1
            if number > ROWS:
                raise TooLarge("rows", ROWS)
            row = sheet.rows.get(line)
            if row is None:
                continue
            if steps:
                self._filling.repeated()
            cells = [
                self._cell(f"{name}{number}", cell, column, steps, is_blank=is_blank)
                for name, cell, column in self._plan(line, row)
            ]
            yield f'<row r="{number}"{row.head}>{"".join(cells)}</row>'

    def _plan(self, line: int, row: Row) -> list[tuple[str, Cell, _Column]]:
        """Return a row's cells where its columns have gone to."""
        if line not in self._plans:
            by_column = {cell.column: cell for cell in row.cells}
            self._plans[line] = [
                (letters(index), by_column[column.line], column)
                for index, column in enumerate(self._columns)
                if column.line in by_column
            ]
        return self._plans[line]

    def _cell(self, place: str, cell: Cell, column: _Column, steps: dict[int, int], *, is_blank: bool) -> str:
        if is_blank or column.is_empty:
            return self._cells.empty(cell, place)
        here = Here(self._sheet.key, steps, column.steps)
        if not column.names:
            return self._cells.written(cell, place, here)
        names = self._filling.context.names
        before = {name: names[name] for name in column.names if name in names}
        names.update(column.names)
        try:
            return self._cells.written(cell, place, here)
        finally:
            for name in column.names:
                names.pop(name, None)
            names.update(before)

    def _widths(self, root: Any) -> None:
        """Have widths follow their columns."""
        widths = root.find(f"{SHEET}cols")
        if widths is None or self._sheet.across.is_still:
            return
        given = list(widths)
        for each in given:
            widths.remove(each)
        for number, column in enumerate(self._columns, 1):
            for each in given:
                if whole(each.get("min")) <= column.line <= whole(each.get("max")):
                    own = deepcopy(each)
                    own.set("min", str(number))
                    own.set("max", str(number))
                    widths.append(own)
        if not len(widths):
            root.remove(widths)
