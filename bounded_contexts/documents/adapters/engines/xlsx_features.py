"""What a table has in a workbook beside its cells: an object, names, rules, validations, and how its sheet is printed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from xlsxwriter.utility import quote_sheetname, xl_range, xl_range_abs

from bounded_contexts.documents.adapters.engines.xlsx_cells import CHARACTERS
from bounded_contexts.documents.adapters.engines.xlsx_protection import protect
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import Column, Style, Table
from bounded_contexts.documents.domain.rendering.sheets import FormatRule, Print, Validation

STYLE: Final = "TableStyleLight1"  # a line below the titles and nothing that hides styles of cells
_KINDS: Final = {"list": "list", "integer": "integer", "decimal": "decimal", "date": "date", "length": "length"}
_SCALES: Final = {2: ("min_color", "max_color"), 3: ("min_color", "mid_color", "max_color")}
_COMPARED: Final = {"=": "==", "!=": "!=", "between": "between"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table stands on its sheet, rows from 0: those of its titles and of its first and last row of data. `last` is
    before `first` for a table of no rows."""

    titles: int | None
    first: int
    last: int


class Features:
    """Adds them. Names are in a workbook once: the second table of a name has a number behind it."""

    def __init__(self, workbook: Any) -> None:
        self._book = workbook
        self._names: set[str] = set()

    def titled(self, columns: Sequence[Column]) -> list[str]:
        """Return the titles that a table as an object has: each other than the others, and none empty."""
        taken: set[str] = set()
        found = []
        for number, column in enumerate(columns, 1):
            found.append(_free(column.title.text[:250].strip() or f"Column{number}", taken, " "))
        return found

    def add(self, sheet: Any, table: Table, place: Place) -> None:
        """Add all that a table says, once its rows are written."""
        own, last = table.on_sheet, len(table.columns) - 1
        if own.is_object and place.last >= place.first:
            self._object(sheet, table, place)
        elif own.name and place.last >= place.first:
            self.define(own.name, sheet, (place.first, 0, place.last, last))
        for number, column in enumerate(table.columns):
            if place.last >= place.first:
                self._column(sheet, column, (place.first, number, place.last, number))
        top = place.first if place.titles is None else place.titles
        protect(sheet, own.protection)
        print_set(sheet, own.print, (top, 0, max(place.last, top), last))

    def _column(self, sheet: Any, column: Column, area: tuple[int, int, int, int]) -> None:
        own = column.on_sheet
        if own.name:
            self.define(own.name, sheet, area)
        for rule in own.rules:
            self.rule(sheet, rule, area)
        if own.validation:
            sheet.data_validation(*area, validation_of(own.validation))

    def rule(self, sheet: Any, rule: FormatRule, area: tuple[int, int, int, int]) -> None:
        """Add a rule to cells."""
        sheet.conditional_format(*area, _rule(rule, self._book.add_format))

    def define(self, name: str, sheet: Any, area: tuple[int, int, int, int]) -> None:
        """Give cells a name."""
        self._book.define_name(_free(name, self._names, "_"), f"={quote_sheetname(sheet.name)}!{xl_range_abs(*area)}")

    def _object(self, sheet: Any, table: Table, place: Place) -> None:
        """XlsxWriter's `add_table` writes cells, which rows that are on the disk already do not take: this is what it
        leaves to the end of the file."""
        top = place.first if place.titles is None else place.titles
        area = xl_range(top, 0, place.last, len(table.columns) - 1)
        columns = [_object_column(number, name) for number, name in enumerate(self.titled(table.columns), 1)]
        sheet.tables.append(
            {
                "name": _free(table.on_sheet.name or "Table1", self._names, "_"),
                "range": area,
                "a_range": area,
                "columns": columns,
                "style": STYLE,
                "show_first_col": False,
                "show_last_col": False,
                "show_row_stripes": table.zebra,
                "show_col_stripes": False,
                "header_row_count": 0 if place.titles is None else 1,
                "totals_row_shown": False,
                "description": table.caption and "".join([run.text for run in table.caption.runs]),
                "title": None,
                **({"autofilter": area} if table.on_sheet.autofilter and place.titles is not None else {}),
            }
        )


