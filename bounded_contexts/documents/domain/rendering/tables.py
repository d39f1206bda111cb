"""Tables of a document: columns, and rows that come one by one out of the data."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import Cell, Column, Paragraph, Row, Run, Style, Table
from bounded_contexts.documents.domain.rendering.expressions import Compiled, each_of, expression, path_of, truth
from bounded_contexts.documents.domain.rendering.functions import DIVISION, added, number_of, plain
from bounded_contexts.documents.domain.rendering.styles import width_of
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.rendering.texts import Texts
from bounded_contexts.documents.domain.values import Value


@dataclass(slots=True)
class _Total:
    """A column's total while its rows pass."""

    function: str | None
    count: int = 0
    number: Decimal | None = None

    def add(self, value: Value) -> None:
        if self.function is None or value is None:
            return
        self.count += 1
        number = number_of(value)
        if number is None or self.function == "count":
            return
        if self.number is None:
            self.number = number
        elif self.function in ("sum", "avg"):
            self.number = added(self.number, number)
        else:
            self.number = min(self.number, number) if self.function == "min" else max(self.number, number)

    @property
    def value(self) -> Value:
        if self.function == "count":
            return self.count
        if self.number is None:
            return None
        return plain(DIVISION.divide(self.number, Decimal(self.count)) if self.function == "avg" else self.number)


@dataclass(slots=True)
class _Plan:
    """A column as its rows need it."""

    value: Compiled | None
    style: Style
    formats: list[tuple[Compiled, Value]]
    total: _Total
    total_text: str | None


class Tables:
    """Makes tables. `rows` counts those of all of them."""

    def __init__(self, texts: Texts, telling: Telling, base: Style) -> None:
        self._texts, self._telling, self._base = texts, telling, replace(base, space_after=0.0)
        self.rows = 0

    def table(self, block: dict[str, Any], pointer: str) -> Table:
        """Return a table whose rows are still to come."""
        style = self._texts.styles.over(self._base, block.get("style"))
        for name in ("repeatHeader", "repeatFooter"):
            if block.get(name):
                self._telling.uses(f"table.{name}")
        plans = [self._plan(column, style) for column in block["columns"]]
        footer = self._static(block["footer"], plans, f"{pointer}/footer") if "footer" in block else None
        caption_style = self._texts.styles.over(self._base, "caption")
        caption = block.get("caption")
        own = block.get("xlsx", {})
        return Table(
            columns=tuple(
                self._column(column, style, f"{pointer}/columns/{number}")
                for number, column in enumerate(block["columns"])
            ),
            rows=self._rows(block, plans, pointer),
            footer=footer,
            has_header=block.get("header", any("title" in column for column in block["columns"])),
            repeat_header=block.get("repeatHeader", True),
            repeat_footer=block.get("repeatFooter", False),
            zebra=block.get("zebra", False),
            borders=block.get("borders", True),
            caption=Paragraph(self._texts.runs(caption, caption_style, f"{pointer}/caption"), caption_style)
            if caption is not None
            else None,
            sheet=self._texts.filled(own["sheet"]) if "sheet" in own else None,
            freeze=own.get("freeze", False),
            autofilter=own.get("autofilter", False),
        )

    def _column(self, column: dict[str, Any], style: Style, pointer: str) -> Column:
        styles = self._texts.styles
        align = styles.over(style, column.get("style")).align
        title_style = styles.over(replace(styles.over(style, "title"), align=align), column.get("titleStyle"))
        runs = self._texts.runs(column.get("title", ""), title_style, f"{pointer}/title")
        if column.get("width", "auto") == "auto":
            self._telling.uses("column.width")
        return Column(Cell(runs, title_style), width_of(column.get("width", "auto")))

    def _plan(self, column: dict[str, Any], style: Style) -> _Plan:
        formats = [(expression(each["when"]), each["style"]) for each in column.get("formats", ())]
        if formats:
            self._telling.uses("table.formats")
        own = self._texts.styles.over(style, column.get("style"))
        if own.number_format:
            self._telling.uses("numberFormat")
        value = expression(column["value"]) if "value" in column else None
        return _Plan(value, own, formats, _Total(column.get("total")), column.get("totalText"))

    def _rows(self, block: dict[str, Any], plans: list[_Plan], pointer: str) -> Iterator[Row]:
        context = self._texts.context
        given = block["rows"]
        if isinstance(given, dict):
            self._telling.pointer = f"{pointer}/rows"
            for _ in each_of(context, path_of(given["each"]), given["each"], given["as"]):
                yield self._row([plan.value(context) if plan.value else None for plan in plans], plans)
        else:
            for number, cells in enumerate(given):
                self._telling.pointer = f"{pointer}/rows/{number}"
                yield self._row([expression(cell)(context) for cell in cells], plans)
        if any(plan.total.function or plan.total_text for plan in plans):
            yield self._totals(plans, f"{pointer}/columns")

    def _row(self, values: list[Value], plans: list[_Plan]) -> Row:
        self.rows += 1
        limit = self._texts.context.limits.rows
        if self.rows > limit:
            raise TooLarge("rows", limit)
        values += [None] * (len(plans) - len(values))
        return Row(tuple([self._cell(value, plan) for value, plan in zip(values, plans, strict=True)]))

    def _cell(self, value: Value, plan: _Plan) -> Cell:
        plan.total.add(value)
        style = plan.style
        if plan.formats:
            context = self._texts.context
            before, context.names["value"] = context.names.get("value"), value
            for when, given in plan.formats:
                if truth(when(context)):
                    style = self._texts.styles.over(style, given)
            if before is None:
                del context.names["value"]
            else:
                context.names["value"] = before
        return Cell((Run(self._texts.of_value(value, style), style),), style, value)

    def _static(self, cells: list[Value], plans: list[_Plan], pointer: str) -> Row:
        self._telling.pointer = pointer
        context = self._texts.context
        values = [expression(cell)(context) for cell in cells] + [None] * (len(plans) - len(cells))
        bold = [self._texts.styles.over(plan.style, "total") for plan in plans]
        return Row(tuple([self._shown(value, style) for value, style in zip(values, bold, strict=False)]))

    def _shown(self, value: Value, style: Style) -> Cell:
        return Cell((Run(self._texts.of_value(value, style), style),), style, value)

    def _totals(self, plans: list[_Plan], pointer: str) -> Row:
        self._telling.pointer = pointer
        cells = []
        for plan in plans:
            style = self._texts.styles.over(plan.style, "total")
            text = self._texts.filled(plan.total_text) if plan.total_text is not None else None
            cells.append(self._shown(plan.total.value if text is None else text, style))
        return Row(tuple(cells), "total")
