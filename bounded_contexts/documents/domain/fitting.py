"""Make a value fit for a format that lacks some kinds: in a way that reads back, or with a loss reported for each leaf."""

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from operator import is_
from typing import Final

from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.options import Nulls
from bounded_contexts.documents.domain.values import KINDS, Tagged, Value, escaped, kind

MARK: Final = (
    "$"  # begins the one key of a map that stands for a kind the format lacks; a key of the data's own gets another
)
HELD: Final = frozenset(  # what a format may hold
    {*KINDS.values(), "big integer", "unsigned", "not finite", "whole decimal", "local datetime", "offset", "key"}
)
INT64: Final = range(-(2**63), 2**63)
UINT64: Final = range(2**64)


class Fitting:
    """Fits values for one target. `holds` are the kinds that it has itself; a kind it lacks has `instead`."""

    def __init__(
        self, holds: frozenset[str], losses: Losses, *, lossless: bool, depth: int, nulls: Nulls = "drop"
    ) -> None:
        self._holds = holds
        self._losses = losses
        self._lossless = lossless
        self._depth = depth
        self._nulls = nulls
        self._drops_nulls = "null" not in holds and not lossless and nulls == "drop"

    def fit(self, value: Value, pointer: str = "", depth: int = 0) -> Value:
        """Return the value in kinds that the target holds. Raise `TooLarge` for one that is too deep."""
        if depth > self._depth:
            raise TooLarge("depth", self._depth)
        if isinstance(value, dict):
            return self._map(value, pointer, depth)
        if isinstance(value, list):
            return [self.fit(each, f"{pointer}/{index}", depth + 1) for index, each in enumerate(value)]
        if self._is_held(value):
            return value
        return self._marked(value, pointer, depth) if self._lossless else self._instead(value, pointer, depth)

    def _is_held(self, value: Value) -> bool:
        name = kind(value)
        if name == "integer" and "integer" in self._holds:
            return "big integer" in self._holds or value in INT64 or (value in UINT64 and "unsigned" in self._holds)
        if name == "float" and "float" in self._holds:
            return "not finite" in self._holds or value - value == 0
        if name == "datetime" and "datetime" in self._holds:
            return moment(value) in self._holds
        if name == "decimal" and "decimal" in self._holds:
            return "whole decimal" in self._holds or value.as_tuple().exponent != 0
        if name == "tagged":
            return f"{value.tag.partition(':')[0]}:" in self._holds
        return name in self._holds

    def _map(self, value: dict[Value, Value], pointer: str, depth: int) -> Value:
        if self._lossless and not all(type(key) is str or self._holds_key(key) for key in value):
            pairs = [[self.fit(key, pointer, depth + 2), each] for key, each in value.items()]
            return {f"{MARK}map": [[key, self.fit(each, pointer, depth + 2)] for key, each in pairs]}
        fitted: dict[Value, Value] = {}
        for key, each in value.items():
            place = f"{pointer}/{escaped(key if type(key) is str else as_text(key))}"
            name = self._key(key, place)
            if name in fitted:
                raise Unreadable("duplicate_key", "two keys are the same text", pointer=place)
            if each is None and self._drops_nulls:
                self._losses.add("null_dropped", place, "the format has no null")
                continue
            fitted[name] = self.fit(each, place, depth + 1)
        return fitted

    def _holds_key(self, key: Value) -> bool:
        return "key" in self._holds and self._is_held(key)

    def _key(self, key: Value, place: str) -> Value:
        if type(key) is str:
            return MARK + key if self._lossless and key.startswith(MARK) else key
        if self._holds_key(key):
            return key
        self._losses.add("key_as_text", place, f"the key was of kind {kind(key)}")
        return as_text(key)

    def _marked(self, value: Value, pointer: str, depth: int) -> Value:
        if isinstance(value, Tagged):
            return {f"{MARK}tag": value.tag, f"{MARK}value": self.fit(value.value, pointer, depth + 1)}
        return {MARK + kind(value): as_text(value)}

    def _instead(self, value: Value, pointer: str, depth: int) -> Value:
        if value is None and self._nulls == "error":
            raise Unwritable("null", f"the format has no null, as at {pointer or 'the whole document'}")
        if isinstance(value, Tagged):
            self._losses.add("tag_dropped", pointer, f"the value was of type {value.tag}")
            return self.fit(value.value, pointer, depth)
        if isinstance(value, Decimal) and ("float" in self._holds or "decimal" in self._holds):
            return self._number(value, pointer)
        if isinstance(value, float) and "decimal" in self._holds and value - value == 0:
            return Decimal(repr(value))
        if isinstance(value, datetime) and "datetime" in self._holds and value.tzinfo is not None:
            self._losses.add("offset_dropped", pointer, "the same moment in universal time")
            return value.astimezone(UTC)
        self._losses.add(f"{kind(value)}_as_text", pointer, f"the format has no such {kind(value)}")
        return as_text(value)

    def _number(self, value: Decimal, pointer: str) -> Value:
        if is_whole(value):
            return int(value)
        if "decimal" in self._holds:
            self._losses.add("number_rewritten", pointer, "a number with a point")
            return Decimal(f"{value}.0")
        near, code = nearest(value)
        if near - near != 0:
            self._losses.add("decimal_as_text", pointer, "the format has no such decimal")
            return as_text(value)
        if code:
            self._losses.add(code, pointer, "a binary number, which keeps no zeros at the end and few digits")
        return near


