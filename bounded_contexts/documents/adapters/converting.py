"""One document from one format into another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.adapters.formats.tables import single
from bounded_contexts.documents.domain.errors import QUOTED, TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import HELD, Fitting, restored
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Document, JsonBatch, Records, Single, Value

UNTAGGED = HELD - {"tagged"}
TYPED = frozenset({"null", "boolean", "integer", "big integer", "decimal", "datetime", "date", "time"})  # by inference
GARBAGE = (100_000, 50, 1000)  # objects before the collector looks for circles: records come and go, and are in none
TEXTS = frozenset({"string"})  # what formats hold that do their own fitting: cells, elements, lines


def convert(source: BinaryIO, read: Format, write: Format, conversion: Conversion) -> Iterator[bytes]:
    """Yield the document in the other format, piece by piece, while the source is read.

    Raise `Unreadable`, `Unwritable` or `TooLarge`, also between two pieces: what was yielded before is no document then."""
    try:
        yield from _converted(source, read, write, conversion)
    except RecursionError:  # the readers' and writers' own limits are closer, where a parser has not its own
        raise TooLarge("depth", conversion.limits.depth) from None


def _converted(source: BinaryIO, read: Format, write: Format, conversion: Conversion) -> Iterator[bytes]:
    floats = "float" in write.kinds and "decimal" not in write.kinds and not conversion.options.lossless
    document = read.read(source, replace(conversion, floats=floats))
    if conversion.options.restored and read.kinds != TEXTS and read.name != "xlsx":
        document = _mapped(document, restored)
    document = _asked_part(document, conversion)
    if (
        write.kinds <= JSON_KINDS
        and write.kinds != TEXTS
        and (conversion.options.lossless or not _kinds(document, read, conversion.options) <= write.kinds)
    ):
        fitting = conversion.fitting(write.kinds)
        document = _fitted(document, fitting, takes_json=write.kinds == JSON_KINDS and not conversion.options.lossless)
    elif write.kinds == TEXTS and conversion.options.tags == "keep" and not conversion.options.lossless:
        document = _fitted(document, conversion.fitting(UNTAGGED))
    total, limit = 0, conversion.limits.output_bytes
    for piece in write.write(document, conversion):
        total += len(piece)
        if total > limit:
            raise TooLarge("output_bytes", limit)
        yield piece


def _kinds(document: Document, read: Format, options: Options) -> frozenset[str]:
    """Return the kinds that may be in the document."""
    known = document.kinds or read.kinds
    if options.restored:
        return HELD
    return known | TYPED if options.inference == "full" or options.types else known


def _asked_part(document: Document, conversion: Conversion) -> Document:
    """Return the value at `path`, or the document, and of its records those that were asked for."""
    options = conversion.options
    if options.path:
        document = Single(_at(single(document, conversion.limits.rows), options.path), document.kinds)
    if not options.offset and not options.limit:
        return document
    if isinstance(document, Records):
        return Records(_some(document.batches, options.offset, options.limit), document.columns, document.kinds)
    value = document.value
    if not isinstance(value, list):
        return document
    return Single(value[options.offset :][: options.limit or None], document.kinds)


def _at(value: Value, pointer: str) -> Value:
    """Return what the JSON Pointer (RFC 6901) points at. Raise `Unreadable` where there is nothing."""
    for token in pointer.removeprefix("/").split("/"):
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and len(key) < 10 and int(key) < len(value):
            value = value[int(key)]
        else:
            raise Unreadable("no_value", "nothing is at the path that was asked for", pointer=pointer[:QUOTED])
    return value


def _some(batches: Iterator[Sequence[Value]], offset: int, limit: int) -> Iterator[Sequence[Value]]:
    left = limit
    for batch in batches:
        skipped = min(offset, len(batch))
        offset -= skipped
        part = batch[skipped:][:left] if limit else batch[skipped:]
        left -= len(part)
        if part:
            yield part
        if limit and not left:
            return  # the rest is not read


def _mapped(document: Document, change: Callable[[Value], Value]) -> Document:
    if isinstance(document, Single):
        return Single(change(document.value))
    return Records(([change(value) for value in batch] for batch in document.batches), document.columns)


def _fitted(document: Document, fitting: Fitting, *, takes_json: bool = False) -> Document:
    if isinstance(document, Single):
        return Single(fitting.fit(document.value))

    def batches() -> Iterator[Sequence[Value]]:
        number = 0
        for batch in document.batches:
            is_fit = takes_json and isinstance(batch, JsonBatch)
            yield batch if is_fit else [fitting.fit(value, f"/{number + index}") for index, value in enumerate(batch)]
            number += len(batch)

    return Records(batches(), document.columns)
