"""The rows of one sheet, out of its XML. Dates are numbers whose format shows a date; both calendars of workbooks are known."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, Final, NamedTuple

from bounded_contexts.documents.adapters.formats.xlsx_cells import COLUMNS, ROWS, column_of, letters
from bounded_contexts.documents.adapters.formats.xlsx_formulas import moved
from bounded_contexts.documents.adapters.formats.xlsx_package import Workbook, parser_of, unescaped
from bounded_contexts.documents.adapters.formats.xlsx_rows import LONGEST, QuickRows
from bounded_contexts.documents.adapters.formats.xlsx_shown import shown
from bounded_contexts.documents.adapters.formats.xlsx_write import ERROR
from bounded_contexts.documents.adapters.formats.xml_alike import NotAlike, has_more_than_tags
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Tagged, Value

NUMBER: Final = re.compile(r"\s*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?\s*")
FORMULA: Final = "xlsx:formula"
DURATION: Final = "xlsx:duration"  # ISO 8601


class Row(NamedTuple):
    """One row: cells by column from 0, None for empty ones; those behind the last one are left out."""

    number: int  # from 1
    hidden: bool
    cells: list[Value]


@dataclass(slots=True)
class _Shared:
    formula: str
    row: int
    column: int


class Sheet:
    """Handlers of one sheet's XML."""

    def __init__(self, book: Workbook, options: Options, columns: int) -> None:
        self._parser = parser_of(self._start, self._end, self._data)
        self._texts = book.texts
        self._styles = book.styles
        self._dates = book.styles.dates
        self._from_1904 = book.from_1904
        self._columns = min(columns, COLUMNS)
        self._formulas = options.formulas == "text"
        self._shown = options.numbers == "shown"
        self._rows: list[Row] = []
        self._row: list[Value] = []
        self._hidden = False
        self._number = 0
        self._column = 0
        self._kind = "n"
        self._style = 0
        self._parts: list[str] = []
        self._collects = False
        self._shared: dict[str, _Shared] = {}
        self._formula: dict[str, str] | None = None  # attributes of the cell's
        self._formula_parts: list[str] = []
        self._described = 0
        self.hidden_columns: set[int] = set()  # known before the first row

    def rows(self, pieces: Iterator[bytes]) -> Iterator[Row]:
        """Yield each row as soon as it has ended, those that the sheet leaves out, too."""
        expected = 1
        for row in self._parsed(pieces) if self._formulas else self._quickly(pieces):
            for number in range(expected, row.number):
                yield Row(number, False, [])
            expected = row.number + 1
            yield row

    def _parsed(self, pieces: Iterator[bytes]) -> Iterator[Row]:
        for piece in pieces:
            yield from self._of(piece)
        self._parser.Parse(b"", True)

    def _of(self, data: bytes) -> list[Row]:
        """Return the rows that end in the data, which is given to the parser."""
        self._parser.Parse(data, False)
        rows, self._rows = self._rows, []
        return rows

    def _quickly(self, pieces: Iterator[bytes]) -> Iterator[Row]:
        """Yield the rows; those that are not as usual come from the parser."""
        quick = QuickRows(self._texts, self._columns, self._is_special, self._styled)
        waiting, has_begun = bytearray(), False
        for piece in pieces:
            waiting += piece
            if not has_begun and (begin := quick.begins_in(bytes(waiting))) >= 0:
                yield from self._of(bytes(waiting[:begin]))
                del waiting[:begin]
                has_begun = True
            end = waiting.rfind(b"</row>") + len(b"</row>")
            if has_begun and end >= len(b"</row>"):
                rows = bytes(memoryview(waiting)[:end])
                del waiting[:end]
                try:
                    found = quick.rows(rows, self._number)
                except NotAlike:
                    yield from self._of(rows)
                    if has_more_than_tags(rows) or b"</sheetData" in rows:
                        break  # what follows may not be what it seems
                    continue
                self._number = found[-1][0]
                for number, cells in found:
                    yield Row(number, False, cells)
            elif len(waiting) > LONGEST:
                break
        yield from self._parsed(chain((bytes(waiting),), pieces))

    def _is_special(self, style: int) -> bool:
        return self._shown or style in self._dates or style in self._styles.elapsed

    def _styled(self, text: str, style: int) -> Value:
        self._style = style
        return self._number_of(text)

    def _start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "c":
            self._column = column_of(given["r"]) if "r" in given else self._column + 1
            if self._column >= self._columns:
                raise TooLarge("columns", self._columns)
            self._kind, self._style = given.get("t", "n"), int(given.get("s") or 0)
            self._parts.clear()
        elif tag == "v" or tag == "t":
            self._collects = True
        elif tag == "row":
            self._begin_row(int(given["r"]) if "r" in given else self._number + 1)
            self._hidden = given.get("hidden") in ("1", "true")
        elif tag == "f" and self._formulas:
            self._formula = given
            self._formula_parts.clear()
        elif tag == "col" and given.get("hidden") in ("1", "true"):
            hidden = range(int(given.get("min", 1)) - 1, min(int(given.get("max", 0)), COLUMNS))
            self._described += len(hidden)
            if self._described > COLUMNS:
                raise Unreadable("bad_xlsx", "columns are described twice")
            self.hidden_columns.update(hidden)

    def _begin_row(self, number: int) -> None:
        if not self._number < number <= ROWS:
            raise Unreadable("bad_xlsx", "rows out of their order", cell=str(number))
        self._number = number
        self._row = []
        self._column = -1

    def _data(self, text: str) -> None:
        if self._collects:
            self._parts.append(text)
        elif self._formula is not None:
            self._formula_parts.append(text)

    def _end(self, tag: str) -> None:
        if tag == "c":
            if self._parts or self._kind == "inlineStr" or self._formula is not None:
                self._end_cell()
        elif tag == "v" or tag == "t":
            self._collects = False
        elif tag == "row":
            self._rows.append(Row(self._number, self._hidden, self._row))

    def _end_cell(self) -> None:
        missing = self._column - len(self._row)
        if missing < 0:
            raise Unreadable("bad_xlsx", "cells out of their order", cell=self._place)
        self._row += [None] * missing
        formula = self._formula_of_cell() if self._formula is not None else ""
        self._row.append(Tagged(FORMULA, f"={formula}") if formula else self._value("".join(self._parts)))

    @property
    def _place(self) -> str:
        return f"{letters(self._column)}{self._number}"

    def _formula_of_cell(self) -> str:
        given, text = self._formula or {}, "".join(self._formula_parts).strip()
        self._formula = None
        if given.get("t") != "shared":
            return text
        if text:
            self._shared[given.get("si", "")] = _Shared(text, self._number, self._column)
            return text
        first = self._shared.get(given.get("si", ""))
        return moved(first.formula, self._number - first.row, self._column - first.column) if first else ""

    def _value(self, text: str) -> Value:
        try:
            match self._kind:
                case "s":
                    return self._texts[_index(text)]
                case "inlineStr" | "str":
                    return unescaped(text)
                case "b":
                    return text.strip() == "1"
                case "e":
                    return Tagged(ERROR, text)
                case "d":
                    return _of_iso(text)
                case _:
                    return self._number_of(text) if text else None
        except (ValueError, IndexError, ArithmeticError):
            raise Unreadable("bad_xlsx", f"{text[:40]!r} is no value of kind {self._kind}", cell=self._place) from None

    def _number_of(self, text: str) -> Value:
        if not NUMBER.fullmatch(text):  # nan, inf, 1_0: numbers in Python only
            raise ValueError(text)
        if self._style in self._dates:
            return _moment(float(text), from_1904=self._from_1904)
        if text.lstrip("-").isdecimal():
            return self._formatted(int(text))
        number = Decimal(repr(float(text)))
        if not number.is_finite():
            raise ValueError(text)
        is_whole = number == number.to_integral_value() and abs(number) < 10**15
        return self._formatted(int(number) if is_whole else number)

    def _formatted(self, number: int | Decimal) -> Value:
        if self._style in self._styles.elapsed:
            return Tagged(DURATION, _duration(number))
        if self._shown and self._style < len(self._styles.codes):
            text = shown(number, self._styles.codes[self._style])
            return number if text is None else text
        return number


