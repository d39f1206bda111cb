"""MessagePack: one value, or several behind each other. An array at the top is read element by element."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO, Final

import msgpack

from bounded_contexts.documents.adapters.formats.conversion import CHUNK, Conversion, Format, pieces_of
from bounded_contexts.documents.adapters.formats.json import merged
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import moment, nearest
from bounded_contexts.documents.domain.values import Document, Records, Single, Tagged, Value, in_order

KINDS: Final = frozenset(
    {
        "null",
        "boolean",
        "integer",
        "unsigned",
        "float",
        "not finite",
        "string",
        "bytes",
        "datetime",
        "list",
        "map",
        "key",
    }
)
SPOOLED: Final = 4 << 20  # bytes of elements that wait in memory for their number; more of them wait in a file
BATCH: Final = 1_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Every byte that begins no list and no map: where few others are, not many stand in each other.
_NO_HEADS: Final = bytes(set(range(256)) - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})
EXTENSION: Final = "msgpack:"  # and the number of its type, in `Tagged`
TIMESTAMPS: Final = re.compile(rb"[\xd6\xd7]\xff|\xc7\x0c\xff")  # how they begin


class _Source:
    """Feeds the parser and knows how much it has taken."""

    def __init__(self, source: BinaryIO, conversion: Conversion) -> None:
        limit = conversion.limits.item_bytes
        duplicates = conversion.options.duplicates
        self._pieces = pieces_of(source, conversion.limits.input_bytes)
        self._parser = msgpack.Unpacker(
            object_pairs_hook=lambda pairs: _map(pairs, duplicates),
            ext_hook=_extension,
            strict_map_key=False,
            max_buffer_size=limit + 2 * CHUNK,
            **{f"max_{kind}_len": limit for kind in ("str", "bin", "array", "map", "ext")},
        )
        self._fed = 0
        self._end = b""
        self._has_times = False  # whether there may have been one: only then they are looked for
        self._limit = limit
        self._depth = conversion.limits.depth

    def feed(self) -> bytes:
        """Hand over the next piece and return it; empty at the end."""
        piece = next(self._pieces, b"")
        self._has_times = self._has_times or TIMESTAMPS.search(self._end + piece) is not None
        self._end = piece[-2:]
        self._parser.feed(piece)
        self._fed += len(piece)
        return piece

    def next(self, read: Any) -> Any:
        """Return what `read` reads, or raise `EOFError` when the input has ended between two values."""
        before = self._parser.tell()
        while True:
            try:
                return read()
            except msgpack.OutOfData:
                if self._fed - before > self._limit + CHUNK:
                    raise TooLarge("item_bytes", self._limit) from None
                if not self.feed():
                    if self._fed == before:
                        raise EOFError from None
                    raise Unreadable("bad_msgpack", "a value ends too early", offset=self._fed) from None
            except (ValueError, MemoryError, Unreadable, msgpack.UnpackException) as error:
                raise self._refusal(error, before) from None

    def _refusal(self, error: Exception, offset: int) -> Exception:
        match error:
            case msgpack.StackError():
                return TooLarge("depth", self._depth)
            case MemoryError():  # for as many elements as it says it has
                return TooLarge("item_bytes", self._limit)
            case UnicodeDecodeError():
                return Unreadable("bad_charset", "a text that is no UTF-8 begins here", offset=offset)
            case Unreadable():
                return Unreadable(error.code, error.detail, offset=offset)
            case _:
                return Unreadable("bad_msgpack", str(error) or "no MessagePack", offset=offset)

    @property
    def value(self) -> Any:
        """Return what reads one value."""
        return self._one

    def _one(self) -> Value:
        value = self._parser.unpack()
        return _with_times(value) if self._has_times else value

    @property
    def header(self) -> Any:
        """Return what reads how long an array is."""
        return self._parser.read_array_header


def _map(pairs: list[tuple[Any, Value]], duplicates: Any) -> dict[Any, Value]:
    try:
        keys = dict(pairs)
    except TypeError:
        raise Unreadable("bad_key", "a key that is a list or a map") from None
    return keys if len(keys) == len(pairs) else merged(pairs, duplicates)


def _extension(code: int, data: bytes) -> Value:
    return Tagged(f"{EXTENSION}{code}", data)


def _with_times(value: Value) -> Value:
    if isinstance(value, dict):
        return {_with_times(key): _with_times(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_times(each) for each in value]
    return _moment(value) if isinstance(value, msgpack.Timestamp) else value


def _moment(stamp: Any) -> Value:
    try:
        if stamp.nanoseconds % 1000 == 0:
            return datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanoseconds // 1000)
    except (ValueError, OverflowError, OSError):
        pass  # beyond the calendar
    return Tagged(f"{EXTENSION}-1", stamp.to_bytes())


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read an array's elements, several values behind each other, or one."""
    given = _Source(source, conversion)
    head = given.feed()
    if not head:
        raise Unreadable("bad_msgpack", "there is no value", offset=0)
    if 0x90 <= head[0] <= 0x9F or head[0] in (0xDC, 0xDD):
        return Records(_array(given, given.next(given.header)))
    first = given.next(given.value)
    try:
        second = given.next(given.value)
    except EOFError:
        return Single(first)
    return Records(chain(([first, second],), _rest(given)))


