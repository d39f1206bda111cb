"""Avro's binary encoding (avro.apache.org/docs/1.12.0/specification), read by functions that a schema is made into.

A value that takes no bytes is counted: a schema of nothing but nulls could stand for more values than there is memory."""

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import merged
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.values import Tagged, Value

Decode = Callable[[bytes, int, int], tuple[Value, int]]  # (data, where, depth) → the value, and where it ends
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TAG: Final = "avro:"


def long_at(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer there, and where it ends. Raise `IndexError` and `ValueError`."""
    byte = data[at]
    at += 1
    number, shift = byte & 0x7F, 7
    while byte >= 0x80:
        if shift > 63:
            raise ValueError("an integer of too many bytes")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
    return (number >> 1) ^ -(number & 1), at


def bytes_at(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the bytes there, behind their length, and where they end. Raise `IndexError` and `ValueError`."""
    size, at = long_at(data, at)
    return _taken(data, at, size)


def _taken(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if not 0 <= size <= len(data) - at:
        raise ValueError("a length beyond the end")
    return data[at : at + size], at + size


def _null(_: bytes, at: int, __: int) -> tuple[Value, int]:
    return None, at


def _boolean(data: bytes, at: int, _: int) -> tuple[Value, int]:
    if data[at] > 1:
        raise ValueError("a truth value that is none")
    return data[at] == 1, at + 1


def _long(data: bytes, at: int, _: int) -> tuple[Value, int]:
    return long_at(data, at)


def _float(data: bytes, at: int, _: int) -> tuple[Value, int]:
    return struct.unpack_from("<f", data, at)[0], at + 4


def _double(data: bytes, at: int, _: int) -> tuple[Value, int]:
    return struct.unpack_from("<d", data, at)[0], at + 8


def _bytes(data: bytes, at: int, _: int) -> tuple[Value, int]:
    return bytes_at(data, at)


def _string(data: bytes, at: int, _: int) -> tuple[Value, int]:
    found, at = bytes_at(data, at)
    return found.decode(), at


PRIMITIVES: Final[dict[str, Decode]] = {
    "null": _null,
    "boolean": _boolean,
    "int": _long,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _string,
}


class Decoders:
    """Makes schemas into functions that decode. Raises `Unreadable` for what is no schema."""

    def __init__(self, conversion: Conversion) -> None:
        self._named: dict[str, Decode] = {}
        self._depth = conversion.limits.depth
        self._columns = conversion.limits.columns
        self._empty = self._empty_left = conversion.limits.alias_nodes
        self._digits = conversion.limits.number_digits
        self._duplicates = conversion.options.duplicates

    def of(self, schema: Any, namespace: str = "") -> Decode:
        """Return what decodes values of the schema."""
        match schema:
            case str():
                return self._called(schema, namespace)
            case list():
                return self._union([self.of(each, namespace) for each in schema])
            case {"type": dict() | list() as inner}:
                return self.of(inner, namespace)
            case {"type": "record" | "error", "name": str(name), "fields": list(fields)}:
                return self._record(_full(name, schema, namespace), fields)
            case {"type": "enum", "name": str(name), "symbols": list(symbols)}:
                return self._enum(_full(name, schema, namespace), symbols)
            case {"type": "fixed", "name": str(name), "size": int(size)} if size >= 0:
                full = _full(name, schema, namespace)
                self._named[full] = self._logical(lambda data, at, _: _taken(data, at, size), schema)
                return self._named[full]
            case {"type": "array", "items": items}:
                return self._array(self.of(items, namespace))
            case {"type": "map", "values": values}:
                return self._map(self.of(values, namespace))
            case {"type": str(name)}:
                return self._logical(self._called(name, namespace), schema)
        raise Unreadable("bad_avro", "the schema is none")

    def spend(self) -> None:
        """Count a value that took no bytes."""
        self._empty_left -= 1
        if self._empty_left < 0:
            raise TooLarge("alias_nodes", self._empty)

    def _called(self, name: str, namespace: str) -> Decode:
        if name in PRIMITIVES:
            return PRIMITIVES[name]
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full not in self._named:
            raise Unreadable("bad_avro", f"the schema has no type {name[:40]!r}")
        return self._named[full]

    def _record(self, full: str, fields: list[Any]) -> Decode:
        if len(fields) > self._columns:
            raise TooLarge("columns", self._columns)
        self._named[full] = lambda data, at, depth: decode(data, at, depth)  # types may have parts of their own kind
        namespace = full.rpartition(".")[0]
        found = [(str(field["name"]), self.of(field["type"], namespace)) for field in fields]
        if len({name for name, _ in found}) < len(found):
            raise Unreadable("bad_avro", "a record has two fields of one name")
        limit = self._depth

        def decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
            if depth > limit:
                raise TooLarge("depth", limit)
            record: dict[str, Value] = {}
            for name, each in found:
                record[name], at = each(data, at, depth + 1)
            return record, at

        return decode

    def _enum(self, full: str, symbols: list[Any]) -> Decode:
        names = [str(symbol) for symbol in symbols]

        def decode(data: bytes, at: int, _: int) -> tuple[Value, int]:
            index, at = long_at(data, at)
            return names[_index(index)], at

        self._named[full] = decode
        return decode

    def _union(self, branches: list[Decode]) -> Decode:
        def decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
            index, at = long_at(data, at)
            return branches[_index(index)](data, at, depth)

        return decode

    def _array(self, item: Decode) -> Decode:
        limit = self._depth

        def decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
            if depth > limit:
                raise TooLarge("depth", limit)
            values: list[Value] = []
            count, at = _count(data, at)
            while count:
                for _ in range(count):
                    value, end = item(data, at, depth + 1)
                    if end == at:
                        self.spend()
                    values.append(value)
                    at = end
                count, at = _count(data, at)
            return values, at

        return decode

    def _map(self, item: Decode) -> Decode:
        limit = self._depth

        def decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
            if depth > limit:
                raise TooLarge("depth", limit)
            pairs: list[tuple[str, Value]] = []
            count, at = _count(data, at)
            while count:
                for _ in range(count):
                    key, at = bytes_at(data, at)
                    value, at = item(data, at, depth + 1)
                    pairs.append((key.decode(), value))
                count, at = _count(data, at)
            keys = dict(pairs)
            return keys if len(keys) == len(pairs) else merged(pairs, self._duplicates), at

        return decode

    def _logical(self, decode: Decode, schema: dict[str, Any]) -> Decode:
        name, scale = schema.get("logicalType"), schema.get("scale", 0)
        change = _LOGICAL.get((str(schema["type"]), str(name)))
        if (
            name == "decimal"
            and schema["type"] in ("bytes", "fixed")
            and type(scale) is int
            and 0 <= scale <= self._digits
        ):
            longest = self._digits * 2 // 5  # bytes

            def change(value: Value) -> Value:
                if len(value) > longest:
                    raise Unreadable("number_too_long", "a decimal has too many digits")
                number = int.from_bytes(value, "big", signed=True)
                return Decimal((number < 0, tuple(map(int, str(abs(number)))), -scale))

        elif change is None or (name == "duration" and schema.get("size") != 12):
            return decode  # of logical types that are not known the value is what it is

        def changed(data: bytes, at: int, depth: int) -> tuple[Value, int]:
            value, at = decode(data, at, depth)
            return change(value), at

        return changed


def _full(name: str, schema: dict[str, Any], namespace: str) -> str:
    space = schema.get("namespace", namespace)
    return name if "." in name or not space else f"{space}.{name}"


def _index(index: int) -> int:
    if index < 0:
        raise IndexError(index)
    return index


def _count(data: bytes, at: int) -> tuple[int, int]:
    count, at = long_at(data, at)
    if count < 0:
        _, at = long_at(data, at)  # how many bytes: for readers that skip
    return abs(count), at


def _date(days: int) -> Value:
    try:
        return date.fromordinal(days + EPOCH.toordinal())
    except (ValueError, OverflowError):
        return Tagged(f"{TAG}date", days)


def _time(unit: int) -> Callable[[int], Value]:
    def change(number: int) -> Value:
        if 0 <= number < 86_400 * unit:
            return (EPOCH + timedelta(microseconds=number * 1_000_000 // unit)).time()
        return Tagged(f"{TAG}time", number)

    return change


def _moment(name: str, unit: int, *, is_local: bool) -> Callable[[int], Value]:
    def change(number: int) -> Value:
        try:
            if (number * 1_000_000) % unit == 0:
                found = EPOCH + timedelta(microseconds=number * 1_000_000 // unit)
                return found.replace(tzinfo=None) if is_local else found
        except OverflowError:
            pass  # beyond the calendar
        return Tagged(TAG + name, number)

    return change


def _duration(data: bytes) -> Value:
    months, days, milliseconds = struct.unpack("<III", data)
    seconds = f"{milliseconds // 1000}.{milliseconds % 1000:03}"
    return Tagged(f"{TAG}duration", f"P{months}M{days}DT{seconds}S")


_LOGICAL: Final[dict[tuple[str, str], Callable[[Any], Value]]] = {
    ("int", "date"): _date,
    ("int", "time-millis"): _time(1_000),
    ("long", "time-micros"): _time(1_000_000),
    ("fixed", "duration"): _duration,
    **{
        ("long", f"{local}timestamp-{name}"): _moment(f"{local}timestamp-{name}", unit, is_local=bool(local))
        for local in ("", "local-")
        for name, unit in (("millis", 10**3), ("micros", 10**6), ("nanos", 10**9))
    },
}
