"""One document from one format into another."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.fitting import Fitting, restored
from bounded_contexts.documents.domain.values import KINDS, Document, Records, Single, Value

UNTAGGED = frozenset({*KINDS.values(), "big integer", "unsigned", "not finite", "key"} - {"tagged"})
TEXTS = frozenset({"string"})  # what formats hold that do their own fitting: cells, elements, lines


def convert(source: BinaryIO, read: Format, write: Format, conversion: Conversion) -> Iterator[bytes]:
    """Yield the document in the other format, piece by piece, while the source is read.

    Raise `Unreadable`, `Unwritable` or `TooLarge`, also between two pieces: what was yielded before is no document then."""
    try:
        yield from _converted(source, read, write, conversion)
    except RecursionError:  # the readers' and writers' own limits are closer, where a parser has not its own
        raise TooLarge("depth", conversion.limits.depth) from None


def _converted(source: BinaryIO, read: Format, write: Format, conversion: Conversion) -> Iterator[bytes]:
    document = read.read(source, conversion)
    if conversion.options.restored and read.kinds != TEXTS and read.name != "xlsx":
        document = _mapped(document, restored)
    if (
        write.kinds <= JSON_KINDS
        and write.kinds != TEXTS
        and (conversion.options.lossless or not (document.kinds or read.kinds) <= write.kinds)
    ):
        fitting = conversion.fitting(write.kinds)
        document = _fitted(document, fitting)
    elif write.kinds == TEXTS and conversion.options.tags == "keep" and not conversion.options.lossless:
        document = _fitted(document, conversion.fitting(UNTAGGED))
    total, limit = 0, conversion.limits.output_bytes
    for piece in write.write(document, conversion):
        total += len(piece)
        if total > limit:
            raise TooLarge("output_bytes", limit)
        yield piece


def _mapped(document: Document, change: Callable[[Value], Value]) -> Document:
    if isinstance(document, Single):
        return Single(change(document.value))
    return Records(([change(value) for value in batch] for batch in document.batches), document.columns)


def _fitted(document: Document, fitting: Fitting) -> Document:
    if isinstance(document, Single):
        return Single(fitting.fit(document.value))

    def batches() -> Iterator[list[Value]]:
        number = 0
        for batch in document.batches:
            yield [fitting.fit(value, f"/{number + index}") for index, value in enumerate(batch)]
            number += len(batch)

    return Records(batches(), document.columns)
