"""Workbooks (ECMA-376), one sheet of them, read row by row: memory grows with the texts they share, not with rows.

What a package claims of itself is looked at before anything is inflated, and counted while it is. Dates are numbers whose format
shows a date; both calendars of workbooks are known. Formulas are read as the values they had."""

import re
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain, islice
from typing import IO, Any, BinaryIO, Final
from xml.parsers import expat

from bounded_contexts.documents.adapters.formats.conversion import CHUNK, Conversion, Format, pieces_of
from bounded_contexts.documents.adapters.formats.tables import nested
from bounded_contexts.documents.adapters.formats.xlsx_write import write
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.values import Document, Records, Tagged, Value

KINDS: Final = frozenset({"null", "boolean", "integer", "decimal", "float", "string", "datetime", "date", "time"})
SPOOLED: Final = 8 << 20  # bytes of a workbook that wait in memory: its directory is at its end
ENTRIES: Final = 10_000
BATCH: Final = 500  # rows
DATE_FORMATS: Final = frozenset({*range(14, 23), *range(27, 37), 45, 46, 47, *range(50, 59)})
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read the rows of a sheet as records under the names in the first one."""
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 – closed with the workbook
    for piece in pieces_of(source, conversion.limits.input_bytes):
        spool.write(piece)
    book = _opened(spool, conversion)
    rows = _rows(book, conversion)
    first = next(rows, None)
    if first is None:
        return Records(iter(()), columns=())
    if conversion.options.header == "yes":
        names = [as_text(cell) if cell is not None else f"column{number}" for number, cell in enumerate(first, start=1)]
    else:
        names = [f"column{number}" for number in range(1, len(first) + 1)]
        rows = chain([first], rows)
    if len(set(names)) < len(names):
        raise Unreadable("duplicate_key", "two columns have one name", cell="1")
    batches = _records(names, rows, conversion)
    if conversion.options.restored:
        return nested(batches, tuple(names), conversion)
    return Records(batches, tuple(names))


def _opened(spool: IO[bytes], conversion: Conversion) -> "_Workbook":
    try:
        return _Workbook(spool, conversion)
    except (zipfile.BadZipFile, KeyError, expat.ExpatError, NotImplementedError) as error:
        spool.close()
        raise Unreadable("bad_xlsx", f"no workbook: {str(error)[:80]}") from None
    except Exception:
        spool.close()
        raise


def _records(names: list[str], rows: Iterator[list[Value]], conversion: Conversion) -> Iterator[list[dict[str, Value]]]:
    width, empty = len(names), "" if conversion.options.restored else None
    while batch := list(islice(rows, BATCH)):
        for row in batch:
            if len(row) > width:
                if any(cell is not None for cell in row[width:]):
                    raise Unreadable("ragged_row", f"{len(row)} cells under {width} names")
                del row[width:]
            row += [None] * (width - len(row))
        yield [{name: empty if cell is None else cell for name, cell in zip(names, row, strict=True)} for row in batch]


def _rows(book: "_Workbook", conversion: Conversion) -> Iterator[list[Value]]:
    try:
        with book.spool, book.package:
            skip = conversion.options.skip_rows
            for number, row in enumerate(book.rows()):
                if number > conversion.limits.rows:
                    raise TooLarge("rows", conversion.limits.rows)
                if number >= skip:
                    yield row
    except expat.ExpatError as error:
        raise Unreadable("bad_xlsx", f"a sheet is no XML: {error}") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise Unreadable("bad_xlsx", f"the package is damaged: {error}") from None


class _Workbook:
    """What of a package is needed to read a sheet."""

    def __init__(self, spool: IO[bytes], conversion: Conversion) -> None:
        self.spool = spool
        self.package = zipfile.ZipFile(spool)
        self._limits = conversion.limits
        _check(self.package, conversion.limits)
        sheets, self._from_1904 = self._sheets()
        wanted = conversion.options.sheet
        names = list(sheets)
        if not names:
            raise Unreadable("bad_xlsx", "a workbook without sheets")
        name = (
            names[0]
            if wanted is None
            else names[int(wanted)]
            if wanted.isdigit() and int(wanted) < len(names)
            else wanted
        )
        if name not in sheets:
            raise Unreadable("no_sheet", f"there is no sheet {name[:40]!r}: {', '.join(names)[:200]}")
        conversion.losses.notes["sheet"] = name
        self._sheet = sheets[name]
        self._texts = self._shared()
        self._dates = self._date_styles()

    def _sheets(self) -> tuple[dict[str, str], bool]:
        targets: dict[str, str] = {}
        found: dict[str, str] = {}
        from_1904 = False

        def relation(tag: str, given: dict[str, str]) -> None:
            if tag == "Relationship" and given.get("TargetMode") != "External":
                targets[given.get("Id", "")] = given.get("Target", "")

        def sheet(tag: str, given: dict[str, str]) -> None:
            nonlocal from_1904
            if tag == "sheet" and (target := targets.get(given.get("id", ""))):
                found[given.get("name", "")] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            if tag == "workbookPr" and given.get("date1904") in ("1", "true"):
                from_1904 = True

        self._walk("xl/_rels/workbook.xml.rels", relation)
        self._walk("xl/workbook.xml", sheet)
        return found, from_1904

    def _shared(self) -> list[str]:
        name = next((each for each in self.package.namelist() if each.lower() == "xl/sharedstrings.xml"), None)
        if name is None:
            return []
        texts: list[str] = []
        parts: list[str] = []
        state = {"in_text": False, "phonetic": 0}

        def start(tag: str, _: dict[str, str]) -> None:
            if tag == "si":
                parts.clear()
            state["in_text"] = tag == "t" and not state["phonetic"]
            state["phonetic"] += tag == "rPh"

        def end(tag: str) -> None:
            state["in_text"] = False
            state["phonetic"] -= tag == "rPh"
            if tag == "si":
                texts.append(_unescaped("".join(parts)))

        def data(text: str) -> None:
            if state["in_text"]:
                parts.append(text)

        self._walk(name, start, end, data)
        return texts

    def _date_styles(self) -> frozenset[int]:
        """Return the numbers of the styles that show dates."""
        if "xl/styles.xml" not in self.package.namelist():
            return frozenset()
        formats: dict[int, bool] = {}
        styles: list[int] = []
        within = [""]

        def start(tag: str, given: dict[str, str]) -> None:
            if tag in ("cellXfs", "cellStyleXfs"):
                within[0] = tag
            elif tag == "numFmt":
                formats[int(given.get("numFmtId", 0))] = _shows_date(given.get("formatCode", ""))
            elif tag == "xf" and within[0] == "cellXfs":
                styles.append(int(given.get("numFmtId", 0)))

        self._walk("xl/styles.xml", start)
        return frozenset(style for style, number in enumerate(styles) if formats.get(number, number in DATE_FORMATS))

    def rows(self) -> Iterator[list[Value]]:
        """Yield each row's cells by column, None for empty ones; rows that are left out are empty."""
        sheet = _Sheet(self._texts, self._dates, self._limits, from_1904=self._from_1904)
        for piece in self._inflated(self._sheet):
            sheet.parser.Parse(piece, False)
            yield from sheet.taken()
        sheet.parser.Parse(b"", True)
        yield from sheet.taken()

    def _walk(self, name: str, start: Any, end: Any = None, data: Any = None) -> None:
        parser = _parser(start, end, data)
        for piece in self._inflated(name):
            parser.Parse(piece, False)
        parser.Parse(b"", True)

    def _inflated(self, name: str) -> Iterator[bytes]:
        total, entry = 0, self.package.getinfo(name)
        with self.package.open(entry) as part:
            while piece := part.read(CHUNK):
                total += len(piece)
                if total > self._limits.inflated_bytes or total > entry.file_size:
                    raise TooLarge("inflated_bytes", self._limits.inflated_bytes)
                yield piece