def moment(value: datetime) -> str:
    """Return which of the kinds that formats tell apart it is: `datetime` in universal time, or with another `offset`."""
    offset = value.utcoffset()
    return "local datetime" if offset is None else "offset" if offset else "datetime"


def is_whole(value: Decimal) -> bool:
    """Return whether it has the digits of an integer of 64 bits."""
    return value.as_tuple().exponent == 0 and not (value.is_zero() and value.is_signed()) and int(value) in INT64


def nearest(value: Decimal) -> tuple[float, str]:
    """Return the binary number, infinity if there is none so large, and the code of what is lost by it."""
    near = float(value)
    if near - near != 0:
        return near, "decimal_as_text"
    again = Decimal(repr(near))
    if again != value:
        return near, "decimal_rounded"
    return near, "" if again.as_tuple() == value.as_tuple() else "number_rewritten"


def has_text_keys(value: Value, depth: int) -> bool:
    """Return whether all keys in the value are texts, as deep as it may be."""
    if depth < 0 or not isinstance(value, dict | list):
        return True
    if isinstance(value, dict):
        return all(type(key) is str and has_text_keys(each, depth - 1) for key, each in value.items())
    return all(has_text_keys(each, depth - 1) for each in value)


def as_text(value: Value) -> str:
    """Return a scalar as text that says the same."""
    return TEXTS.get(type(value), str)(value)


def _number(value: float) -> str:
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(text := repr(value), text)


TEXTS: Final[dict[type, Callable[[Value], str]]] = {
    type(None): lambda _: "",
    bool: {True: "true", False: "false"}.__getitem__,
    float: _number,
    Decimal: str,
    bytes: lambda value: base64.b64encode(value).decode(),
    datetime: lambda value: value.isoformat().replace("+00:00", "Z"),
    date: date.isoformat,
    time: time.isoformat,
    Tagged: lambda value: as_text(value.value),
}


def restored(value: Value, pointer: str = "") -> Value:
    """Return what `Fitting` has made of it with `lossless`, as it was: itself where nothing is marked, for values may be many.
    Raise `Unreadable` for marks that it does not write."""
    if isinstance(value, list):
        if not any(isinstance(each, list | dict) for each in value):
            return value
        found = [restored(each, f"{pointer}/{index}") for index, each in enumerate(value)]
        return value if all(map(is_, found, value)) else found
    if not isinstance(value, dict):
        return value
    marked = [key for key in value if isinstance(key, str) and key.startswith(MARK)]
    if not all(key.startswith(MARK * 2) for key in marked):
        return _of_mark(value, pointer)
    if not marked and not any(isinstance(each, list | dict) for each in value.values()):
        return value
    within = {key: restored(each, f"{pointer}/{escaped(str(key))}") for key, each in value.items()}
    if marked:
        return {key[1:] if isinstance(key, str) and key.startswith(MARK) else key: each for key, each in within.items()}
    return value if all(map(is_, within.values(), value.values())) else within


def _of_mark(value: dict[str, Value], pointer: str) -> Value:
    try:
        match list(value.items()):
            case [("$tag", str(tag)), ("$value", inner)] | [("$value", inner), ("$tag", str(tag))]:
                return Tagged(tag, restored(inner, pointer))
            case [("$value", inner)]:
                return restored(inner, pointer)
            case [("$map", list(pairs))]:
                return {restored(key): restored(each, pointer) for key, each in pairs}
            case [(mark, str(text))] if mark in PARSERS:
                return PARSERS[mark](text)
    except (ValueError, ArithmeticError, TypeError):
        pass
    raise Unreadable(
        "bad_mark", "a key that begins with $ means a kind of value; write $$ for a key of your own", pointer=pointer
    )


def _finite(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError
    return number


PARSERS: Final[dict[str, Callable[[str], Value]]] = {
    "$null": lambda _: None,
    "$boolean": {"true": True, "false": False}.__getitem__,
    "$integer": int,
    "$decimal": _finite,
    "$float": float,
    "$string": str,
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
}
