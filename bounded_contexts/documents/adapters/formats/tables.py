"""Records as rows of text cells under one header; rows.py has the way back.

The header has every name that any record has, in the order they come up. So all records are read before the first row
is written, unless `columns` were asked for: rows wait in an unnamed file where they are more than a few. Rows are written
under the columns known so far; those of later ones are empty in them.

With `lossless` a cell reads back exactly: a text that could be taken for something else stands in JSON's quotes, everything
else stands as JSON, and an empty cell means that the record lacks the name.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import IO, Final

import msgspec

from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.adapters.formats.spreading import MISSING, Declined, Missing, spread
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import TEXTS, as_text, restored
from bounded_contexts.documents.domain.flattening import WHOLE, Flattener
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Document, Records, Single, Value

ALONE: Final = "value"  # the column of records that are no maps and no lists, or empty
SPOOLED: Final = 4 << 20  # bytes of rows that wait in memory; more of them wait in a file
BATCH: Final = 1_000  # rows
CELLS: Final = 250_000  # that are in memory at once, empty ones included
FEW: Final = 16  # records that are not alike
# How kinds stand in cells, and what that loses; others are rare, and go one by one.
IN_CELLS: Final[dict[type, Callable[[Value], str]]] = {
    Missing: lambda _: "",
    str: str,
    int: str,
    dict: lambda _: "{}",
    list: lambda _: "[]",
    **{kind: TEXTS[kind] for kind in (type(None), bool, float, Decimal)},
}
CODES: Final = {
    "kind_as_text": frozenset({bool, int, float, Decimal}),
    "null_as_text": frozenset({type(None)}),
    "empty_as_text": frozenset({dict, list}),
}
PLAIN: Final = frozenset(IN_CELLS)
TOKENS: Final = frozenset({type(None), bool})
STRING: Final = frozenset({str})
_cells = msgspec.msgpack.Encoder().encode
_rows = msgspec.msgpack.Decoder(list[list[str]]).decode
_decoded = msgspec.json.Decoder(float_hook=Decimal).decode
_cell = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one width."""

    columns: tuple[str, ...]
    batches: Iterator[Sequence[Sequence[str]]]


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
) -> Iterator[Sequence[Sequence[str]]]:
    for block in cells.blocks(document, frozenset(columns)):
        yield block.rows(columns)


def _of_all(document: Document, conversion: Conversion, cells: "Cells") -> Table:
    columns: dict[str, None] = {}
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 – closed when the rows have been read
    try:
        for block in cells.blocks(document):
            columns.update(dict.fromkeys(block.names))
            if len(columns) > conversion.limits.columns:
                raise TooLarge("columns", conversion.limits.columns)
            for part in block.parts(len(columns)):
                packed = _cells(part.rows(columns))
                spool.write(len(packed).to_bytes(4, "big") + packed)
    except BaseException:
        spool.close()
        raise
    return Table(tuple(columns), _spooled(spool, len(columns)))


