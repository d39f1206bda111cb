"""The value model between all formats: exact, ordered, and no larger than JSON, YAML, TOML and MsgPack together.

A `Value` is None, bool, int of any size, Decimal (a number as it was written, digits and exponent), float (a binary number, of
formats that have them), str, bytes, datetime (aware, or local without a zone), date, time (local), Tagged, a list of
values, or a dict from scalars to values in its order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

Value = Any  # recursive types of this size slow type checkers down and tell readers nothing new


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value of a type that only its format knows: a MsgPack extension, a cell's error."""

    tag: str
    value: Value


@dataclass(frozen=True, slots=True)
class Single:
    """A document that is one value, in memory as a whole."""

    value: Value
    kinds: frozenset[str] | None = None  # that are in it, where that is known better than by its format


class JsonBatch(list[Value]):
    """Values of a batch that are known to be of kinds that JSON holds: nulls, booleans, integers, decimals, finite floats, texts,
    lists, and maps whose keys are texts."""


class Plain(JsonBatch):
    """Such values without decimals: MessagePack holds them, too."""


@dataclass(frozen=True, slots=True)
class Records:
    """A document that is a sequence of values, read while it is written. `batches` can be walked once."""

    batches: Iterator[Sequence[Value]]
    columns: tuple[str, ...] | None = None  # known beforehand, of formats that say them first
    kinds: frozenset[str] | None = None


Document = Single | Records


def written_out(number: int) -> int:
    """Return it. Raise `ValueError` for one of more digits than formats are read and written with."""
    str(number)  # a hexadecimal one may come with more
    return number


def kind(value: Value) -> str:
    """Return the kind of value by its name in warnings and documentation."""
    return KINDS.get(type(value), "tagged")


KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    Decimal: "decimal",
    float: "float",
    str: "string",
    bytes: "bytes",
    datetime: "datetime",
    date: "date",
    time: "time",
    list: "list",
    dict: "map",
    Tagged: "tagged",
}


def escaped(key: str) -> str:
    """Return the key as a token of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def in_order(value: Value) -> Value:
    """Return the value with the keys of every map in order, kind by kind."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value, key=lambda key: (type(key).__name__, key))}
    return [in_order(each) for each in value] if isinstance(value, list) else value
