"""CSV (RFC 4180) and tab-separated values: rows of text cells, the first of them names by default."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, Final

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format, encoded, utf8
from bounded_contexts.documents.adapters.formats.tables import (
    Cells,
    Table,
    check_names,
    flat_rows,
    keyed,
    levelled,
    nested,
)
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Document, Records, Value

KINDS: Final = frozenset({"string"})
BATCH: Final = 1_000  # rows
RISKY: Final = ("=", "+", "-", "@", "\t", "\r")


def _dialect(options: Options, delimiter: str) -> dict[str, object]:
    return {
        "delimiter": options.delimiter or delimiter,
        "quotechar": options.quote,
        "escapechar": options.escape,
        "doublequote": options.escape is None,
    }


def reader(delimiter: str) -> Callable[[BinaryIO, Conversion], Document]:
    """Return what reads cells with this delimiter, unless another is asked for."""

    def read(source: BinaryIO, conversion: Conversion) -> Document:
        options = conversion.options
        csv.field_size_limit(conversion.limits.cell_characters)
        rows = csv.reader(_lines(source, conversion), strict=True, **_dialect(options, delimiter))  # type: ignore[arg-type]
        found = _checked(rows, conversion)
        first = next(found, None)
        if first is None:
            return Records(iter(()), columns=())
        names = first if options.header == "yes" else [f"column{number}" for number in range(1, len(first) + 1)]
        check_names(names, conversion)
        body = found if options.header == "yes" else chain([first], found)
        return nested(_records(names, body, rows, conversion), names, conversion)

    return read


def _lines(source: BinaryIO, conversion: Conversion) -> Iterator[str]:
    """Yield lines with their ends, as the csv module wants them: a newline within quotes is kept as it is."""
    rest = ""
    skip, comment = conversion.options.skip_rows, conversion.options.comment
    for piece in utf8(source, conversion):
        text = rest + piece.decode()
        if "\0" in text:
            raise Unreadable("bad_csv", "a NUL character")
        end = text.rfind("\n") + 1
        rest = text[end:]
        if len(rest) > conversion.limits.item_bytes:
            raise TooLarge("item_bytes", conversion.limits.item_bytes)
        for line in io.StringIO(text[:end], newline=""):
            if skip:
                skip -= 1
            elif not (comment and line.startswith(comment)):
                yield line
    if rest and not skip and not (comment and rest.startswith(comment)):
        yield rest


def _checked(rows: "Iterator[list[str]]", conversion: Conversion) -> Iterator[list[str]]:
    try:
        for number, row in enumerate(rows):
            if number > conversion.limits.rows:
                raise TooLarge("rows", conversion.limits.rows)
            if row:
                yield [cell.strip() for cell in row] if conversion.options.trim else row
    except csv.Error as error:
        line = getattr(rows, "line_num", None)
        if "field larger" in str(error):
            raise TooLarge("cell_characters", conversion.limits.cell_characters) from None
        raise Unreadable("bad_csv", str(error), line=line) from None


def _records(
    names: Sequence[str], rows: Iterator[list[str]], counter: object, conversion: Conversion
) -> Iterator[list[dict[str, Value]]]:
    width, record = len(names), keyed(names, conversion)
    null = conversion.options.null_text
    while batch := list(islice(rows, BATCH)):
        level = levelled(batch, width, conversion, getattr(counter, "line_num", None))
        if null is None:
            yield [record(row) for row in level]
        else:
            yield [record([None if cell == null else cell for cell in row]) for row in level]


def writer(delimiter: str) -> Callable[[Document, Conversion], Iterator[bytes]]:
    """Return what writes cells with this delimiter, unless another is asked for."""

    def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
        return encoded(_text(flat_rows(document, conversion, Cells(conversion)), conversion, delimiter), conversion)

    return write


def _text(table: Table, conversion: Conversion, delimiter: str) -> Iterator[str]:
    options = conversion.options
    buffer = io.StringIO(newline="")
    out = csv.writer(
        buffer,
        lineterminator="\n" if options.newline == "lf" else "\r\n",
        quoting=csv.QUOTE_ALL if options.quoting == "all" else csv.QUOTE_MINIMAL,
        **_dialect(options, delimiter),  # type: ignore[arg-type]
    )
    if options.header == "yes" and table.columns:
        out.writerow(_harmless([list(table.columns)], options)[0])
    for rows in table.batches:
        out.writerows(_harmless(rows, options))
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _harmless(rows: Sequence[list[str]], options: Options) -> Sequence[list[str]]:
    """Return the cells so that no spreadsheet program runs one, if that was asked for."""
    if options.formula == "keep":
        return rows
    if options.formula == "reject":
        if any(cell.startswith(RISKY) for row in rows for cell in row):
            raise Unwritable("formula", "a cell begins as formulas do")
        return rows
    return [["'" + cell if cell.startswith(RISKY) else cell for cell in row] for row in rows]


CSV: Final = Format(
    name="csv",
    title="CSV",
    media_type="text/csv",
    other_media_types=("application/csv",),
    extensions=("csv",),
    kinds=KINDS,
    read=reader(","),
    write=writer(","),
    streams_in=True,
    streams_out=True,
)
TSV: Final = Format(
    name="tsv",
    title="Tab-separated values",
    media_type="text/tab-separated-values",
    other_media_types=(),
    extensions=("tsv", "tab"),
    kinds=KINDS,
    read=reader("\t"),
    write=writer("\t"),
    streams_in=True,
    streams_out=True,
)
