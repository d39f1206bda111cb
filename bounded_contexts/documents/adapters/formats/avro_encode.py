"""Avro's binary encoding of values whose schema is found by looking at all of them (avro_decode.py is the other way).

A map is a record if its keys are names, with `lossless` only if all maps at its place have the same. Kinds that mix are a
union. Of those that a union cannot hold beside each other, as integers and times, which are the same bytes, all but one become
texts."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from bounded_contexts.documents.adapters.formats.avro_decode import EPOCH
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.values import Value, escaped

Encode = Callable[[Value, bytearray], None]
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FIELDS: Final = 1_000  # more of them are no record's: they are data
DIGITS: Final = 300  # of a decimal
ALIKE: Final = (
    ("long", "moment", "local moment", "time"),
    ("bytes", "decimal"),
)  # the same bytes to a union: one of each
SCHEMAS: Final[dict[str, Any]] = {
    **{name: name for name in ("null", "boolean", "long", "double", "string", "bytes")},
    "date": {"type": "int", "logicalType": "date"},
    "time": {"type": "long", "logicalType": "time-micros"},
    "moment": {"type": "long", "logicalType": "timestamp-micros"},
    "local moment": {"type": "long", "logicalType": "local-timestamp-micros"},
}
_KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "long",
    float: "double",
    Decimal: "decimal",
    str: "string",
    bytes: "bytes",
    date: "date",
    time: "time",
    dict: "map",
    list: "array",
}


def _kind(value: Value) -> str:
    if isinstance(value, datetime):
        return "local moment" if value.tzinfo is None else "moment"
    return _KINDS[type(value)]


@dataclass(slots=True)
class Shape:
    """What stands at one place of all values."""

    kinds: dict[str, None] = field(default_factory=dict)
    maps: int = 0
    parts: dict[str, "Shape"] = field(default_factory=dict)  # by key
    seen: int = 0  # in how many maps, if it is a part
    item: "Shape | None" = None
    whole: int = 0  # digits of decimals before their point
    places: int = 0  # and behind it

    def grow(self, value: Value, columns: int) -> None:
        """Take a value in. Raise `TooLarge` for maps of too many keys."""
        kind = _kind(value)
        self.kinds.setdefault(kind)
        if kind == "map":
            self.maps += 1
            for key, each in value.items():
                part = self.parts.setdefault(key, Shape())
                part.seen += 1
                part.grow(each, columns)
            if len(self.parts) > columns:
                raise TooLarge("columns", columns)
        elif kind == "array":
            self.item = self.item or Shape()
            for each in value:
                self.item.grow(each, columns)
        elif kind == "decimal":
            _, digits, exponent = value.as_tuple()
            self.places = max(self.places, -exponent)
            self.whole = max(self.whole, len(digits) + exponent)

    def absorb(self, other: "Shape") -> None:
        """Take in what stands at another place."""
        self.kinds.update(other.kinds)
        self.maps += other.maps
        self.whole, self.places = max(self.whole, other.whole), max(self.places, other.places)
        for key, part in other.parts.items():
            mine = self.parts.setdefault(key, Shape())
            mine.seen += part.seen
            mine.absorb(part)
        if other.item:
            self.item = self.item or Shape()
            self.item.absorb(other.item)


class Encoders:
    """Makes shapes into schemas and functions that encode."""

    def __init__(self, losses: Losses, *, lossless: bool) -> None:
        self._losses = losses
        self._lossless = lossless
        self._names: set[str] = set()
        self._path: list[Value] = []  # of keys and indexes to the value that is encoded, for losses

    def begin(self, number: int | None) -> None:
        """Say which record is encoded next; None is the document, which is no list of records."""
        self._path[:] = () if number is None else (number,)

    def of(self, shape: Shape, name: str = "Record") -> tuple[Any, Encode]:
        """Return the schema of the shape, and what encodes its values."""
        kinds = dict(shape.kinds) or {"null": None}
        as_texts = _crowded(kinds) | ({"decimal"} & kinds.keys() if shape.whole + shape.places > DIGITS else set())
        if as_texts:
            kinds = {kind: None for kind in (*kinds, "string") if kind not in as_texts}
        branches = {kind: self._branch(kind, shape, name) for kind in kinds}
        if as_texts:
            text = branches["string"][1]
            for kind in as_texts:
                branches[kind] = "string", self._as_text(kind, text)
        if len(shape.kinds) < 2 and not as_texts:
            return next(iter(branches.values()))
        indexes = {kind: long_of(list(kinds).index("string" if kind in as_texts else kind)) for kind in branches}
        encoders = {kind: encode for kind, (_, encode) in branches.items()}

        def encode(value: Value, out: bytearray) -> None:
            kind = _kind(value)
            out += indexes[kind]
            encoders[kind](value, out)

        return [branches[kind][0] for kind in kinds], encode

    def _branch(self, kind: str, shape: Shape, name: str) -> tuple[Any, Encode]:
        if kind == "map":
            is_record = len(shape.parts) <= FIELDS and all(map(NAME.fullmatch, shape.parts))
            if self._lossless:
                is_record = is_record and all(part.seen == shape.maps for part in shape.parts.values())
            return self._record(shape, name) if is_record else self._map(shape, name)
        if kind == "array":
            return self._array(shape.item or Shape(), name)
        if kind == "decimal":
            precision, scale = max(1, shape.whole + shape.places), shape.places
            schema = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
            return schema, self._decimals(scale)
        return SCHEMAS[kind], _ENCODERS[kind]

    def _record(self, shape: Shape, name: str) -> tuple[Any, Encode]:
        full, number = name, 1
        while full in self._names:
            number += 1
            full = f"{name}{number}"
        self._names.add(full)
        fields, schema = [], []
        for key, part in shape.parts.items():
            if part.seen < shape.maps:
                part.kinds.setdefault("null")
            type_, encode = self.of(part, f"{full}_{key}")
            schema.append({"name": key, "type": type_})
            fields.append((key, encode))

        path = self._path

        def encoded(value: Value, out: bytearray) -> None:
            path.append("")
            for key, encode in fields:
                path[-1] = key
                if key not in value:
                    self._lost("null_added", "a record has all fields: this one is null")
                encode(value.get(key), out)
            path.pop()

        return {"type": "record", "name": full, "fields": schema}, encoded

    def _map(self, shape: Shape, name: str) -> tuple[Any, Encode]:
        together = Shape()
        for part in shape.parts.values():
            together.absorb(part)
        schema, encode = self.of(together, f"{name}_value")

        path = self._path

        def encoded(value: Value, out: bytearray) -> None:
            if value:
                out += long_of(len(value))
                path.append("")
                for key, each in value.items():
                    path[-1] = key
                    _text(key, out)
                    encode(each, out)
                path.pop()
            out += b"\0"

        return {"type": "map", "values": schema}, encoded

    def _array(self, shape: Shape, name: str) -> tuple[Any, Encode]:
        schema, encode = self.of(shape, f"{name}_item")

        path = self._path

        def encoded(values: Value, out: bytearray) -> None:
            if values:
                out += long_of(len(values))
                path.append(0)
                for index, each in enumerate(values):
                    path[-1] = index
                    encode(each, out)
                path.pop()
            out += b"\0"

        return {"type": "array", "items": schema}, encoded

    def _decimals(self, scale: int) -> Encode:
        def encode(value: Value, out: bytearray) -> None:
            sign, digits, exponent = value.as_tuple()
            number = int("".join(map(str, digits))) * 10 ** (exponent + scale)
            if exponent + scale or (sign and not number):
                self._lost("number_rewritten", "all numbers there have as many places behind the point")
            number = -number if sign else number
            put_bytes(number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True), out)

        return encode

    def _as_text(self, kind: str, text: Encode) -> Encode:
        code = "kind_as_text"

        def encode(value: Value, out: bytearray) -> None:
            self._lost(code, f"the format has no {kind} beside the other values there")
            text(as_text(value), out)

        return encode

    def _lost(self, code: str, detail: str) -> None:
        path = () if self._losses.are_told else self._path
        self._losses.add(code, "".join([f"/{escaped(str(each))}" for each in path]), detail)


def _crowded(kinds: dict[str, None]) -> set[str]:
    """Return the kinds that have no place beside the others."""
    return {kind for alike in ALIKE for kind in [each for each in alike if each in kinds][1:]}


def long_of(number: int) -> bytes:
    """Return the integer, of 64 bits, as it is encoded."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _text(text: str, out: bytearray) -> None:
    put_bytes(text.encode(), out)


def put_bytes(data: bytes, out: bytearray) -> None:
    """Add the bytes behind their length."""
    out += long_of(len(data))
    out += data


def _moment(value: Value, out: bytearray) -> None:
    aware = value if value.tzinfo else value.replace(tzinfo=EPOCH.tzinfo)
    out += long_of((aware - EPOCH) // timedelta(microseconds=1))


def _time(value: Value, out: bytearray) -> None:
    out += long_of(((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond)


def _null(_: Value, __: bytearray) -> None:
    pass


_ENCODERS: Final[dict[str, Encode]] = {
    "null": _null,
    "boolean": lambda value, out: out.append(value),
    "long": lambda value, out: out.extend(long_of(value)),
    "double": lambda value, out: out.extend(struct.pack("<d", value)),
    "string": _text,
    "bytes": put_bytes,
    "date": lambda value, out: out.extend(long_of(value.toordinal() - EPOCH.toordinal())),
    "time": _time,
    "moment": _moment,
    "local moment": _moment,
}
