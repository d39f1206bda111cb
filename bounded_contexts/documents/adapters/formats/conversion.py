"""What a reader and a writer are given, and what they are."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from bounded_contexts.documents.adapters.formats.charset_labels import CODECS
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, quoted
from bounded_contexts.documents.domain.fitting import Fitting
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Document

CHUNK = (
    64 * 1024
)  # bytes that are read, parsed and written at a time: what comes of them stays in the processor's cache
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


NO_CHARSETS: Final = (
    frozenset(  # but escapes, names of hosts, or of nothing; some take a time that grows with the square
        {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"}
    )
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion: what was asked, what it may take, what it loses."""

    options: Options = field(default_factory=Options)
    limits: Limits = field(default_factory=Limits)
    losses: Losses = field(default_factory=Losses)
    floats: bool = False  # whether decimals become floats anyway, so that readers need not keep digits that floats hold

    def fitting(self, holds: frozenset[str]) -> Fitting:
        """Return what makes values fit for a format."""
        options = self.options
        return Fitting(holds, self.losses, lossless=options.lossless, depth=self.limits.depth, nulls=options.nulls)


Read = Callable[[BinaryIO, Conversion], Document]
# Yields what is to be written, in pieces; nothing is kept that has been yielded.
Write = Callable[[Document, Conversion], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Format:
    """One format as the table in docs/documents.md has it."""

    name: str
    title: str
    media_type: str
    other_media_types: tuple[str, ...]
    extensions: tuple[str, ...]
    kinds: frozenset[str]  # of values that it holds by itself
    read: Read
    write: Write
    streams_in: bool  # whether reading takes memory for a record, not for the document
    streams_out: bool
    is_text: bool = True
    is_read: bool = True  # else it is written only


def utf8(source: BinaryIO, conversion: Conversion) -> Iterator[bytes]:
    """Yield the text of the source as UTF-8 without a mark, in pieces. Raise `Unreadable` for bytes that are none of its
    charset, with their offset, and `TooLarge`."""
    pieces = pieces_of(source, conversion.limits.input_bytes)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= 4:
            break
    charset, skip = _charset(head, conversion.options.charset)
    conversion.losses.notes["charset"] = charset
    decoder = codec_of(charset).incrementaldecoder("strict")
    seen = skip
    rest = head[skip:]
    while True:
        final = not rest
        try:
            text = decoder.decode(rest, final)
        except UnicodeError as error:
            at = 0  # UTF-16 without its mark
            if isinstance(error, UnicodeDecodeError):
                at = seen - (len(error.object) - len(rest)) + error.start
            raise Unreadable("bad_charset", f"bytes that are no {charset}", offset=at) from None
        if text:
            yield text.encode()
        if final:
            return
        seen += len(rest)
        rest = next(pieces, b"")


def pieces_of(source: BinaryIO, limit: int) -> Iterator[bytes]:
    total = 0
    while piece := source.read(CHUNK):
        total += len(piece)
        if total > limit:
            raise TooLarge("input_bytes", limit)
        yield piece


def _charset(head: bytes, asked: str | None) -> tuple[str, int]:
    for mark, charset in MARKS:
        if head.startswith(mark) and (asked is None or _same(asked, charset)):
            return charset, len(mark)
    return asked or "utf-8", 0


def _same(asked: str, charset: str) -> bool:
    return charset.startswith(asked.lower().replace("_", "-"))


def codec_of(charset: str) -> codecs.CodecInfo:
    """Return the charset. Raise `Unreadable` for a name that there is none of, or that is Python's name for something else."""
    try:
        found = codecs.lookup(CODECS.get(charset.strip().lower(), charset))
    except (LookupError, ValueError):  # the latter for control characters
        found = None
    if found is None or not found._is_text_encoding or found.name in NO_CHARSETS:
        raise Unreadable("unknown_charset", f"{quoted(charset)} is no charset")
    return found


def encoded(pieces: Iterable[str], conversion: Conversion) -> Iterator[bytes]:
    """Yield the text in the charset that was asked for. Raise `Unreadable` for a character that it lacks."""
    codec = codec_of(conversion.options.output_charset)
    charset, encoder = codec.name, codec.incrementalencoder("strict")
    if conversion.options.mark and charset == "utf-8":
        yield codecs.BOM_UTF8
    for piece in pieces:
        try:
            yield encoder.encode(piece)
        except UnicodeEncodeError as error:
            raise Unreadable("bad_charset", f"{charset} has no character {error.object[error.start]!r}") from None


def whole(pieces: Iterable[bytes], limit: int) -> bytes:
    """Return all of it. Raise `TooLarge` past the limit in bytes."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) > limit:
            raise TooLarge("item_bytes", limit)
    return bytes(buffer)