def _array(given: _Source, length: int) -> Iterator[Sequence[Value]]:
    for start in range(0, length, BATCH):
        try:
            yield [given.next(given.value) for _ in range(start, min(start + BATCH, length))]
        except EOFError:
            raise Unreadable("bad_msgpack", f"an array of {length} elements ends too early") from None
    try:
        given.next(given.value)
    except EOFError:
        return
    raise Unreadable("bad_msgpack", "something follows the array")


def _rest(given: _Source) -> Iterator[Sequence[Value]]:
    while True:
        batch: list[Value] = []
        try:
            while len(batch) < BATCH:
                batch.append(given.next(given.value))
        except EOFError:
            yield batch
            return
        yield batch


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one value; records one behind the other, or as an array, whose length comes first: they wait until it is known."""
    pack = _Packing(conversion).packed
    if isinstance(document, Single):
        yield pack(document.value, "")
        return
    count = 0
    if conversion.options.framing == "stream":
        for batch in document.batches:
            yield b"".join([pack(value, f"/{count + index}") for index, value in enumerate(batch)])
            count += len(batch)
        if count < 2:
            conversion.losses.add("record_as_value", "", "of fewer than two values in a row none is a record")
        return
    with tempfile.SpooledTemporaryFile(SPOOLED) as spool:
        for batch in document.batches:
            spool.write(b"".join([pack(value, f"/{count + index}") for index, value in enumerate(batch)]))
            count += len(batch)
        yield msgpack.Packer().pack_array_header(count)
        spool.seek(0)
        while piece := spool.read(CHUNK):
            yield piece


class _Packing:
    """Packs values as they are, as far as the format holds them. What it lacks is looked for, place by place, while places are
    told; then decimals are counted on the way."""

    def __init__(self, conversion: Conversion) -> None:
        self._sorts = conversion.options.sort_keys
        self._fits_all = self._sorts or conversion.options.lossless
        self._depth = conversion.limits.depth
        self._losses = conversion.losses
        self._fit = conversion.fitting(KINDS).fit
        self._packer = msgpack.Packer(default=self._other)
        self._lost: list[str] = []  # codes, of the value that is packed

    def packed(self, value: Value, pointer: str) -> bytes:
        """Return the bytes of a value. Raise `TooLarge` for one that is too deep."""
        if self._fits_all:
            fitted = self._fit(value, pointer)
            return bytes(self._packer.pack(in_order(fitted) if self._sorts else fitted))
        self._lost.clear()
        try:
            data = bytes(self._packer.pack(value))
        except (TypeError, ValueError, OverflowError):  # a kind that it lacks: its place is looked for
            self._packer.reset()
            return bytes(self._packer.pack(self._fit(value, pointer)))
        if len(data) > self._depth and len(data.translate(None, _NO_HEADS)) > self._depth:
            _check_depth(value, self._depth)
        self._losses.counts.update(self._lost)
        return data

    def _other(self, value: Value) -> Value:
        if isinstance(value, Decimal):
            near = float(value)
            if str(value) == repr(near):
                return near
            _, code = nearest(value)
            if code and self._losses.are_told and near - near == 0:
                self._lost.append(code)
                return near
        elif isinstance(value, datetime) and moment(value) == "datetime":
            since = value - EPOCH
            return msgpack.Timestamp(since.days * 86_400 + since.seconds, since.microseconds * 1000)
        elif isinstance(value, Tagged) and value.tag.startswith(EXTENSION):
            return msgpack.ExtType(int(value.tag.removeprefix(EXTENSION)), value.value)
        raise TypeError(type(value))


def _check_depth(value: Value, limit: int) -> None:
    level = [value]
    for _ in range(limit + 1):
        level = [each for each in level if type(each) is dict or type(each) is list]
        if not level:
            return
        level = [part for each in level for part in (each.values() if type(each) is dict else each)]
    raise TooLarge("depth", limit)


MSGPACK: Final = Format(
    name="msgpack",
    title="MessagePack",
    media_type="application/vnd.msgpack",
    other_media_types=("application/msgpack", "application/x-msgpack"),
    extensions=("msgpack", "mpk"),
    kinds=KINDS,
    read=read,
    write=write,
    streams_in=True,
    streams_out=True,
    is_text=False,
)
