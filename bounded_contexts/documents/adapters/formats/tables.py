"""Records as rows of text cells under one header, and back.

The header has every name that any record has, in the order they come up. So all records are read before the first row
is written, unless `columns` were asked for: rows wait in an unnamed file where they are more than a few. Rows are written
under the columns known so far; those of later ones are empty in them.

With `lossless` a cell reads back exactly: a text that could be taken for something else stands in JSON's quotes, everything
else stands as JSON, and an empty cell means that the record lacks the name.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import IO, Final

import msgspec

from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import as_text, restored
from bounded_contexts.documents.domain.flattening import WHOLE, Flattener, steps, unflattened
from bounded_contexts.documents.domain.inference import as_kind, inferred
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.values import Document, Records, Single, Value

ALONE: Final = "value"  # the column of records that are no maps and no lists, or empty
SPOOLED: Final = 4 << 20  # bytes of rows that wait in memory; more of them wait in a file
BATCH: Final = 1_000  # rows
_cells = msgspec.msgpack.Encoder().encode
_rows = msgspec.msgpack.Decoder(list[list[str]]).decode
_decoded = msgspec.json.Decoder(float_hook=Decimal).decode
_cell = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one width."""

    columns: tuple[str, ...]
    batches: Iterator[Sequence[list[str]]]


def records_of(document: Document, losses: Losses) -> Iterator[Sequence[Value]]:
    """Return the records: of one value its elements, if it is a list, else itself."""
    if isinstance(document, Records):
        return iter(document.batches)
    value = document.value
    if isinstance(value, list):
        return iter((value,))
    losses.add("value_as_record", "", "one value is the only one of its records")
    return iter(([value],))


def flat_rows(document: Document, conversion: Conversion, cells: "Cells") -> Table:
    """Return the document as a table of what `cells` makes of its leaves."""
    asked = conversion.options.columns
    if asked:
        return Table(asked, _of_asked(document, conversion, asked, cells))
    if isinstance(document, Records) and document.columns is not None and not conversion.options.lossless:
        return Table(document.columns, _of_asked(document, conversion, document.columns, cells))
    return _of_all(document, conversion, cells)


def _of_asked(
    document: Document, conversion: Conversion, columns: tuple[str, ...], cells: "Cells"
) -> Iterator[Sequence[list[str]]]:
    known = frozenset(columns)
    for row in cells.rows(document):
        found = []
        for record in row:
            for name in record.keys() - known:
                conversion.losses.add("column_left_out", name, "not among the columns asked for")
            found.append([record.get(name, "") for name in columns])
        yield found


def _of_all(document: Document, conversion: Conversion, cells: "Cells") -> Table:
    columns: dict[str, int] = {}
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 – closed when the rows have been read
    try:
        for rows in cells.rows(document):
            packed = _cells([_row(record, columns, conversion.limits.columns) for record in rows])
            spool.write(len(packed).to_bytes(4, "big") + packed)
    except BaseException:
        spool.close()
        raise
    return Table(tuple(columns), _spooled(spool, len(columns)))


def _row(record: dict[str, str], columns: dict[str, int], limit: int) -> list[str]:
    if record.keys() - columns.keys():
        for name in record:
            columns.setdefault(name, len(columns))
        if len(columns) > limit:
            raise TooLarge("columns", limit)
    return [record.get(name, "") for name in columns]


def _spooled(spool: IO[bytes], width: int) -> Iterator[Sequence[list[str]]]:
    with spool:
        spool.seek(0)
        while size := spool.read(4):
            rows = _rows(spool.read(int.from_bytes(size, "big")))
            for row in rows:
                if len(row) < width:
                    row += [""] * (width - len(row))
            yield rows


