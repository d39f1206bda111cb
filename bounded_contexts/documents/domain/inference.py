"""Texts of formats without kinds: what they may stand for.

`safe` takes only what is written back exactly as it stood: `12` and `1.50`, not `007`, `1e3` or `+1`. `full` takes whatever
a person would read as a number, a truth value or a time.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final

from bounded_contexts.documents.domain.errors import Unreadable, quoted
from bounded_contexts.documents.domain.options import Inference
from bounded_contexts.documents.domain.values import Value, escaped

INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,3999})")
DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,3999})\.[0-9]{1,3999}")
LOOSE: Final = re.compile(r"[+-]?(?:[0-9]{1,4000}(?:\.[0-9]{0,4000})?|\.[0-9]{1,4000})(?:[eE][+-]?[0-9]{1,9})?")
DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
DATETIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?")
TIME: Final = re.compile(r"\d\d:\d\d:\d\d(?:\.\d{1,6})?")
SAFE: Final[dict[str, Value]] = {"true": True, "false": False}
FULL: Final[dict[str, Value]] = {
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
    **dict.fromkeys(("", "null", "none", "na", "n/a", "nan")),
}
# Of columns, a cell to a line: one that `safe` may take, and all of a kind, without signs.
_CANDIDATE: Final = re.compile(r"^(?:-?[0-9][0-9.]*|true|false)$", re.MULTILINE)
_INTEGERS: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,3999})(?:\n(?!\Z)|\Z))+")
_DECIMALS: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,3999})\.[0-9]{1,3999}(?:\n(?!\Z)|\Z))+")
_FIRST: Final = frozenset("-0123456789tf")  # of every text that `safe` takes


def inferred(text: str, inference: Inference) -> Value:
    """Return what the text stands for, or the text."""
    if inference == "safe":
        if not text or text[0] not in _FIRST:
            return text
        return _exact(text)
    return _loose(text.strip()) if inference == "full" else text


def inferred_column(texts: Sequence[Value], inference: Inference) -> Sequence[Value]:
    """Return what `inferred` makes of each of the texts, and others as they are."""
    if inference == "safe":
        if not set(map(type, texts)) <= {str}:
            return [inferred(text, inference) if type(text) is str else text for text in texts]
        together = "\n".join(texts)
        if not _CANDIDATE.search(together):
            return texts
        if together.count("\n") == len(texts) - 1:
            if _INTEGERS.fullmatch(together):
                return list(map(int, texts))
            if _DECIMALS.fullmatch(together):
                return list(map(Decimal, texts))
            if SAFE.keys() >= set(texts):
                return list(map(SAFE.__getitem__, texts))
    return [inferred(text, inference) if type(text) is str else text for text in texts]


def notation(decimal: str, thousands: str | None) -> Callable[[str], str | None] | None:
    """Return what writes numbers with these marks as all others are written. It leaves texts as they are, and gives None for
    those that are numbers with the common marks only. None for the common marks themselves."""
    if decimal == "." and thousands is None:
        return None
    group = rf"[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|" if thousands else ""
    number = re.compile(rf"\s*([+-]?)({group}[0-9]{{1,4000}})(?:{re.escape(decimal)}([0-9]{{1,4000}}))?\s*")

    def plain(text: str) -> str | None:
        match = number.fullmatch(text)
        if match is None:
            return text if LOOSE.fullmatch(text.strip()) is None else None
        whole = match[2].replace(thousands, "") if thousands else match[2]
        return f"{match[1]}{whole}.{match[3]}" if match[3] else match[1] + whole

    return plain


def inferred_within(value: Value, inference: Inference) -> Value:
    """Return the value with every text in it as `inferred` has it."""
    if type(value) is str:
        return inferred(value, inference)
    if type(value) is dict:
        return {key: inferred_within(each, inference) for key, each in value.items()}
    return [inferred_within(each, inference) for each in value] if isinstance(value, list) else value


def _exact(text: str) -> Value:
    if INTEGER.fullmatch(text):
        return int(text) if text != "-0" else text
    if DECIMAL.fullmatch(text):
        return Decimal(text)
    return SAFE.get(text, text)


def _loose(text: str) -> Value:
    if (word := text.lower()) in FULL:
        return FULL[word]
    if LOOSE.fullmatch(text):
        number = Decimal(text)
        return int(number) if "." not in text and "e" not in word else number
    return _moment(text)


def _moment(text: str) -> Value:
    try:
        if DATETIME.fullmatch(text):
            return datetime.fromisoformat(text)
        if DATE.fullmatch(text):
            return date.fromisoformat(text)
        if TIME.fullmatch(text):
            return time.fromisoformat(text)
    except ValueError:
        return text  # 2026-02-30
    return text


def as_kind(text: str, kind: str, place: str, record: int | None = None) -> Value:
    """Return the text as that kind of value; the empty text as null. Raise `Unreadable` for one that is none; `record` is its
    number from 0, where that is known."""
    if kind == "string":
        return text
    if not text:
        return None
    value = _loose(text.strip())
    if type(value) in KINDS[kind]:
        return Decimal(value) if kind == "decimal" else value
    pointer = None if record is None else f"/{record}/{escaped(place)}"
    raise Unreadable("wrong_type", f"{quoted(text)} is no {kind}", cell=place, pointer=pointer)


KINDS: Final[dict[str, tuple[type, ...]]] = {
    "integer": (int,),
    "decimal": (int, Decimal),
    "boolean": (bool,),
    "datetime": (datetime,),
    "date": (date,),
    "time": (time,),
    "string": (str,),
}
