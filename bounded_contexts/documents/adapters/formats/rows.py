"""Rows of cells under names as records: the other way of tables.py."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import merged
from bounded_contexts.documents.adapters.formats.tables import unguarded
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.flattening import steps, unflattened
from bounded_contexts.documents.domain.inference import as_kind, inferred, inferred_column, notation
from bounded_contexts.documents.domain.inferred_kinds import InferredKinds
from bounded_contexts.documents.domain.options import Inference, Options
from bounded_contexts.documents.domain.values import Document, Records, Value


def check_names(names: Sequence[str], conversion: Conversion) -> None:
    """Raise `TooLarge` for too many columns, `Unreadable` for two of one name, unless these were asked for."""
    if len(names) > conversion.limits.columns:
        raise TooLarge("columns", conversion.limits.columns)
    if len(set(names)) < len(names) and conversion.options.duplicates == "error":
        twice = Counter(names).most_common(1)[0][0]
        raise Unreadable("duplicate_key", f"the column {twice[:40]!r} is there twice", line=1)


def keyed(
    names: Sequence[str], conversion: Conversion
) -> Callable[[Sequence[Sequence[Value]]], list[dict[str, Value]]]:
    """Return what makes maps of rows of as many cells, of columns of one name as asked."""
    if len(set(names)) == len(names):
        return lambda rows: [dict(zip(names, row, strict=True)) for row in rows]
    duplicates = conversion.options.duplicates
    return lambda rows: [merged(list(zip(names, row, strict=True)), duplicates) for row in rows]


def levelled(
    rows: list[list[Value]], width: int, conversion: Conversion, line: int | None = None
) -> Sequence[list[Value]]:
    """Return the rows with `width` cells each, others as `ragged` has it: they are refused, filled, cut or left out."""
    if all(len(row) == width for row in rows):
        return rows
    ragged, losses = conversion.options.ragged, conversion.losses
    kept = []
    for row in rows:
        if len(row) == width:
            kept.append(row)
        elif ragged == "skip":
            losses.add("row_dropped", "", f"{len(row)} cells under {width} names")
        elif ragged == "error" or (ragged == "pad" and len(row) > width):
            raise Unreadable("ragged_row", f"{len(row)} cells under {width} names", line=line)
        else:
            if len(row) > width:
                losses.add("cells_dropped", "", f"{len(row)} cells under {width} names")
            kept.append(row[:width] + [""] * (width - len(row)))
    return kept


def tokens_of(options: Options) -> dict[str, Value]:
    """Return the cells that stand for null and truth values; none in what was written with `lossless`."""
    if options.restored:
        return {}
    asked = ((options.null_text, None), (options.true_text, True), (options.false_text, False))
    return {text: value for text, value in asked if text is not None}


def nested(
    batches: Iterator[list[dict[str, Value]]], names: Sequence[str], conversion: Conversion, *, has_parts: bool = False
) -> Document:
    """Return the rows as records: cells as what they stand for, names as places, as far as that was asked for. `has_parts`
    says that cells may be maps or lists by themselves."""
    options = conversion.options
    columns = tuple(dict.fromkeys(names))
    if options.restored or options.nested:
        return Records(_structured(batches, {name: steps(name) for name in columns}, conversion))
    if options.inference != "off" or options.types:
        batches = _typed(batches, conversion)
    has_parts = has_parts or (options.duplicates == "list" and len(columns) < len(names))
    return Records(batches, None if has_parts else columns)


def _typed(batches: Iterator[list[dict[str, Value]]], conversion: Conversion) -> Iterator[list[dict[str, Value]]]:
    known, inference = dict(conversion.options.types), conversion.options.inference
    plain = notation(conversion.options.decimal_mark, conversion.options.thousands_mark)
    if plain is not None:
        yield from _typed_with_marks(batches, conversion, plain)
        return
    before = 0
    for batch in batches:
        try:
            yield _typed_batch(batch, known, inference, conversion.losses.inferred)
        except Unreadable:
            _typed_one_by_one(batch, known, before)
            raise
        before += len(batch)


def _typed_batch(
    batch: list[dict[str, Value]], known: dict[str, str], inference: Inference, kinds: InferredKinds
) -> list[dict[str, Value]]:
    """Return the rows, which have the same names, with their texts as what they stand for."""
    names = tuple(batch[0]) if batch else ()
    columns = zip(*map(dict.values, batch), strict=True)
    typed: list[Sequence[Value]] = []
    for name, texts in zip(names, columns, strict=True):
        if name in known:
            typed.append([as_kind(text, known[name], name) if type(text) is str else text for text in texts])
        else:
            typed.append(values := inferred_column(texts, inference))
            kinds.add(name, texts, values)
    return [dict(zip(names, row, strict=True)) for row in zip(*typed, strict=True)]


def _typed_one_by_one(batch: list[dict[str, Value]], known: dict[str, str], before: int) -> None:
    """Raise `Unreadable` for the first cell that is not of its kind, with its place; so many records are before these."""
    for number, row in enumerate(batch, before):
        for name, cell in row.items():
            if name in known and type(cell) is str:
                as_kind(cell, known[name], name, number)


def _typed_with_marks(
    batches: Iterator[list[dict[str, Value]]], conversion: Conversion, plain: Callable[[str], str | None]
) -> Iterator[list[dict[str, Value]]]:
    known, inference = dict(conversion.options.types), conversion.options.inference
    before = 0
    for batch in batches:
        for number, row in enumerate(batch, before):
            for name, cell in row.items():
                if type(cell) is not str or (text := plain(cell)) is None:
                    continue
                if name in known:
                    value = as_kind(text, known[name], name, number)
                else:
                    value = inferred(text, inference)
                    conversion.losses.inferred.add(name, [cell], [value])
                row[name] = cell if type(value) is str else value
        yield batch
        before += len(batch)


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