class Cells:
    """Turns records into names and texts."""

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion
        self._flattener = Flattener(conversion.limits.depth)
        self._fitting = conversion.fitting(JSON_KINDS)
        self._longest = conversion.limits.cell_characters
        self._seen = 0

    def rows(self, document: Document) -> Iterator[list[dict[str, str]]]:
        """Yield the records' cells, at most `BATCH` records together."""
        has_names = isinstance(document, Records) and document.columns is not None
        are_flat = has_names and not self._conversion.options.lossless
        for batch in records_of(document, self._conversion.losses):
            for start in range(0, len(batch), BATCH):
                part = list(enumerate(batch[start : start + BATCH], start=self._seen))
                if are_flat:  # their names are those of cells already
                    yield [self._written(dict(record), number) for number, record in part]
                else:
                    yield [self.of(record, number) for number, record in part]
                self._seen += len(part)

    def of(self, record: Value, number: int) -> dict[str, str]:
        """Return name → text of one record."""
        lossless = self._conversion.options.lossless
        if isinstance(record, dict | list) and record:
            flat = self._flattener.flat(record)
        elif lossless:
            flat = {WHOLE: record}
        else:
            self._conversion.losses.add("record_as_map", f"/{number}", f"a record without names is a column {ALONE!r}")
            flat = {ALONE: record}
        return self._written(flat, number)

    def _written(self, flat: dict[str, Value], number: int) -> dict[str, str]:
        lossless = self._conversion.options.lossless
        for name, value in flat.items():
            if type(value) is not str:
                flat[name] = self._exact(value) if lossless else self._lossy(value, number, name)
            elif lossless:
                flat[name] = guarded(value)
            elif len(value) > self._longest:
                raise TooLarge("cell_characters", self._longest)
        return flat

    def _exact(self, value: Value) -> str:
        return _cell(self._fitting.fit(value)).decode()

    def _lossy(self, value: Value, number: int, name: str) -> str:
        losses, place = self._conversion.losses, f"/{number}/{name}"
        if value is None:
            losses.add("null_as_text", place, "a cell has no null: it is empty")
            return ""
        if isinstance(value, dict | list):
            losses.add("empty_as_text", place, "a cell has no empty list or map")
            return "[]" if isinstance(value, list) else "{}"
        losses.add("kind_as_text", place, "a cell has texts only")
        return as_text(value)


def guarded(text: str) -> str:
    """Return the text so that `unguarded` gives it back."""
    return _cell(text).decode() if not text or text[0] in '"[{-0123456789tfn' or "\0" in text else text


def unguarded(cell: str) -> Value:
    """Return what a cell of a lossless table stands for."""
    if cell[0] not in '"[{-0123456789tfn':
        return cell
    try:
        return restored(_decoded(cell.encode()))
    except msgspec.DecodeError:
        raise Unreadable("bad_cell", f"{cell[:40]!r} was not written with `lossless`") from None


def nested(batches: Iterator[list[dict[str, Value]]], columns: tuple[str, ...], conversion: Conversion) -> Document:
    """Return the rows as records: cells as what they stand for, names as places, as far as that was asked for."""
    options = conversion.options
    if options.restored or options.nested:
        return Records(_structured(batches, {name: steps(name) for name in columns}, conversion))
    if options.inference != "off" or options.types:
        return Records(_typed(batches, conversion), columns)
    return Records(batches, columns)


def _typed(batches: Iterator[list[dict[str, Value]]], conversion: Conversion) -> Iterator[list[dict[str, Value]]]:
    known, inference = dict(conversion.options.types), conversion.options.inference
    for batch in batches:
        for row in batch:
            for name, cell in row.items():
                if cell is not None:
                    row[name] = as_kind(cell, known[name], name) if name in known else inferred(cell, inference)
        yield batch


def _structured(
    batches: Iterator[list[dict[str, Value]]], paths: dict[str, tuple[str | int, ...]], conversion: Conversion
) -> Iterator[list[Value]]:
    depth = conversion.limits.depth
    if conversion.options.restored:
        for batch in batches:
            yield [
                unflattened(((paths[name], unguarded(cell)) for name, cell in row.items() if cell != ""), depth)
                for row in batch
            ]
        return
    for batch in _typed(batches, conversion):
        yield [unflattened(((paths[name], cell) for name, cell in row.items()), depth) for row in batch]


def single(document: Document, limit: int) -> Value:
    """Return the document as one value in memory. Raise `TooLarge` for more than `limit` records."""
    if isinstance(document, Single):
        return document.value
    found: list[Value] = []
    for batch in document.batches:
        found += batch
        if len(found) > limit:
            raise TooLarge("rows", limit)
    return found