def _object_column(number: int, name: str) -> dict[str, Any]:
    empty = dict.fromkeys(("total_string", "total_function", "custom_total", "formula"), "")
    return {"id": number, "name": name, **empty, "total_value": 0, "format": None, "name_format": None}


def _free(wanted: str, taken: set[str], between: str) -> str:
    found, number = wanted, 1
    while found.lower() in taken:
        number += 1
        found = f"{wanted}{between}{number}"
    taken.add(found.lower())
    return found


def comment_titles(sheet: Any, table: Table, top: int) -> None:
    """Put the columns' comments at their titles, as soon as these are written."""
    written = [number for number, row in enumerate(table.header) if any(row.cells)]
    for number, column in enumerate(table.columns if written else ()):
        if column.on_sheet.comment:
            comment_at(sheet, (top + written[-1], number), column.on_sheet.comment)


def comment_at(sheet: Any, place: tuple[int, int], text: str) -> None:
    """Put a comment at a cell of the row that is being written or of one to come. Raise `TooLarge` for more than one holds."""
    if len(text) > CHARACTERS:
        raise TooLarge("comment_characters", CHARACTERS)
    sheet.write_comment(*place, text)


def print_set(sheet: Any, given: Print, area: tuple[int, int, int, int]) -> None:
    """Set how a sheet is printed."""
    if given.is_area:
        sheet.print_area(*area)
    if given.title_columns:
        sheet.repeat_columns(0, given.title_columns - 1)
    if given.wide is not None:
        sheet.fit_to_pages(given.wide, given.tall)
    if given.has_grid:
        sheet.hide_gridlines(0)


def _rule(rule: FormatRule, formatted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"format": formatted(_marked(rule.style))} if rule.style else {}
    values = [_quoted(value) if isinstance(value, str) else _number(value) for value in rule.values]
    match rule.kind:
        case "cell" if rule.operator == "between":
            return {**found, "type": "cell", "criteria": "between", "minimum": values[0], "maximum": values[1]}
        case "cell":
            return {
                **found,
                "type": "cell",
                "criteria": _COMPARED.get(rule.operator, rule.operator),
                "value": values[0],
            }
        case "contains":
            return {**found, "type": "text", "criteria": "containing", "value": str(rule.values[0])}
        case "top" | "bottom":
            return {**found, "type": rule.kind, "value": int(rule.values[0])}
        case "scale":
            names = _SCALES[len(rule.colors)]
            return {"type": f"{len(rule.colors)}_color_scale", **dict(zip(names, rule.colors, strict=True))}
        case "bar":
            return {"type": "data_bar", **({"bar_color": rule.colors[0]} if rule.colors else {})}
    return {**found, "type": "duplicate"}


def _number(value: int | Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)


def _quoted(text: str) -> str:
    """Return a text as formulas have it: a rule's value is one."""
    return '"' + text.replace('"', '""') + '"'


def _marked(style: Style) -> dict[str, Any]:
    plain = Style()
    found: dict[str, Any] = {"bold": True} if style.bold else {}
    found |= {"italic": True} if style.italic else {}
    found |= {"font_strikeout": True} if style.strike else {}
    found |= {"underline": 1} if style.underline else {}
    found |= {"font_color": style.color} if style.color != plain.color else {}
    return found | ({"bg_color": style.background} if style.background else {})


def validation_of(given: Validation) -> dict[str, Any]:
    """Return a validation as XlsxWriter takes it."""
    found: dict[str, Any] = {"validate": _KINDS[given.kind], "error_type": "warning" if given.is_warning else "stop"}
    if given.message:
        found["error_message"] = given.message
    if given.kind == "list":
        return {**found, "source": list(given.values)}
    least, most = [each if isinstance(each, date) else _number(each) for each in (given.least, given.most)]
    return {**found, "criteria": "between", "minimum": least, "maximum": most}