def _check(package: zipfile.ZipFile, limits: Limits) -> None:
    entries = package.infolist()
    if len(entries) > ENTRIES or len({entry.filename for entry in entries}) < len(entries):
        raise Unreadable("bad_xlsx", "a package of too many parts, or of two with one name")
    if sum(entry.file_size for entry in entries) > limits.inflated_bytes:
        raise TooLarge("inflated_bytes", limits.inflated_bytes)
    if any(
        entry.file_size > (1 << 20) and entry.file_size > limits.inflation_ratio * entry.compress_size
        for entry in entries
    ):
        raise TooLarge("inflation_ratio", limits.inflation_ratio)
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("encrypted", "the package is encrypted")


def _parser(start: Any, end: Any, data: Any) -> Any:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.StartElementHandler = lambda tag, given: start(
        tag.rpartition(" ")[2], {name.rpartition(" ")[2]: value for name, value in given.items()}
    )
    if end:
        parser.EndElementHandler = lambda tag: end(tag.rpartition(" ")[2])
    if data:
        parser.CharacterDataHandler = data
    return parser


def _no_doctype(*_: object) -> None:
    raise Unreadable("dtd_not_allowed", "a document type may not stand in a workbook")


class _Sheet:
    """Handlers of one sheet's XML."""

    def __init__(self, texts: list[str], dates: frozenset[int], limits: Limits, *, from_1904: bool) -> None:
        self.parser = _parser(self._start, self._end, self._data)
        self._texts = texts
        self._dates = dates
        self._limits = limits
        self._from_1904 = from_1904
        self._rows: list[list[Value]] = []
        self._row: list[Value] = []
        self._number = 0
        self._column = 0
        self._kind = "n"
        self._style = 0
        self._parts: list[str] = []
        self._collects = False

    def taken(self) -> list[list[Value]]:
        """Return the rows that have ended since the last time."""
        rows, self._rows = self._rows, []
        return rows

    def _start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "c":
            self._column = _column(given["r"]) if "r" in given else len(self._row)
            if self._column >= self._limits.columns:
                raise TooLarge("columns", self._limits.columns)
            self._kind, self._style = given.get("t", "n"), int(given.get("s", 0))
            self._parts.clear()
        elif tag == "v" or tag == "t":
            self._collects = True
        elif tag == "row":
            self._begin_row(int(given["r"]) if "r" in given else self._number + 1)

    def _begin_row(self, number: int) -> None:
        if number - self._number > self._limits.rows or number <= self._number:
            raise Unreadable("bad_xlsx", "rows out of their order", cell=str(number))
        self._rows += [[] for _ in range(number - self._number - 1)]
        self._number = number
        self._row = []

    def _data(self, text: str) -> None:
        if self._collects:
            self._parts.append(text)

    def _end(self, tag: str) -> None:
        if tag == "c":
            if self._parts or self._kind == "inlineStr":
                missing = self._column - len(self._row)
                if missing < 0:
                    raise Unreadable("bad_xlsx", "cells out of their order", cell=str(self._number))
                self._row += [None] * missing
                self._row.append(self._value("".join(self._parts)))
        elif tag == "v" or tag == "t":
            self._collects = False
        elif tag == "row":
            self._rows.append(self._row)

    def _value(self, text: str) -> Value:
        try:
            match self._kind:
                case "s":
                    return self._texts[int(text)]
                case "inlineStr" | "str":
                    return _unescaped(text)
                case "b":
                    return text.strip() == "1"
                case "e":
                    return Tagged("xlsx:error", text)
                case "d":
                    return datetime.fromisoformat(text)
                case _:
                    return self._number_of(text)
        except (ValueError, IndexError, ArithmeticError):
            raise Unreadable(
                "bad_xlsx", f"{text[:40]!r} is no value of kind {self._kind}", cell=str(self._number)
            ) from None

    def _number_of(self, text: str) -> Value:
        if self._style in self._dates:
            return _moment(float(text), from_1904=self._from_1904)
        if text.lstrip("-").isdigit():
            return int(text)
        number = Decimal(repr(float(text)))
        return int(number) if number == number.to_integral_value() and abs(number) < 10**15 else number


def _moment(serial: float, *, from_1904: bool) -> Value:
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


def _shows_date(code: str) -> bool:
    return bool(re.search(r"[ymdhs]", _QUOTED.sub("", code.split(";")[0]).lower().replace("general", "")))


def _column(reference: str) -> int:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise Unreadable("bad_xlsx", f"{reference[:20]!r} is no cell", cell=reference[:20])
    number = 0
    for letter in match[1]:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


XLSX: Final = Format(
    name="xlsx",
    title="Excel workbook",
    media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    other_media_types=(),
    extensions=("xlsx",),
    kinds=KINDS,
    read=read,
    write=write,
    streams_in=True,
    streams_out=True,
    is_text=False,
)
