"""Workbooks (ECMA-376): the rows of a sheet as records, read row by row, or of all sheets as one map of lists.

Memory grows with the texts that sheets share, not with rows. Formulas are read as the values they had, unless asked for."""

import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain, islice, zip_longest
from typing import IO, BinaryIO, Final, TypeVar
from xml.parsers import expat

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format, pieces_of
from bounded_contexts.documents.adapters.formats.rows import check_names, keyed, levelled, nested
from bounded_contexts.documents.adapters.formats.tables import single
from bounded_contexts.documents.adapters.formats.xlsx_cells import COLUMNS, Area, area_of
from bounded_contexts.documents.adapters.formats.xlsx_package import SheetPart, Workbook
from bounded_contexts.documents.adapters.formats.xlsx_sheet import Row, Sheet
from bounded_contexts.documents.adapters.formats.xlsx_write import ALL, write
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Document, JsonBatch, Records, Single, Value

KINDS: Final = frozenset({"null", "boolean", "integer", "decimal", "float", "string", "datetime", "date", "time"})
SPOOLED: Final = 8 << 20  # bytes of a workbook that wait in memory: its directory is at its end
BATCH: Final = 500  # rows
# What comes out of the packer, the parser and our own handlers for a package that is none; LookupError of charsets, too.
DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    EOFError,
    LookupError,
    NotImplementedError,
    ValueError,
)
JSON_CELLS: Final = {type(None), bool, int, Decimal, str}
_Read = TypeVar("_Read")


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read the rows of a sheet as records under the names in the first one; of all sheets, if these were asked for."""
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 – closed with the workbook
    try:
        for piece in pieces_of(source, conversion.limits.input_bytes):
            spool.write(piece)
        book = Workbook(spool, conversion.limits)
        sheets = _wanted(book, conversion)
    except DAMAGED as error:
        spool.close()
        raise Unreadable("bad_xlsx", f"no workbook: {str(error)[:80]}") from None
    except BaseException:
        spool.close()
        raise
    if conversion.options.sheet == ALL:
        return _all(book, sheets, conversion)
    return _table(_closing(book, _rows(book, sheets[0], conversion)), conversion)


def _wanted(book: Workbook, conversion: Conversion) -> list[SheetPart]:
    wanted, sheets = conversion.options.sheet, book.sheets
    if wanted in (None, ALL) and conversion.options.hidden == "skip":
        sheets = [sheet for sheet in sheets if not sheet.hidden]
    if not sheets:
        raise Unreadable("bad_xlsx", "a workbook without sheets")
    names = [sheet.name for sheet in sheets]
    if wanted == ALL:
        conversion.losses.notes["sheet"] = ", ".join(names)[:200]
        return sheets
    found = sheets[:1] if wanted is None else [sheet for sheet in sheets if sheet.name == wanted]
    if not found and wanted and wanted.isdecimal():
        found = sheets[int(wanted) :][:1]
    if not found:
        raise Unreadable("no_sheet", f"there is no sheet {str(wanted)[:40]!r}: {', '.join(names)[:200]}")
    conversion.losses.notes["sheet"] = found[0].name
    return found


def _all(book: Workbook, sheets: list[SheetPart], conversion: Conversion) -> Document:
    limit, limits = conversion.limits.item_bytes, conversion.limits
    if (
        sum(book.package.getinfo(sheet.part).file_size for sheet in sheets if sheet.part in book.package.namelist())
        > limit
    ):
        book.spool.close()
        raise TooLarge("item_bytes", limit)
    found: dict[str, Value] = {}
    with book.spool, book.package:
        for sheet in sheets:
            found[sheet.name] = single(_table(_checked(_rows(book, sheet, conversion)), conversion), limits.rows)
    return Single(found)


def _table(rows: Iterator[list[Value]], conversion: Conversion) -> Document:
    options = conversion.options
    has_names = options.header == "yes"
    first = next((row for row in rows if not has_names or any(cell is not None for cell in row)), None)
    if first is None:
        return Records(iter(()), columns=())
    if not has_names and not options.nested and not options.restored:
        return nested(_unnamed(chain([first], rows)), (), conversion, has_parts=True)
    if has_names:
        names = [as_text(cell) if cell is not None else f"column{number}" for number, cell in enumerate(first, start=1)]
    else:
        names = [f"column{number}" for number in range(1, len(first) + 1)]
        rows = chain([first], rows)
    check_names(names, conversion)
    batches = _records(names, rows, conversion)
    return nested(batches, names, conversion, has_parts=options.hyperlinks)


def _unnamed(rows: Iterator[list[Value]]) -> Iterator[list[dict[str, Value]]]:
    """Yield records of as many columns as the widest row so far has."""
    names: list[str] = []
    for row in rows:
        names += [f"column{number}" for number in range(len(names) + 1, len(row) + 1)]
        yield [dict(zip_longest(names, row))]


def _records(names: list[str], rows: Iterator[list[Value]], conversion: Conversion) -> Iterator[list[dict[str, Value]]]:
    width, empty = len(names), "" if conversion.options.restored else None
    records = keyed(names, conversion)
    while batch := list(islice(rows, BATCH)):
        for row in batch:
            while len(row) > width and row[-1] is None:
                row.pop()
            row += [None] * (width - len(row))
        kept = levelled(batch, width, conversion)
        filled = kept if empty is None else [[empty if cell is None else cell for cell in row] for row in kept]
        found = records(filled)
        yield JsonBatch(found) if set(map(type, chain.from_iterable(filled))) <= JSON_CELLS else found


def _closing(book: Workbook, rows: Iterable[_Read]) -> Iterator[_Read]:
    with book.spool, book.package:
        yield from _checked(rows)


def _checked(rows: Iterable[_Read]) -> Iterator[_Read]:
    """Yield what is read from a package. Raise `Unreadable` for what is damaged in it."""
    try:
        yield from rows
    except DAMAGED as error:
        why = str(error).partition(": line ")[0]  # the parser does not see all of the part
        raise Unreadable("bad_xlsx", f"the package is damaged: {why[:80]}") from None


def _rows(book: Workbook, part: SheetPart, conversion: Conversion) -> Iterator[list[Value]]:
    options, limits = conversion.options, conversion.limits
    sheet = Sheet(book, options, limits.columns)
    rows = sheet.rows(book.inflated(part.part))
    if options.merged == "fill":
        rows = _filled(rows, book.merged(part), limits.alias_nodes)
    if options.hyperlinks:
        rows = _linked(rows, book.links(part), limits.alias_nodes)
    area = area_of(options.range, "bad_range") if options.range else None
    for number, row in enumerate(rows, start=1):
        if number > limits.rows:
            raise TooLarge("rows", limits.rows)
        if row.number > options.skip_rows and (cells := _kept(row, area, sheet, options)) is not None:
            yield cells


def _kept(row: Row, area: Area | None, sheet: Sheet, options: Options) -> list[Value] | None:
    """Return the cells that were asked for, of a row that was; else None."""
    if (row.hidden and options.hidden == "skip") or (area and not area.top <= row.number <= area.bottom):
        return None
    if not area and not (sheet.hidden_columns and options.hidden == "skip"):
        return row.cells
    left, right = (area.left, area.right) if area else (0, COLUMNS - 1)
    hidden = sheet.hidden_columns if options.hidden == "skip" else ()
    # As wide as the area, unless this is open: then a row ends with its last cell.
    width = right + 1 if right < COLUMNS - 1 else len(row.cells)
    cells = row.cells + [None] * (width - len(row.cells))
    return [cell for column, cell in enumerate(cells[left:width], start=left) if column not in hidden]


def _expanded(areas: Iterable[Area], budget: int) -> Iterator[tuple[Area, int, int]]:
    left = budget
    for area in areas:
        left -= area.cells
        if left < 0:
            raise TooLarge("alias_nodes", budget)
        for row in range(area.top, area.bottom + 1):
            for column in range(area.left, area.right + 1):
                yield area, row, column


def _filled(rows: Iterator[Row], areas: list[Area], budget: int) -> Iterator[Row]:
    """Yield the rows with the value of a merged cell in all that it covers."""
    covered: dict[int, list[tuple[int, Area]]] = {}
    for area, number, column in _expanded(areas, budget):
        covered.setdefault(number, []).append((column, area))
    values: dict[Area, Value] = {}
    number = 0
    last = max(covered, default=0)
    missing = (Row(number, False, []) for number in range(1, last + 1))
    for row in chain(rows, missing):
        if row.number <= number:
            continue  # of those behind the last one that the sheet has
        number = row.number
        for column, area in covered.get(number, ()):
            cells = row.cells
            cells += [None] * (column + 1 - len(cells))
            if (number, column) == (area.top, area.left):
                values[area] = cells[column]
            else:
                cells[column] = values.get(area)
        yield row


def _linked(rows: Iterator[Row], links: list[tuple[Area, str]], budget: int) -> Iterator[Row]:
    """Yield the rows with cells that lead elsewhere as maps of text and address."""
    targets = dict(links)
    found = {(row, column): targets[area] for area, row, column in _expanded(targets, budget)}
    has_any = {row for row, _ in found}
    for row in rows:
        if row.number in has_any:
            for column, cell in enumerate(row.cells):
                if (target := found.get((row.number, column))) is not None:
                    row.cells[column] = {"text": cell, "href": target}
        yield row


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
