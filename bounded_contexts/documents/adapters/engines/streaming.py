"""A document whose rows follow it, line by line. They wait on disk: what is known only at the end, such as the number of pages,
takes another walk over them. docs/adr/0065"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import IO, Any, BinaryIO, Final, NoReturn, cast

from bounded_contexts.documents.adapters.engines.validating import checked, parsed, whole_document
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import SPACE, Lines, lines_of
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import restored
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.streams import STREAM, STREAMS, named_stream, stream_names
from bounded_contexts.documents.domain.values import Value
from infra.worker_frames import Source

CHUNK: Final = 64 * 1024
IN_MEMORY: Final = 1 << 20  # bytes of rows that need no disk
LIMITS: Final = {"input_bytes": "streamed_bytes", "item_bytes": "row_bytes"}  # as readers call them, and as we do
MARKS: Final = (b'"$', b'"\\u0024')  # one of them is in a text that says a kind of value


@contextmanager
def streamed_document(source: Source, limits: RenderLimits, stored: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    """Give the document with the rows that follow it, all of which have been found readable. Raise `Unreadable` with the line,
    `Invalid`, `TooLarge`."""
    head, rest = _head(source, limits.input_bytes)
    found = checked(whole_document(parsed(head, limits)), limits, stored, limits.streams)
    with ExitStack() as files:
        streams = {
            name: SpooledRows(files.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY)), limits)
            for name in stream_names(found)
        }
        _Spooling(streams, limits).take(Joined(rest, source), head)
        yield {**found, STREAMS: streams}


def _head(source: Source, limit: int) -> tuple[bytes, bytes]:
    """Return the first line with its end, and what was read of the next."""
    head = bytearray()
    while b"\n" not in head[-CHUNK:] and (piece := source.read(CHUNK)):
        head += piece
        if len(head) > limit + CHUNK:
            raise TooLarge("input_bytes", limit)
    end = head.find(b"\n") + 1 or len(head)
    return bytes(head[:end]), bytes(head[end:])


class Joined:
    """What has been read already, then the rest."""

    def __init__(self, begun: bytes, source: Source) -> None:
        self._begun, self._source = begun, source

    def read(self, size: int, /) -> bytes:
        """Return some bytes, none at the end."""
        if self._begun:
            piece, self._begun = self._begun[:size], self._begun[size:]
            return piece
        return self._source.read(size)


class SpooledRows:
    """The rows of one stream, in a file."""

    def __init__(self, file: IO[bytes], limits: RenderLimits) -> None:
        self._file, self._limits, self._count = file, limits, 0

    def add(self, text: bytes, count: int) -> None:
        """Take so many rows, a line each."""
        self._file.write(text if text.endswith(b"\n") else text + b"\n")
        self._count += count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Value]:
        """Yield the rows; several may walk at once."""
        for _, text, values in lines_of(cast("BinaryIO", _Reading(self._file)), _reading(self._limits)):
            yield from map(restored, values) if has_marks(text) else values


class _Reading:
    """A file as one of its readers sees it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._at = file, 0

    def read(self, size: int, /) -> bytes:
        self._file.seek(self._at)
        piece = self._file.read(size)
        self._at += len(piece)
        return piece


class _Spooling:
    """Puts rows where they belong, having looked at each of them."""

    def __init__(self, streams: dict[str, SpooledRows], limits: RenderLimits) -> None:
        self._streams, self._limits = streams, limits
        self._rows = 0
        self._stream = next(iter(streams.values())) if len(streams) == 1 else None

    def take(self, source: Source, head: bytes) -> None:
        try:
            for lines in lines_of(cast("BinaryIO", source), _reading(self._limits), head):
                self._take(lines)
        except Unreadable as error:
            if "line" in error.more:
                raise
            raise Unreadable(error.code, error.detail, offset=len(head) + int(error.more["offset"])) from None
        except TooLarge as error:
            limit = str(error.more["limit"])
            raise TooLarge(LIMITS.get(limit, limit), int(error.more["allowed"])) from None

    def _take(self, lines: Lines) -> None:
        line, text, values = lines
        if has_marks(text):
            for number, one, value in _apart(lines):
                self._one(number, one, value)
        else:
            self._add(line, text, len(values))

    def _one(self, line: int, text: bytes, value: Value) -> None:
        name = named_stream(value)
        if name is None:
            try:
                restored(value)
            except Unreadable as error:
                raise Unreadable(error.code, error.detail, line=line, pointer=str(error.more["pointer"])) from None
            self._add(line, text, 1)
        elif (stream := self._streams.get(name)) is None:
            _refuse(line, "no table has rows of this stream")
        else:
            self._stream = stream

    def _add(self, line: int, text: bytes, count: int) -> None:
        if not count:
            return
        self._rows += count
        if self._rows > self._limits.rows:
            raise TooLarge("rows", self._limits.rows)
        if self._stream is None:
            said = f'with several streams a line {{"{STREAM}": name}} says whose rows follow'
            _refuse(line, said if self._streams else "no table has rows of a stream")
        self._stream.add(text, count)


def has_marks(text: bytes) -> bool:
    """Return whether a key of the JSON may say a kind of value; if not, none does."""
    return any(mark in text for mark in MARKS)


def _apart(lines: Lines) -> Iterator[tuple[int, bytes, Value]]:
    first, text, values = lines
    waiting = iter(values)
    for number, line in enumerate(text.split(b"\n"), first):
        if line.strip(SPACE):
            yield number, line, next(waiting)


def _refuse(line: int, why: str) -> NoReturn:
    raise Unreadable("unknown_stream", why, line=line)


def _reading(limits: RenderLimits) -> Conversion:
    return Conversion(limits=Limits(input_bytes=limits.streamed_bytes, item_bytes=limits.row_bytes))
