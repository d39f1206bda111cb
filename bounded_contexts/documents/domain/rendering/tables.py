"""Tables of a document: columns, and rows that come one by one out of the data."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Literal

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import Block, Cell, Column, Paragraph, Row, Run, Style, Table
from bounded_contexts.documents.domain.rendering.column_formulas import ColumnFormulas
from bounded_contexts.documents.domain.rendering.expressions import (
    Compiled,
    each_in,
    each_of,
    expression,
    named,
    path_of,
    truth,
)
from bounded_contexts.documents.domain.rendering.formulas import Formula, formula
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.groups import Groups, Level
from bounded_contexts.documents.domain.rendering.sheeting import column_on_sheet, on_sheet
from bounded_contexts.documents.domain.rendering.spans import Grid, is_cell, size_of
from bounded_contexts.documents.domain.rendering.styles import width_of
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.rendering.texts import Texts
from bounded_contexts.documents.domain.rendering.totals import Total
from bounded_contexts.documents.domain.values import Value

Nested = Callable[[list[dict[str, Any]], str], tuple[Block, ...]]


@dataclass(slots=True)
class _Plan:
    """A column as its rows need it."""

    value: Compiled | None
    style: Style
    formats: list[tuple[Compiled, Value]]
    total: Total
    total_text: str | None
    blocks: list[dict[str, Any]] | None
    formula: Formula | None = None


class Tables:
    """Makes tables. `rows` counts those of all of them; `nested` makes the blocks in a cell."""

    def __init__(self, texts: Texts, telling: Telling, base: Style, nested: Nested) -> None:
        self._texts, self._telling, self._base = texts, telling, replace(base, space_after=0.0)
        self._nested = nested
        self.rows = 0

    def table(self, block: dict[str, Any], pointer: str) -> Table:
        """Return a table whose rows are still to come."""
        style = self._texts.styles.over(self._base, block.get("style"))
        self._tell(block)
        plans = [self._plan(column, style) for column in block["columns"]]
        footer = None
        if "footer" in block:
            bold = [_fixed(self._texts.styles.over(plan.style, "total")) for plan in plans]
            footer = self._static(block["footer"], bold, Grid(len(plans)), f"{pointer}/footer")
        caption_style = self._texts.styles.over(self._base, "caption")
        caption = block.get("caption")
        columns = tuple(
            self._column(column, style, f"{pointer}/columns/{number}") for number, column in enumerate(block["columns"])
        )
        return Table(
            columns=columns,
            rows=self._rows(block, plans, style, pointer),
            header=self._header(block, columns, pointer),
            footer=footer,
            repeat_header=block.get("repeatHeader", True),
            repeat_footer=block.get("repeatFooter", False),
            break_rows=block.get("breakRows", False),
            zebra=block.get("zebra", False),
            borders=block.get("borders", True),
            caption=Paragraph(self._texts.runs(caption, caption_style, f"{pointer}/caption"), caption_style)
            if caption is not None
            else None,
            on_sheet=on_sheet(block, self._texts),
        )

    def _tell(self, block: dict[str, Any]) -> None:
        for name in ("repeatHeader", "repeatFooter", "breakRows", "headerRows", "groupBy", "carried"):
            if block.get(name):
                self._telling.uses(f"table.{name}")

    def _column(self, column: dict[str, Any], style: Style, pointer: str) -> Column:
        title_style = self._title_style(column, style)
        runs = self._texts.runs(column.get("title", ""), title_style, f"{pointer}/title")
        if column.get("width", "auto") == "auto":
            self._telling.uses("column.width")
        if "formula" in column:
            self._telling.uses("formula")
        if "comment" in column.get("xlsx", {}):
            self._telling.uses("comment")
        width, own = width_of(column.get("width", "auto")), column_on_sheet(column.get("xlsx", {}), self._texts)
        return Column(Cell(runs, title_style), width, column.get("key"), own)

    def _title_style(self, column: dict[str, Any], style: Style) -> Style:
        styles = self._texts.styles
        align = styles.over(style, column.get("style")).align
        return styles.over(replace(styles.over(style, "title"), align=align), column.get("titleStyle"))

    def _header(self, block: dict[str, Any], columns: tuple[Column, ...], pointer: str) -> tuple[Row, ...]:
        """The rows above the titles, and the titles that they leave uncovered."""
        grid = Grid(len(columns))
        plans = [_fixed(column.title.style) for column in columns]
        rows = [
            self._static(cells, plans, grid, f"{pointer}/headerRows/{number}")
            for number, cells in enumerate(block.get("headerRows", ()))
        ]
        if block.get("header", any("title" in column for column in block["columns"])):
            free = set(grid.placed(()))
            rows.append(Row(tuple([column.title if at in free else None for at, column in enumerate(columns)])))
        return tuple(rows)

    def _plan(self, column: dict[str, Any], style: Style) -> _Plan:
        formats = [(expression(each["when"]), each["style"]) for each in column.get("formats", ())]
        if formats:
            self._telling.uses("table.formats")
        own = self._texts.styles.over(style, column.get("style"))
        if own.number_format:
            self._telling.uses("numberFormat")
        value = expression(column["value"]) if "value" in column else None
        blocks = column.get("blocks")
        own_formula = formula(column["formula"]) if "formula" in column else None
        return _Plan(value, own, formats, Total(column.get("total")), column.get("totalText"), blocks, own_formula)

    def _rows(self, block: dict[str, Any], plans: list[_Plan], style: Style, pointer: str) -> Iterator[Row]:
        given = block["rows"]
        formulas = ColumnFormulas(block["columns"])
        self._telling.pointer = f"{pointer}/rows"
        rows = (
            self._of_data(block, plans, formulas, style, pointer)
            if isinstance(given, dict)
            else self._of_lists(given, plans, formulas, f"{pointer}/rows")
        )
        yield from self._carrying(rows, block["carried"], plans) if "carried" in block else rows
        if any(plan.total.function or plan.total_text for plan in plans):
            self._telling.pointer = f"{pointer}/columns"
            texts = [None if plan.total_text is None else self._texts.filled(plan.total_text) for plan in plans]
            yield self._sums([plan.total.value for plan in plans], texts, plans, "total")

    def _of_data(
        self, block: dict[str, Any], plans: list[_Plan], formulas: ColumnFormulas, style: Style, pointer: str
    ) -> Iterator[Row]:
        context, given = self._texts.context, block["rows"]
        groups = Groups(block.get("groupBy", ()), [plan.total.function for plan in plans])
        for _ in _each(context, given):
            if groups.levels:
                first = groups.ended(context)
                yield from self._closed(groups, first, plans)
                for level in groups.opening(first, context):
                    if level.header is not None:
                        yield self._group(level, style, plans)
            yield self._row(plans, formulas, groups, pointer)
        yield from self._closed(groups, 0, plans)

    def _of_lists(
        self, given: list[list[Value]], plans: list[_Plan], formulas: ColumnFormulas, pointer: str
    ) -> Iterator[Row]:
        grid = Grid(len(plans))
        for number, cells in enumerate(given):
            self._count()
            row = self._static(cells, plans, grid, f"{pointer}/{number}")
            yield self._computed(row, plans, formulas) if any(formulas.formulas) else row

    def _computed(self, row: Row, plans: list[_Plan], formulas: ColumnFormulas) -> Row:
        """A row of cells with what formulas give in those that are empty."""
        values = [None if cell is None else cell.value for cell in row.cells]
        filled = formulas.fill(values, self._texts.context)
        cells = list(row.cells)
        for at, (cell, each) in enumerate(zip(row.cells, formulas.formulas, strict=True)):
            if cell is None or each is None or cell.blocks:
                continue
            if at in filled:
                plans[at].total.add(values[at])
                style = self._styled(values[at], plans[at]) if plans[at].formats else cell.style
                cell = replace(self._shown(values[at], style), across=cell.across, down=cell.down)
            cells[at] = replace(cell, formula=each)
        return replace(row, cells=tuple(cells))

    def _group(self, level: Level, style: Style, plans: list[_Plan]) -> Row:
        own = self._texts.styles.over(style, "group")
        with named(self._texts.context, "value", level.key):
            text = self._texts.filled(level.header)
        cell = Cell((Run(text, own),), own, text, across=len(plans))
        return Row((cell, *[None] * (len(plans) - 1)), "group", depth=level.depth)

    def _closed(self, groups: Groups, first: int, plans: list[_Plan]) -> Iterator[Row]:
        for level in groups.closing(first):
            if level.subtotal is not None:
                with named(self._texts.context, "value", level.key):
                    text = self._texts.filled(level.subtotal)
                row = self._labelled(text, [total.value for total in level.totals], plans)
                yield replace(row, depth=level.depth)

    def _carrying(self, rows: Iterator[Row], given: dict[str, str], plans: list[_Plan]) -> Iterator[Row]:
        """The rows, each with what it and those above come to."""
        texts = [self._texts.filled(given[name]) for name in ("out", "in")]
        for row in rows:
            totals = [replace(plan.total) for plan in plans]

            def made(totals: list[Total] = totals) -> tuple[Row, Row]:
                values = [total.value for total in totals]
                return self._labelled(texts[0], values, plans), self._labelled(texts[1], values, plans)

            yield replace(row, carried=made)

    def _labelled(self, text: str, values: list[Value], plans: list[_Plan]) -> Row:
        """A row of totals whose text stands in the first column that has none."""
        texts: list[str | None] = [None] * len(plans)
        first = next((at for at, plan in enumerate(plans) if plan.total.function is None), None)
        if first is not None:
            texts[first] = text
        return self._sums(values, texts, plans, "subtotal")

    def _sums(
        self, values: list[Value], texts: list[str | None], plans: list[_Plan], kind: Literal["subtotal", "total"]
    ) -> Row:
        cells = []
        for value, text, plan in zip(values, texts, plans, strict=True):
            style = self._texts.styles.over(plan.style, kind)
            cells.append(self._shown(value if text is None else text, style))
        return Row(tuple(cells), kind)

    def _count(self) -> None:
        self.rows += 1
        limit = self._texts.context.limits.rows
        if self.rows > limit:
            raise TooLarge("rows", limit)

    def _row(self, plans: list[_Plan], formulas: ColumnFormulas, groups: Groups, pointer: str) -> Row:
        self._count()
        context = self._texts.context
        values = [plan.value(context) if plan.value else None for plan in plans]
        formulas.fill(values, context)
        if groups.levels:
            for column, value in enumerate(values):
                groups.add(column, value)
        return Row(
            tuple(
                [
                    self._cell(value, plan, pointer, at)
                    for at, (value, plan) in enumerate(zip(values, plans, strict=True))
                ]
            ),
            depth=len(groups.levels),
        )

    def _cell(self, value: Value, plan: _Plan, pointer: str, column: int) -> Cell:
        plan.total.add(value)
        style = self._styled(value, plan) if plan.formats else plan.style
        if plan.blocks is not None:
            return self._holding(plan.blocks, style, f"{pointer}/columns/{column}/blocks")
        return Cell((Run(self._texts.of_value(value, style), style),), style, value, formula=plan.formula)

    def _styled(self, value: Value, plan: _Plan) -> Style:
        style, context = plan.style, self._texts.context
        with named(context, "value", value):
            for when, given in plan.formats:
                if truth(when(context)):
                    style = self._texts.styles.over(style, given)
        return style

    def _holding(self, blocks: list[dict[str, Any]], style: Style, pointer: str) -> Cell:
        self._telling.uses("blocks in a cell")
        before = self._telling.pointer
        cell = Cell((), style, blocks=self._nested(blocks, pointer))
        self._telling.pointer = before
        return cell

    def _static(self, cells: Sequence[Value], plans: list[_Plan], grid: Grid, pointer: str) -> Row:
        """A row as it stands in the document: its cells take the free columns from the left."""
        self._telling.pointer = pointer
        found: list[Cell | None] = [None] * len(plans)
        places = grid.placed([size_of(cell) for cell in cells])
        for number, (column, given) in enumerate(zip_longest(places, cells)):
            found[column] = self._given(given, plans[column], f"{pointer}/{number}")
        return Row(tuple(found))

    def _given(self, given: Value, plan: _Plan, pointer: str) -> Cell:
        context = self._texts.context
        if not is_cell(given):
            value = expression(given)(context)
            plan.total.add(value)
            style = self._styled(value, plan) if plan.formats else plan.style
            return self._shown(value, style)
        across, down = size_of(given)
        if across > 1 or down > 1:
            self._telling.uses("table spans")
        own = replace(plan, style=self._texts.styles.over(plan.style, given.get("style")))
        if "blocks" in given:
            cell = self._holding(given["blocks"], own.style, f"{pointer}/blocks")
        else:
            value = expression(given.get("value"))(context)
            plan.total.add(value)
            cell = self._shown(value, self._styled(value, own) if plan.formats else own.style)
        return replace(cell, across=across, down=down)

    def _shown(self, value: Value, style: Style) -> Cell:
        return Cell((Run(self._texts.of_value(value, style), style),), style, value)


def _each(context: Context, given: dict[str, str]) -> Iterator[Value]:
    """Yield the rows that follow the document, or those of its data, each while it has its name."""
    if "$stream" in given:
        return each_in(context, context.streams[given["$stream"]], given["as"])
    return each_of(context, path_of(given["each"]), given["each"], given["as"])


def _fixed(style: Style) -> _Plan:
    """A column of rows that have nothing of the data's."""
    return _Plan(None, style, [], Total(None), None, None)
