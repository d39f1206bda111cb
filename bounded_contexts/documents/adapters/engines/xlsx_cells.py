"""Cells of workbooks: values with their types and formats."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from bounded_contexts.documents.adapters.engines.fonts import family_name
from bounded_contexts.documents.adapters.engines.xlsx_codes import Codes
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import Cell, NumberFormat, Runs, Style
from bounded_contexts.documents.domain.rendering.functions import number_of
from bounded_contexts.documents.domain.rendering.telling import Telling

CHARACTERS: Final = 32_767
DIGITS: Final = 15
ADDRESS: Final = 2_000  # characters of a link
LINKS: Final = 65_000  # of a sheet
SCRIPTS: Final = {"normal": 0, "super": 1, "sub": 2}
_EPOCH: Final = date(1899, 12, 30).toordinal()
CODES: Final = 255  # characters of a header or footer


def fits(codes: str) -> str:
    """Return a header's codes. Raise `TooLarge` for more than a workbook holds."""
    if len(codes) > CODES:
        raise TooLarge("header_characters", CODES)
    return codes


class Cells:
    """Writes cells. A format is in the workbook once, however many cells have it."""

    def __init__(self, workbook: Any, telling: Telling, codes: Codes) -> None:
        self._book, self._telling, self._codes = workbook, telling, codes
        self._formats: dict[Any, Any] = {}
        self._links: dict[Any, int] = {}

    def cell(
        self, sheet: Any, row: int, column: int, cell: Cell, background: str | None, code: str | None = None
    ) -> None:
        """Write a cell of a table; `code` is a format of numbers before that of its style."""
        value = cell.value
        wanted = cell.style.number_format
        if wanted is not None:
            value = self._codes.value(wanted, value)
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value, self._format(cell.style, background=background))
        elif isinstance(value, int | float | Decimal) and (number := _number(value)) is not None:
            sheet.write_number(
                row, column, number, self._format(cell.style, code or self._codes.number(wanted, value), background)
            )
        elif isinstance(value, date | time) and (moment := _moment(value)) is not None:
            shown = self._format(cell.style, code or self._codes.moment(wanted, type(value)), background)
            sheet.write_datetime(row, column, moment, shown)
        else:
            if isinstance(value, int | float | Decimal):
                self._telling.warn("number_as_text", "more digits than a cell holds")
            self.text(sheet, row, column, cell.runs, cell.style, background=background)

    def formula(
        self, sheet: Any, row: int, column: int, cell: Cell, text: str, background: str | None, code: str | None = None
    ) -> None:
        """Write a formula, and what it gives for those who do not work it out."""
        value = cell.value
        wanted = code or self._codes.number(cell.style.number_format, value)
        if isinstance(value, Decimal | float):
            value = float(value)
        elif isinstance(value, date | time):
            wanted = code or self._codes.moment(cell.style.number_format, type(value))
            value = _serial(value)
        shown = "" if value is None else value
        sheet.write_formula(row, column, text, self._format(cell.style, wanted, background), shown)

    def text(
        self,
        sheet: Any,
        row: int,
        column: int,
        runs: Runs,
        style: Style,
        *,
        before: str = "",
        indent: int = 0,
        background: str | None = None,
    ) -> None:
        """Write a text, in one style or several."""
        shown = [run for run in runs if run.text]
        text = before + "".join([run.text for run in shown])
        if len(text) > CHARACTERS:
            raise TooLarge("cell_characters", CHARACTERS)
        link = next((run.link for run in shown if run.link and len(run.link) <= ADDRESS), None)
        own = self._format(
            shown[0].style if len(shown) == 1 else style, None, background or style.background, indent, style
        )
        if link and text and self._links.get(sheet, 0) < LINKS:
            self._links[sheet] = self._links.get(sheet, 0) + 1
            sheet.write_url(row, column, f"internal:ref_{link[1:]}" if link.startswith("#") else link, own, text)
        elif len({run.style for run in shown}) > 1:
            pieces: list[Any] = [before] if before else []
            for run in shown:
                pieces += [self._format(run.style), run.text]
            sheet.write_rich_string(row, column, *pieces, own)
        elif text:
            sheet.write_string(row, column, text, own)
        else:
            sheet.write_blank(row, column, None, own)

    def _format(
        self,
        style: Style,
        code: str | None = None,
        background: str | None = None,
        indent: int = 0,
        block: Style | None = None,
    ) -> Any:
        block = block or style
        key = (style, code, background, indent, block.align, block.locked)
        if key not in self._formats:
            self._formats[key] = self._book.add_format(_properties(style, code, background, indent, block))
        return self._formats[key]


def _properties(style: Style, code: str | None, background: str | None, indent: int, block: Style) -> dict[str, Any]:
    found: dict[str, Any] = {
        "font_name": family_name(style.font),
        "font_size": style.size,
        "bold": style.bold,
        "italic": style.italic,
        "underline": 1 if style.underline else 0,
        "font_strikeout": style.strike,
        "font_color": style.color,
        "font_script": SCRIPTS[style.script],
        "valign": "top",
    }
    if not block.locked:
        found["locked"] = False
    if block.align != "left":
        found["align"] = block.align
    if code:
        found["num_format"] = code
    if color := style.background or background:
        found["bg_color"] = color
    if indent:
        found["indent"] = min(indent, 15)
    return found


def code_of(wanted: NumberFormat | None) -> str | None:
    """Return a format of a chart's numbers in the codes of workbooks, which the reader's locale gives its marks to."""
    if wanted is None or wanted.type == "date":
        return None
    if wanted.type == "currency":
        return f"#,##0.00\\ [${wanted.argument}]"
    digits = int(wanted.argument) if wanted.argument is not None else None
    if wanted.type == "percent":
        return "0" + ("." + "0" * digits if digits else "") + "%"
    return None if digits is None else "#,##0" + ("." + "0" * digits if digits else "")


def _number(value: int | float | Decimal) -> float | None:
    exact = number_of(value)
    if exact is None or len(exact.normalize().as_tuple().digits) > DIGITS or abs(exact.adjusted()) > 300:
        return None
    return float(exact)


def _serial(value: date | time) -> float:
    """Return a date or time as workbooks count it, in days."""
    if isinstance(value, time):
        return (value.hour * 3600 + value.minute * 60 + value.second) / 86_400
    days = value.toordinal() - _EPOCH
    return days + _serial(value.time()) if isinstance(value, datetime) else days


def _moment(value: date | time) -> Any:
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    if value.year < 1901 or (isinstance(value, datetime) and value.tzinfo is not None):
        return None  # before the calendar of workbooks; in a zone, which they have none of
    return value