def _index(text: str) -> int:
    if not (text.isascii() and text.strip().isdecimal()):
        raise ValueError(text)  # -1 would be the last one
    return int(text)


def _of_iso(text: str) -> Value:
    if "T" not in text and ":" in text:
        return time.fromisoformat(text)
    return date.fromisoformat(text) if len(text) == len("2026-01-02") else datetime.fromisoformat(text)


def _moment(serial: float, *, from_1904: bool) -> Any:
    """Return the date, time or both of a serial number; the number itself where there is none."""
    if not 0 <= serial < 2_958_466:
        return Decimal(repr(serial))
    micros = round((serial % 1) * 86_400_000) * 1000  # a workbook's times have milliseconds
    day = int(serial)
    if day == 0 and not from_1904 and micros:
        return (datetime.combine(date(1904, 1, 1), time()) + timedelta(microseconds=micros)).time()
    if day == 60 and not from_1904:
        return "1900-02-29"  # which never was, but in workbooks
    begin = date(1904, 1, 1) if from_1904 else date(1899, 12, 31) if day < 60 else date(1899, 12, 30)
    found = datetime.combine(begin, time()) + timedelta(days=day, microseconds=micros)
    return found if micros else found.date()


def _duration(days: int | Decimal) -> str:
    milliseconds = int((abs(Decimal(days)) * 86_400_000).to_integral_value())
    seconds, rest = divmod(milliseconds, 1000)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    whole = f"{hours}H" * (hours > 0) + f"{minutes}M" * (minutes > 0)
    part = f"{seconds}.{rest:03}".rstrip("0") + "S" if rest else f"{seconds}S" * (seconds > 0)
    return f"{'-' if days < 0 else ''}PT{whole + part or '0S'}"