def _spooled(spool: IO[bytes], width: int) -> Iterator[Sequence[list[str]]]:
    with spool:
        spool.seek(0)
        at_once = max(1, CELLS // max(1, width))
        while size := spool.read(4):
            rows = _rows(spool.read(int.from_bytes(size, "big")))
            if len(rows[0]) == width:
                yield rows
                continue
            for start in range(0, len(rows), at_once):
                yield [row + [""] * (width - len(row)) for row in rows[start : start + at_once]]


@dataclass(frozen=True, slots=True)
class Block:
    """The cells of some records, by name: an empty one where a record lacks the name."""

    cells: dict[str, Sequence[str]]
    height: int

    @property
    def names(self) -> Iterable[str]:
        """Return the names in the order in which they come up, record by record."""
        return self.cells

    def rows(self, columns: Iterable[str]) -> list[tuple[str, ...]]:
        """Return the rows under these columns."""
        empty = [""] * self.height
        return list(zip(*[self.cells.get(name, empty) for name in columns], strict=True))

    def parts(self, width: int) -> Iterator["Block"]:
        """Yield it in parts that are small, if all rows are so wide."""
        step = max(1, CELLS // max(1, width))
        if step >= self.height:
            yield self
            return
        for start in range(0, self.height, step):
            cells = {name: texts[start : start + step] for name, texts in self.cells.items()}
            yield Block(cells, min(step, self.height - start))


class Cells:
    """Turns records into names and texts."""

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion
        self._flattener = Flattener(conversion.limits.depth)
        self._fitting = conversion.fitting(JSON_KINDS)
        self._longest = conversion.limits.cell_characters
        self._seen = 0
        self._known: dict[str, None] = {}  # names that have come up
        self._said = _said(conversion.options)
        self._in_cells = {**IN_CELLS, **self._said}
        self._codes = {code: of - (self._said.keys() & TOKENS) for code, of in CODES.items()}

    def blocks(self, document: Document, asked: frozenset[str] | None = None) -> Iterator[Block]:
        """Yield the records' cells, at most `BATCH` records together; names that were not asked for are lost."""
        has_names = isinstance(document, Records) and document.columns is not None
        are_flat = has_names and not self._conversion.options.lossless
        for batch in records_of(document, self._conversion.losses):
            for start in range(0, len(batch), BATCH):
                yield from self._blocks(batch[start : start + BATCH], asked, are_flat=are_flat)

    def _blocks(self, records: Sequence[Value], asked: frozenset[str] | None, *, are_flat: bool) -> Iterator[Block]:
        try:
            yield self._spread(records, asked, are_flat=are_flat)
        except Declined:
            if len(records) > FEW:
                half = len(records) // 2
                yield from self._blocks(records[:half], asked, are_flat=are_flat)
                yield from self._blocks(records[half:], asked, are_flat=are_flat)
                return
            yield self.one_by_one(records, asked, are_flat=are_flat)
        self._seen += len(records)

    def _spread(self, records: Sequence[Value], asked: frozenset[str] | None, *, are_flat: bool) -> Block:
        columns = spread(records, self._flattener, are_flat=are_flat)
        losses, lost = self._conversion.losses, Counter[str]()
        texts = {name: self.texts(*column, lost) for name, column in columns.items()}
        if asked is not None and columns.keys() - asked:
            for name in columns.keys() - asked:
                lost["column_left_out"] += sum(each is not MISSING for each in columns[name][0])
        if lost and not losses.are_told:
            return self.one_by_one(records, asked, are_flat=are_flat)
        losses.counts.update(lost)
        return Block(self._in_order(texts, records, are_flat=are_flat), len(records))

    def _in_order(
        self, texts: dict[str, Sequence[str]], records: Sequence[Value], *, are_flat: bool
    ) -> dict[str, Sequence[str]]:
        missing = texts.keys() - self._known
        for record in records:
            if not missing:
                break
            for name in record if are_flat else self._flattener.flat(record):
                self._known.setdefault(name)
                missing.discard(name)
        return {name: texts[name] for name in self._known if name in texts}

    def one_by_one(self, records: Sequence[Value], asked: frozenset[str] | None, *, are_flat: bool) -> Block:
        """Return the block as it is by definition; what else makes blocks is only quicker."""
        rows = [
            self._written(dict(record), number) if are_flat else self.of(record, number)
            for number, record in enumerate(records, start=self._seen)
        ]
        for row in rows:
            for name in row.keys() - asked if asked is not None else ():
                self._conversion.losses.add("column_left_out", name, "not among the columns asked for")
        names = dict.fromkeys(chain.from_iterable(rows))
        self._known.update(names)
        return Block({name: self.finished([row.get(name, "") for row in rows]) for name in names}, len(rows))

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

    def finished(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the texts of cells as they are to stand in their rows."""
        return texts

    def texts(self, values: Sequence[Value], kinds: frozenset[type], lost: Counter[str]) -> Sequence[str]:
        """Return the finished texts of a column, empty where there is no value, and count what they lose. Raise `Declined`."""
        return self.finished(self._plain_texts(values, kinds, lost))

    def _plain_texts(self, values: Sequence[Value], kinds: frozenset[type], lost: Counter[str]) -> Sequence[str]:
        if self._conversion.options.lossless:
            return [
                "" if each is MISSING else guarded(each) if type(each) is str else self._exact(each) for each in values
            ]
        if not kinds <= PLAIN:
            raise Declined
        for code, of in self._codes.items():
            if kinds & of:
                lost[code] += len(values) if kinds <= of else sum(map(of.__contains__, map(type, values)))
        if len(kinds) == 1:
            texts = values if kinds == STRING else list(map(self._in_cells[next(iter(kinds))], values))
        else:
            texts = [each if type(each) is str else self._in_cells[type(each)](each) for each in values]
        if max(map(len, texts)) > self._longest:
            raise Declined
        return texts

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
        if type(value) in TOKENS and type(value) in self._said:
            return self._said[type(value)](value)
        if value is None:
            losses.add("null_as_text", place, "a cell has no null: it is empty")
            return ""
        if isinstance(value, dict | list):
            losses.add("empty_as_text", place, "a cell has no empty list or map")
            return "[]" if isinstance(value, list) else "{}"
        losses.add("kind_as_text", place, "a cell has texts only")
        return self._in_cells.get(type(value), as_text)(value)


def _said(options: Options) -> dict[type, Callable[[Value], str]]:
    """Return how kinds stand in cells other than by default, and that is no loss of those among `TOKENS`."""
    said: dict[type, Callable[[Value], str]] = {}
    null, true, false, mark = options.null_text, options.true_text, options.false_text, options.decimal_mark
    if null is not None:
        said[type(None)] = lambda _: null
    if true is not None and false is not None:
        said[bool] = lambda value: true if value else false
    if mark != ".":
        for kind in (float, Decimal):
            said[kind] = lambda value: as_text(value).replace(".", mark)
    return said


def guarded(text: str) -> str:
    """Return the text so that `unguarded` gives it back."""
    return _cell(text).decode() if not text or text[0] in '"[{-0123456789tfn' or "\0" in text else text


def unguarded(cell: Value) -> Value:
    """Return what a cell of a lossless table stands for; one that is no text stands for itself."""
    if type(cell) is not str or cell[0] not in '"[{-0123456789tfn':
        return cell
    try:
        value = _decoded(cell.encode())
        if "\\u" in cell:
            _cell(value)  # which half of a surrogate pair cannot be
        return restored(value)
    except (msgspec.DecodeError, UnicodeEncodeError, ArithmeticError):
        raise Unreadable("bad_cell", f"{cell[:40]!r} was not written with `lossless`") from None


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
