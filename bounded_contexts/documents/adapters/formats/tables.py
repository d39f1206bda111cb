"""Records as rows of text cells under one header; rows.py has the way back.

The header has every name that any record has, in the order they come up. So all records are read before the first row
is written, unless `columns` were asked for: rows wait in an unnamed file where they are more than a few. Rows are written
under the columns known so far; those of later ones are empty in them.

With `lossless` a cell reads back exactly: a text that could be taken for something else stands in JSON's quotes, everything
else stands as JSON, and an empty cell means that the record lacks the name.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import IO, Final

import msgspec

from bounded_contexts.documents.adapters.formats.blocks import CELLS, Block, Gaps
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.adapters.formats.spreading import MISSING, Declined, Missing, spread
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import HELD, TEXTS, as_text, has_text_keys, restored
from bounded_contexts.documents.domain.flattening import WHOLE, Flattener, steps
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Document, Records, Single, Value, escaped

ALONE: Final = "value"  # the column of records that are no maps and no lists, or empty
SPOOLED: Final = 4 << 20  # bytes of rows that wait in memory; more of them wait in a file
BATCH: Final = 1_000  # rows
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
TEXT_KEYS: Final = HELD - {"key"}
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
    options = conversion.options
    columns: tuple[str, ...] | None = options.columns
    if not columns:
        columns = document.columns if isinstance(document, Records) and not options.lossless else None
    table = _of_all(document, conversion, cells) if columns is None else _of_asked(document, columns, cells)
    if options.header == "no":
        for number, name in enumerate(table.columns, start=1):
            if name != f"column{number}":
                conversion.losses.add("name_dropped", f"/0/{escaped(name)}", "no row says what columns are called")
    return table


def _of_asked(document: Document, columns: tuple[str, ...], cells: "Cells") -> Table:
    return Table(columns, _rows_of_asked(document, columns, cells))


def _rows_of_asked(document: Document, columns: tuple[str, ...], cells: "Cells") -> Iterator[Sequence[Sequence[str]]]:
    gaps = cells.gaps()
    for block in cells.blocks(document, frozenset(columns)):
        if gaps:
            gaps.look(block, columns)
            gaps.tell(len(columns))
        yield block.rows(columns)


def _of_all(document: Document, conversion: Conversion, cells: "Cells") -> Table:
    columns: dict[str, None] = {}
    gaps = cells.gaps()
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 – closed when the rows have been read
    try:
        for block in cells.blocks(document):
            for name in block.names:
                if name not in columns:
                    columns[name] = None
                    if gaps:
                        gaps.look_back(name)
            if gaps:
                gaps.look(block, columns)
            if len(columns) > conversion.limits.columns:
                raise TooLarge("columns", conversion.limits.columns)
            for part in block.parts(len(columns)):
                packed = _cells(part.rows(columns))
                spool.write(len(packed).to_bytes(4, "big") + packed)
    except BaseException:
        spool.close()
        raise
    if gaps:
        gaps.tell(len(columns))
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


class Cells:
    """Turns records into names and texts."""

    lacking = "missing_as_empty"  # the code of cells under names that a record lacks
    has_tokens = True  # whether options have texts stand for null and truth values

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion
        self._flattener = Flattener(conversion.limits.depth)
        self._fitting = conversion.fitting(JSON_KINDS)
        self._longest = conversion.limits.cell_characters
        self._seen = 0
        self._is_one = self._are_flat = False  # whether the document is the only record, and keys are names already
        self._known: dict[str, None] = {}  # names that have come up
        self._said = _said(conversion.options)
        self._in_cells = {**IN_CELLS, **self._said}
        options = conversion.options
        tokens = {options.null_text, options.true_text, options.false_text} if self.has_tokens else ()
        self._taken = frozenset(text for text in tokens if text is not None)
        self._codes = {code: of - (self._said.keys() & TOKENS) for code, of in CODES.items()}

    def blocks(self, document: Document, asked: frozenset[str] | None = None) -> Iterator[Block]:
        """Yield the records' cells, at most `BATCH` records together; names that were not asked for are lost."""
        has_names = isinstance(document, Records) and document.columns is not None
        self._are_flat = are_flat = has_names and not self._conversion.options.lossless
        self._is_one = isinstance(document, Single) and not isinstance(document.value, list)
        for batch in records_of(document, self._conversion.losses):
            for start in range(0, len(batch), BATCH):
                yield from self._blocks(batch[start : start + BATCH], asked, are_flat=are_flat)

    def gaps(self) -> Gaps | None:
        """Return what counts the names that records lack; nothing where an empty cell says just that."""
        options = self._conversion.options
        return None if options.lossless else Gaps(self._conversion.losses, self.lacking, self.place)

    def place(self, number: int, name: str = WHOLE) -> str:
        """Return where in the source the value is that a record has at a name: a JSON Pointer."""
        tokens = (name,) if self._are_flat and name != WHOLE else steps(name)
        return "".join([*([] if self._is_one else [f"/{number}"]), *[f"/{escaped(str(token))}" for token in tokens]])

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
        lacking = {
            name: [index for index, each in enumerate(values) if each is MISSING]
            for name, (values, kinds) in columns.items()
            if Missing in kinds
        }
        return Block(self._in_order(texts, records, are_flat=are_flat), len(records), self._seen, lacking)

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
        for number, row in enumerate(rows, start=self._seen):
            for name in row.keys() - asked if asked is not None else ():
                self.lose("column_left_out", number, name, "not among the columns asked for")
        names = dict.fromkeys(chain.from_iterable(rows))
        self._known.update(names)
        cells = {name: self.finished([row.get(name, "") for row in rows]) for name in names}
        without = {name: [index for index, row in enumerate(rows) if name not in row] for name in names}
        lacking = {name: indexes for name, indexes in without.items() if indexes}
        return Block(cells, len(rows), self._seen, lacking)

    def lose(self, code: str, number: int, name: str, detail: str) -> None:
        """Report what becomes of the value that a record has at a name."""
        losses = self._conversion.losses
        losses.add(code, "" if losses.are_told else self.place(number, name), detail)

    def only(self, value: Value) -> dict[str, str]:
        """Return name → text of a document that is no list of records."""
        self._is_one = True
        return self.of(value, 0)

    def of(self, record: Value, number: int) -> dict[str, str]:
        """Return name → text of one record."""
        lossless = self._conversion.options.lossless
        if isinstance(record, dict | list) and not has_text_keys(record, self._conversion.limits.depth):
            if lossless:
                return self._written({WHOLE: record}, number)
            record = self._conversion.fitting(TEXT_KEYS).fit(record, self.place(number))
        if isinstance(record, dict | list) and record:
            flat = self._flattener.flat(record)
        elif lossless:
            flat = {WHOLE: record}
        else:
            self.lose("record_as_map", number, WHOLE, f"a record without names is a column {ALONE!r}")
            return {ALONE: self._written({WHOLE: record}, number)[WHOLE]}
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
        if self._taken and str in kinds:
            lost["text_as_token"] += sum(type(each) is str and each in self._taken for each in values)
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
            elif value in self._taken:
                self.lose("text_as_token", number, name, "an option has this text stand for something else")
        return flat

    def _exact(self, value: Value) -> str:
        return _cell(self._fitting.fit(value)).decode()

    def _lossy(self, value: Value, number: int, name: str) -> str:
        if type(value) in TOKENS and type(value) in self._said:
            return self._said[type(value)](value)
        if value is None:
            self.lose("null_as_text", number, name, "a cell has no null: it is empty")
            return ""
        if isinstance(value, dict | list):
            self.lose("empty_as_text", number, name, "a cell has no empty list or map")
            return "[]" if isinstance(value, list) else "{}"
        self.lose("kind_as_text", number, name, "a cell has texts only")
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
