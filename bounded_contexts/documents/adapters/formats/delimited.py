"""CSV (RFC 4180) and tab-separated values: rows of text cells, the first of them names by default."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, Final

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format, encoded, utf8
from bounded_contexts.documents.adapters.formats.dialects import guessed, sampled
from bounded_contexts.documents.adapters.formats.rows import check_names, keyed, levelled, nested, tokens_of
from bounded_contexts.documents.adapters.formats.spreading import Declined
from bounded_contexts.documents.adapters.formats.tables import Cells, Table, flat_rows
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Document, Records, Value

KINDS: Final = frozenset({"string"})
BATCH: Final = 250  # rows: what comes of them stays in the processor's cache, which 1,000 did not
RISKY: Final = ("=", "+", "-", "@", "\t", "\r")


def _read_as(lines: Iterator[str], conversion: Conversion, delimiter: str) -> tuple[Iterator[str], dict[str, object]]:
    """Return the lines, and how cells stand in them."""
    options = conversion.options
    quote, escape = options.quote, options.escape
    if options.dialect == "auto":
        first, lines = sampled(lines)
        found = guessed(first, delimiter)
        delimiter, quote, escape = found["delimiter"], found["quote"], found.get("escape")
        conversion.losses.notes.update(found)
    delimiter = options.delimiter or delimiter
    return lines, {"delimiter": delimiter, "quotechar": quote, "escapechar": escape, "doublequote": escape is None}


def reader(delimiter: str) -> Callable[[BinaryIO, Conversion], Document]:
    """Return what reads cells with this delimiter, unless another is asked for."""

    def read(source: BinaryIO, conversion: Conversion) -> Document:
        options = conversion.options
        csv.field_size_limit(conversion.limits.cell_characters)
        lines, dialect = _read_as(_lines(source, conversion), conversion, delimiter)
        rows = csv.reader(lines, strict=True, **dialect)  # type: ignore[arg-type]
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
    begun: list[str] = []  # of a line whose end has not come yet
    length = 0
    skip, comment = conversion.options.skip_rows, conversion.options.comment
    for piece in utf8(source, conversion):
        text = piece.decode()
        if "\0" in text:
            raise Unreadable("bad_csv", "a NUL character")
        end = text.rfind("\n") + 1
        complete = "".join((*begun, text[:end])) if end else ""
        if end:
            begun, length = [], 0
        begun.append(text[end:])
        length += len(text) - end
        if length > conversion.limits.item_bytes:
            raise TooLarge("item_bytes", conversion.limits.item_bytes)
        for line in io.StringIO(complete, newline=""):
            if skip:
                skip -= 1
            elif not (comment and line.startswith(comment)):
                yield line
    rest = "".join(begun)
    if rest and not skip and not (comment and rest.startswith(comment)):
        yield rest


def _checked(rows: "Iterator[list[str]]", conversion: Conversion) -> Iterator[list[str]]:
    try:
        kept = filter(None, islice(rows, conversion.limits.rows + 1))
        yield from ([cell.strip() for cell in row] for row in kept) if conversion.options.trim else kept
        if next(rows, None) is not None:
            raise TooLarge("rows", conversion.limits.rows)
    except csv.Error as error:
        line = getattr(rows, "line_num", None)
        if "field larger" in str(error):
            raise TooLarge("cell_characters", conversion.limits.cell_characters) from None
        raise Unreadable("bad_csv", str(error), line=line) from None


def _records(
    names: Sequence[str], rows: Iterator[list[str]], counter: object, conversion: Conversion
) -> Iterator[list[dict[str, Value]]]:
    width, records = len(names), keyed(names, conversion)
    tokens = tokens_of(conversion.options)
    while batch := list(islice(rows, BATCH)):
        level = levelled(batch, width, conversion, getattr(counter, "line_num", None))
        if tokens:
            yield records([[tokens.get(cell, cell) for cell in row] for row in level])
        else:
            yield records(level)


def writer(delimiter: str) -> Callable[[Document, Conversion], Iterator[bytes]]:
    """Return what writes cells with this delimiter, unless another is asked for."""

    def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
        cells = QuotedCells(conversion, conversion.options.delimiter or delimiter)
        return encoded(_text(flat_rows(document, conversion, cells), cells, conversion.options), conversion)

    return write


class QuotedCells(Cells):
    """Cells as they stand between delimiters."""

    def __init__(self, conversion: Conversion, delimiter: str) -> None:
        super().__init__(conversion)
        options = conversion.options
        self.delimiter = delimiter
        self._quote = quote = options.quote
        self._escape = options.escape or quote
        self._quotes_all = options.quoting == "all"
        self._formula = options.formula
        # A byte order mark is none within quotes.
        self._special = re.compile("[\r\n\0\ufeff" + re.escape(delimiter + quote + self._escape) + "]")

    def texts(self, values: Sequence[Value], kinds: frozenset[type], lost: Counter[str]) -> Sequence[str]:
        texts = self._plain_texts(values, kinds, lost)
        if self._formula == "escape":
            lost["formula_escaped"] += sum(text.startswith(RISKY) for text in texts)
        try:
            return self.finished(texts)
        except Unwritable:
            raise Declined from None  # one by one it is known where

    def _written(self, flat: dict[str, Value], number: int) -> dict[str, str]:
        written = super()._written(flat, number)
        for name, text in written.items():
            if "\0" in text:
                raise Unwritable(
                    "bad_character", "a cell cannot hold NUL; `lossless` has a way", pointer=self.place(number, name)
                )
            if self._formula == "reject" and text.startswith(RISKY):
                raise Unwritable("formula", "a cell begins as formulas do", pointer=self.place(number, name))
            if self._formula == "escape" and text.startswith(RISKY):
                self.lose("formula_escaped", number, name, "behind an apostrophe")
        return written

    def finished(self, texts: Sequence[str]) -> Sequence[str]:
        if self._formula != "keep" and any(text.startswith(RISKY) for text in texts):
            if self._formula == "reject":
                raise Unwritable("formula", "a cell begins as formulas do")
            texts = ["'" + text if text.startswith(RISKY) else text for text in texts]
        search, together = self._special.search, "".join(texts)
        is_special = search(together)
        if is_special and "\0" in together:
            raise Unwritable("bad_character", "a cell cannot hold NUL; `lossless` has a way")
        if self._quotes_all:
            return [self._quoted(text) for text in texts]
        if is_special:
            return [self._quoted(text) if search(text) else text for text in texts]
        return texts

    def finished_names(self, names: Sequence[str]) -> Sequence[str]:
        """Return the names of columns as they are to stand in their row."""
        for name in names if self._formula == "escape" else ():
            if name.startswith(RISKY):
                self.lose("formula_escaped", 0, name, "the name of a column, behind an apostrophe")
        return self.finished(names)

    def _quoted(self, text: str) -> str:
        quote, escape = self._quote, self._escape
        if escape != quote:
            text = text.replace(escape, escape + escape)
        return f"{quote}{text.replace(quote, escape + quote)}{quote}"


def _text(table: Table, cells: QuotedCells, options: Options) -> Iterator[str]:
    join, ending = cells.delimiter.join, "\n" if options.newline == "lf" else "\r\n"
    if options.header == "yes" and table.columns:
        yield _line(cells.finished_names(table.columns), cells, options) + ending
    needs_quotes = options.quoting == "all" or len(table.columns) == 1  # an empty line were no row
    for rows in table.batches:
        lines = [_line(row, cells, options) for row in rows] if needs_quotes else map(join, rows)
        yield ending.join(chain(lines, ("",)))


def _line(row: Sequence[str], cells: QuotedCells, options: Options) -> str:
    empty = options.quote * 2 if options.quoting == "all" or len(row) == 1 else ""
    return cells.delimiter.join([cell or empty for cell in row])


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
