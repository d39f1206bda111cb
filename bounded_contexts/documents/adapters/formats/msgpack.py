"""MessagePack: one value, or several behind each other. An array at the top is read element by element."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO, Final

import msgpack
import msgspec

from bounded_contexts.documents.adapters.formats.conversion import CHUNK, Conversion, Format, pieces_of
from bounded_contexts.documents.adapters.formats.json import merged
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import is_whole, moment, nearest
from bounded_contexts.documents.domain.values import Document, Plain, Records, Single, Tagged, Value, in_order

EXTENSION: Final = "msgpack:"  # and the number of its type, in `Tagged`
CODE: Final = re.compile(r"0|-?[1-9][0-9]{0,2}")
KINDS: Final = frozenset(
    {
        EXTENSION,
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
# How they begin, also with a longer head than they need.
TIMESTAMPS: Final = re.compile(rb"(?:[\xd6\xd7]|(?:\xc7|\xc8\0|\xc9\0\0\0)[\x04\x08\x0c])\xff")
Pack = Callable[[Value, str], bytes]  # the string is the value's place: a JSON Pointer


def _kinds_of_plain(depth: int) -> Any:
    """Return the type of plain values in which lists and maps stand in each other so deep at most."""
    scalars = bool | int | float | str | None
    kinds: Any = scalars
    for _ in range(depth):
        kinds = scalars | list.__class_getitem__(kinds) | dict.__class_getitem__((str, kinds))
    return kinds


_plain = msgspec.msgpack.Decoder(list.__class_getitem__(_kinds_of_plain(8))).decode
_packed = msgspec.msgpack.Encoder().encode
_RARE: Final = (b"\xca\x7f", b"\xca\xff", b"\xcb\x7f", b"\xcb\xff")  # how numbers begin that are not finite


class _Source:
    """Finds where values end, without making them, and has all those that are there read together."""

    def __init__(self, source: BinaryIO, conversion: Conversion) -> None:
        limit = conversion.limits.item_bytes
        self._pieces = pieces_of(source, conversion.limits.input_bytes)
        self._ends = msgpack.Unpacker(max_buffer_size=limit + 2 * CHUNK)
        self._reading = _Reading(conversion)
        self._waiting = bytearray()  # from the first value on that has not been read
        self._begin = 0  # where it begins in the input
        self._fed = 0
        self._limit = limit

    def feed(self) -> bytes:
        """Hand over the next piece and return it; empty at the end."""
        piece = next(self._pieces, b"")
        self._ends.feed(piece)
        self._waiting += piece
        self._fed += len(piece)
        return piece

    def array_header(self) -> int:
        """Return how long the array is that begins here."""
        while True:
            try:
                length = int(self._ends.read_array_header())
            except msgpack.OutOfData:
                if not self.feed():
                    raise Unreadable("bad_msgpack", "a value ends too early", offset=self._fed) from None
                continue
            self._pass(self._ends.tell())
            return length

    def take(self, most: int) -> Sequence[Value]:
        """Return the next values, up to so many; none between two values at the end of the input."""
        count, end, skip = 0, self._begin, self._ends.skip
        while count < most:
            try:
                skip()
            except msgpack.OutOfData:
                if count:
                    break
                if self._fed - end > self._limit + CHUNK:
                    raise TooLarge("item_bytes", self._limit) from None
                if not self.feed():
                    return self._ended()
            except (ValueError, msgpack.UnpackException):
                return self._reading.one_by_one(bytes(self._waiting), count + 1, self._begin)  # it says what is wrong
            else:
                count, end = count + 1, self._ends.tell()
        taken = bytes(memoryview(self._waiting)[: end - self._begin])
        values = self._reading.together(taken, count, self._begin)
        self._pass(end)
        return values

    def _ended(self) -> Sequence[Value]:
        return self._reading.one_by_one(bytes(self._waiting), 1, self._begin) if self._waiting else []

    def _pass(self, end: int) -> None:
        del self._waiting[: end - self._begin]
        self._begin = end


class _Reading:
    """Makes values. What they are is said one by one; together they are made quicker, if they are plain and written as short as
    can be: then they give the same bytes when they are written again, so that no key was there twice."""

    def __init__(self, conversion: Conversion) -> None:
        limit, duplicates = conversion.limits.item_bytes, conversion.options.duplicates
        self._given: dict[str, Any] = {
            "object_pairs_hook": lambda pairs: _map(pairs, duplicates),
            "ext_hook": _extension,
            "strict_map_key": False,
            "max_buffer_size": limit + 2 * CHUNK,
            **{f"max_{kind}_len": limit for kind in ("str", "bin", "array", "map", "ext")},
        }
        self._limits = conversion.limits

    def together(self, data: bytes, count: int, offset: int) -> Sequence[Value]:
        """Return the values that the data is, so many."""
        if not any(mark in data for mark in _RARE):
            array = _header(count) + data
            try:
                values = _plain(array)
                if _packed(values) == array:
                    return Plain(values)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass
        return self.one_by_one(data, count, offset)

    def one_by_one(self, data: bytes, count: int, offset: int) -> list[Value]:
        """Return the first values of the data, so many. Raise `Unreadable` and `TooLarge` for what is none."""
        parser = msgpack.Unpacker(**self._given)
        parser.feed(data)
        has_times = TIMESTAMPS.search(data) is not None
        values: list[Value] = []
        while len(values) < count:
            at = offset + parser.tell()
            try:
                value = parser.unpack()
            except msgpack.OutOfData:
                raise Unreadable("bad_msgpack", "a value ends too early", offset=offset + len(data)) from None
            except (ValueError, MemoryError, Unreadable, msgpack.UnpackException) as error:
                raise self._refusal(error, at) from None
            values.append(_with_times(value) if has_times else value)
        return values

    def _refusal(self, error: Exception, offset: int) -> Exception:
        match error:
            case msgpack.StackError():
                return TooLarge("depth", self._limits.depth)
            case MemoryError():  # for as many elements as it says it has
                return TooLarge("item_bytes", self._limits.item_bytes)
            case UnicodeDecodeError():
                return Unreadable("bad_charset", "a text that is no UTF-8 begins here", offset=offset)
            case Unreadable():
                return Unreadable(error.code, error.detail, offset=offset)
            case _:
                return Unreadable("bad_msgpack", str(error) or "no MessagePack", offset=offset)


def _header(count: int) -> bytes:
    return bytes(msgpack.Packer().pack_array_header(count))


def _map(pairs: list[tuple[Any, Value]], duplicates: Any) -> dict[Any, Value]:
    try:
        keys = dict(pairs)
    except TypeError:
        raise Unreadable("bad_key", "a key that is a list or a map") from None
    return keys if len(keys) == len(pairs) else merged(pairs, duplicates)


def _extension(code: int, data: bytes) -> Value:
    return Tagged(f"{EXTENSION}{code}", data)


def _extended(value: Tagged) -> msgpack.ExtType:
    """Return what `_extension` has read. Raise `Unreadable` for what a document has marked so and is none."""
    code = value.tag.removeprefix(EXTENSION)
    if not CODE.fullmatch(code) or not -128 <= int(code) <= 127 or not isinstance(value.value, bytes):
        raise Unreadable(
            "bad_mark", "the tag of an extension is msgpack: and a number from -128 to 127, its value is bytes"
        )
    # `ExtType` itself refuses the codes below 0, which the specification keeps for types to come.
    return tuple.__new__(msgpack.ExtType, (int(code), value.value))


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
        return Records(_array(given, given.array_header()))
    (first,) = given.take(1)
    second = given.take(1)
    return Records(chain(([first, *second],), _rest(given))) if second else Single(first)


def _array(given: _Source, length: int) -> Iterator[Sequence[Value]]:
    left = length
    while left:
        values = given.take(min(left, BATCH))
        if not values:
            raise Unreadable("bad_msgpack", f"an array of {length} elements ends too early")
        left -= len(values)
        yield values
    if given.take(1):
        raise Unreadable("bad_msgpack", "something follows the array")


def _rest(given: _Source) -> Iterator[Sequence[Value]]:
    while values := given.take(BATCH):
        yield values


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one value; records one behind the other, or as an array, whose length comes first: they wait until it is known."""
    pack = _Packing(conversion).packed
    if isinstance(document, Single):
        yield pack(document.value, "")
        return
    if conversion.options.framing == "stream":
        count = 0
        for length, packed in _batches(document, pack, conversion):
            yield packed
            count += length
        if count < 2:
            conversion.losses.add("record_as_value", "", "of fewer than two values in a row none is a record")
        return
    count = 0
    with tempfile.SpooledTemporaryFile(SPOOLED) as spool:
        for length, packed in _batches(document, pack, conversion):
            spool.write(packed)
            count += length
        yield msgpack.Packer().pack_array_header(count)
        spool.seek(0)
        while piece := spool.read(CHUNK):
            yield piece


def _batches(document: Records, pack: Pack, conversion: Conversion) -> Iterator[tuple[int, bytes]]:
    """Yield of each batch how many values it has and what they are, one behind the other."""
    takes_plain = not (conversion.options.sort_keys or conversion.options.lossless)
    number = 0
    for batch in document.batches:
        packed = _plainly(batch) if takes_plain and type(batch) is Plain else None
        if packed is None:
            packed = b"".join([pack(value, f"/{number + index}") for index, value in enumerate(batch)])
        yield len(batch), packed
        number += len(batch)


def _plainly(batch: Plain) -> bytes | None:
    try:
        return _packed(batch)[len(_header(len(batch))) :]
    except OverflowError:  # an integer of more than 64 bit
        return None


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
            if is_whole(value):
                return int(value)
            _, code = nearest(value)
            if code and self._losses.are_told and near - near == 0:
                self._lost.append(code)
                return near
        elif isinstance(value, datetime) and moment(value) == "datetime":
            since = value - EPOCH
            return msgpack.Timestamp(since.days * 86_400 + since.seconds, since.microseconds * 1000)
        elif isinstance(value, Tagged) and value.tag.startswith(EXTENSION):
            return _extended(value)
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
