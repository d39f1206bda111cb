"""The functions of expressions: pure and total. What has no meaning is null, and told (`Context.warn`).

A number is exact: integers of any size up to the limit of digits, and decimals. Divisions and means keep 34 digits.
"""

import decimal
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, Protocol

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.fitting import TEXTS
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.values import Value

PER_STEP: Final = 256  # characters that are gone through in the time of one step
DIGITS: Final = 1_000  # of a number that arithmetic gives
_BIDI: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")  # Unicode Standard Annex 9: embeddings, overrides, isolates
_FAULTS: Final = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
EXACT: Final = decimal.Context(prec=DIGITS, Emax=DIGITS, Emin=-DIGITS, traps=[*_FAULTS, decimal.Inexact])
ROUNDING: Final = decimal.Context(prec=DIGITS, Emax=DIGITS, Emin=-DIGITS, traps=_FAULTS)
DIVISION: Final = decimal.Context(prec=34, rounding=decimal.ROUND_HALF_EVEN, Emax=DIGITS, Emin=-DIGITS)


class Formats(Protocol):
    """Numbers and times as people of one locale and time zone write them."""

    def number(self, value: Decimal, digits: int | None) -> str:
        """Return it with the marks of the locale; `digits` behind the decimal mark, or as many as it has.
        This and the next two raise `ValueError` for a number of too many digits."""

    def currency(self, value: Decimal, code: str) -> str:
        """Return an amount of the currency (ISO 4217). Raise `ValueError` for no such code."""

    def percent(self, value: Decimal, digits: int) -> str:
        """Return a ratio in per cent."""

    def moment(self, value: date | time, pattern: str) -> str:
        """Return a date, a time or both; `pattern` is short, medium, long, full or one of CLDR's.
        Raise `ValueError` for a pattern that asks for what the value lacks, or a time that has no year in the time zone."""

    def day(self, value: date) -> date:
        """Return the day that it is in the time zone at the moment."""


class Rows(Protocol):
    """Values one after the other, which may be walked again, and how many there are."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Value]: ...


@dataclass(slots=True)
class Context:
    """What an evaluation sees and may take."""

    names: dict[str, Value]
    formats: Formats
    warn: Callable[[str, str], None]  # code, detail
    limits: RenderLimits = field(default_factory=RenderLimits)
    streams: Mapping[str, Rows] = field(default_factory=dict)  # by their names
    steps: int = 0

    def step(self, times: int = 1) -> None:
        """Count steps of work. Raise `TooLarge` past the limit."""
        self.steps += times
        if self.steps > self.limits.steps:
            raise TooLarge("steps", self.limits.steps)

    def sized(self, text: str) -> str:
        """Return the text. Raise `TooLarge` past the limit."""
        if len(text) > self.limits.text_characters:
            raise TooLarge("text_characters", self.limits.text_characters)
        return text

    def joined(self, texts: list[str], between: str = "") -> str:
        """Return the texts as one. Raise `TooLarge` past the limit, before there is so much."""
        if sum(map(len, texts)) + len(between) * (len(texts) - 1) > self.limits.text_characters:
            raise TooLarge("text_characters", self.limits.text_characters)
        return between.join(texts)

    def text(self, value: Value) -> str:
        """Return a value as plain text that is to be gone through, and count that work. Raise `TooLarge`."""
        text = text_of(value)
        if len(text) >= PER_STEP:
            self.step(len(text) // PER_STEP)
        return text

    def elements(self, value: list[Value]) -> list[Value]:
        """Return a list that is to be gone through, and count that work. Raise `TooLarge`."""
        self.step(len(value))
        return value


def text_of(value: Value) -> str:
    """Return a value as plain text: no locale, no exponent, lists and maps as nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= DIGITS:
        return f"{value:f}"
    if isinstance(value, list | dict):
        return ""
    written = TEXTS.get(type(value))
    return written(value) if written else str(value)


def told(context: Context, value: Value) -> Value:
    """Return a value that is to stand in a text. Tell of one that is none, and of characters that turn others round, which may
    have people read other than what is written."""
    if isinstance(value, list | dict):
        context.warn("not_a_text", "a list or map is no text; join makes one of a list")
    elif isinstance(value, str) and not value.isprintable() and _BIDI.search(value):
        context.warn("bidi_control", "characters that change the direction of others")
    return value


def number_of(value: Value) -> Decimal | None:
    """Return a number exactly, also one that is written as a text; None for what is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        return None
    return found if found.is_finite() and abs(found.adjusted()) < DIGITS else None


def moment_of(value: Value) -> date | time | None:
    """Return a date, a time or both, also one that is written as a text (RFC 3339); None for what is none."""
    if isinstance(value, date | time):
        return value
    if isinstance(value, str):
        for kind in (date, datetime, time):
            try:
                return kind.fromisoformat(value)
            except ValueError:
                continue
    return None


def plain(value: Decimal) -> Value:
    """Return an integer where the number is one."""
    return int(value) if value == value.to_integral_value() and value.adjusted() < DIGITS else value


def arithmetic(context: Context, operation: str, values: list[Value]) -> Value:
    """Return the result of + - * / %, from left to right. Null makes null."""
    if any(value is None for value in values):
        return None
    numbers = [number_of(value) for value in values]
    if None in numbers:
        context.warn("not_a_number", f"{operation} takes numbers")
        return None
    if operation in ("/", "%") and not all(numbers[1:]):
        context.warn("division_by_zero", f"{operation} by zero")
        return None
    result = numbers[0] or Decimal(0)
    try:
        for number in numbers[1:]:
            result = _OPERATIONS[operation](result, number or Decimal(0))
    except ArithmeticError:
        raise TooLarge("number_digits", DIGITS) from None
    return plain(-result if operation == "-" and len(numbers) == 1 else result)


_OPERATIONS: Final[dict[str, Callable[[Decimal, Decimal], Decimal]]] = {
    "+": EXACT.add,
    "-": EXACT.subtract,
    "*": EXACT.multiply,
    "/": DIVISION.divide,
    "%": EXACT.remainder,
}


def compare(operation: str, left: Value, right: Value) -> bool:
    """Return the truth of a comparison. Values of different kinds are unequal and in no order."""
    if isinstance(left, int | float | Decimal) and isinstance(right, int | float | Decimal):
        if not isinstance(left, bool) and not isinstance(right, bool):
            left, right = number_of(left), number_of(right)
    elif type(left) is not type(right):
        return operation == "!="
    try:
        return bool(_COMPARISONS[operation](left, right))
    except (TypeError, ArithmeticError):
        return False


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _column(context: Context, values: Value, key: Value = None) -> list[Decimal]:
    found = []
    for each in values if isinstance(values, list) else ():
        context.step()
        number = number_of(each.get(key) if isinstance(key, str) and isinstance(each, dict) else each)
        if number is not None:
            found.append(number)
    return found


def _sum(context: Context, values: Value, key: Value = None) -> Value:
    return plain(_total(_column(context, values, key)))


def _total(numbers: list[Decimal]) -> Decimal:
    result = Decimal(0)
    for number in numbers:
        result = added(result, number)
    return result


def added(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact sum. Raise `TooLarge` where it has too many digits."""
    try:
        return EXACT.add(left, right)
    except ArithmeticError:
        raise TooLarge("number_digits", DIGITS) from None


def _avg(context: Context, values: Value, key: Value = None) -> Value:
    numbers = _column(context, values, key)
    return plain(DIVISION.divide(_total(numbers), Decimal(len(numbers)))) if numbers else None


def _least(context: Context, values: Value, key: Value = None) -> Value:
    numbers = _column(context, values, key)
    return plain(min(numbers)) if numbers else None


def _greatest(context: Context, values: Value, key: Value = None) -> Value:
    numbers = _column(context, values, key)
    return plain(max(numbers)) if numbers else None


def _rounded(rounding: str) -> Callable[..., Value]:
    def function(context: Context, value: Value, digits: Value = 0) -> Value:
        number, places = number_of(value), number_of(digits)
        if number is None or places is None or abs(places) > 100:
            return None
        try:
            result = number.quantize(Decimal(1).scaleb(-int(places)), rounding=rounding, context=ROUNDING)
        except ArithmeticError:
            raise TooLarge("number_digits", DIGITS) from None
        return plain(result) if places <= 0 else result

    return function


def _join(context: Context, values: Value, between: Value = ", ") -> str:
    texts = [text_of(each) for each in context.elements(values)] if isinstance(values, list) else [context.text(values)]
    return context.joined(texts, text_of(between))


def _replace(context: Context, value: Value, old: Value, new: Value) -> str:
    text, old, new = context.text(value), text_of(old), text_of(new)
    grown = len(text) + (text.count(old) * (len(new) - len(old)) if old else 0)
    if grown > context.limits.text_characters:
        raise TooLarge("text_characters", context.limits.text_characters)
    return text.replace(old, new) if old else text


def _slice(context: Context, value: Value, start: Value, end: Value = None) -> Value:
    bounds = [None if each is None else int(number_of(each) or 0) for each in (start, end)]
    return (context.elements(value) if isinstance(value, list) else context.text(value))[slice(*bounds)]


def _length(context: Context, value: Value) -> int:
    return len(value) if isinstance(value, list | dict | str) else len(text_of(value))


def _formatted(name: str) -> Callable[..., Value]:
    def function(context: Context, value: Value, argument: Value = None) -> Value:
        if (number := number_of(value)) is None:
            if value is not None:
                context.warn("not_a_number", f"{name} takes a number")
            return None
        try:
            return formatted(context.formats, name, number, argument)
        except ValueError as error:
            context.warn("bad_format", str(error))
            return None

    return function


def formatted(formats: Formats, name: str, number: Decimal, argument: Value) -> str:
    """Return a number as number, currency or percent. Raise `ValueError` for an argument that means nothing."""
    if name == "currency":
        return formats.currency(number, text_of(argument))
    digits = None if argument is None else int(number_of(argument) or 0)
    if digits is not None and not 0 <= digits <= 30:
        raise ValueError("digits are 0 to 30")
    return formats.percent(number, digits or 0) if name == "percent" else formats.number(number, digits)


def _date(context: Context, value: Value, pattern: Value = "medium") -> Value:
    if (moment := moment_of(value)) is None:
        if value is not None:
            context.warn("not_a_date", "date takes a date or time")
        return None
    try:
        return context.formats.moment(moment, text_of(pattern))
    except ValueError as error:
        context.warn("bad_format", str(error))
        return None


def _contains(context: Context, value: Value, part: Value) -> bool:
    if isinstance(value, list):
        return any(compare("==", each, part) for each in context.elements(value))
    return text_of(part) in (value if isinstance(value, dict) else context.text(value))


@dataclass(frozen=True, slots=True)
class Function:
    """One function: what it does with how many arguments, and what docs/rendering.md says of it."""

    call: Callable[..., Value]
    least: int
    most: int
    says: str


FUNCTIONS: Final[dict[str, Function]] = {
    "upper": Function(lambda context, value: context.text(value).upper(), 1, 1, "capital letters"),
    "lower": Function(lambda context, value: context.text(value).lower(), 1, 1, "small letters"),
    "trim": Function(lambda context, value: context.text(value).strip(), 1, 1, "without white space at both ends"),
    "text": Function(lambda context, value: text_of(value), 1, 1, "as plain text"),
    "concat": Function(lambda context, *values: _join(context, list(values), ""), 1, 100, "one text of all"),
    "join": Function(_join, 1, 2, "a list as one text, between its elements `, ` or what is said"),
    "replace": Function(_replace, 3, 3, "each occurrence of a text by another"),
    "slice": Function(_slice, 2, 3, "from a place (0 is the first, -1 the last) to before another"),
    "contains": Function(_contains, 2, 2, "whether a text, list or map has it"),
    "startsWith": Function(
        lambda context, value, part: text_of(value).startswith(text_of(part)), 2, 2, "true or false"
    ),
    "endsWith": Function(lambda context, value, part: text_of(value).endswith(text_of(part)), 2, 2, "true or false"),
    "length": Function(_length, 1, 1, "characters, elements or keys"),
    "first": Function(lambda context, value: value[0] if isinstance(value, list) and value else None, 1, 1, "element"),
    "last": Function(lambda context, value: value[-1] if isinstance(value, list) and value else None, 1, 1, "element"),
    "keys": Function(
        lambda context, value: context.elements(list(value)) if isinstance(value, dict) else [],
        1,
        1,
        "of a map, in order",
    ),
    "sum": Function(_sum, 1, 2, "of a list's numbers, or of those at a key of its maps"),
    "avg": Function(_avg, 1, 2, "the mean, of the same"),
    "min": Function(_least, 1, 2, "the least, of the same"),
    "max": Function(_greatest, 1, 2, "the greatest, of the same"),
    "abs": Function(
        lambda context, value: None if (n := number_of(value)) is None else plain(n.copy_abs()), 1, 1, "size"
    ),
    "toNumber": Function(
        lambda context, value: None if (n := number_of(value)) is None else plain(n), 1, 1, "of a text"
    ),
    "round": Function(_rounded("ROUND_HALF_EVEN"), 1, 2, "to digits behind the mark, halves to even"),
    "floor": Function(_rounded("ROUND_FLOOR"), 1, 2, "down"),
    "ceil": Function(_rounded("ROUND_CEILING"), 1, 2, "up"),
    "number": Function(_formatted("number"), 1, 2, "in the locale's way, with digits"),
    "currency": Function(_formatted("currency"), 2, 2, "an amount in a currency (ISO 4217)"),
    "percent": Function(_formatted("percent"), 1, 2, "a ratio in per cent, with digits"),
    "date": Function(_date, 1, 2, "a date or time: `short`, `medium`, `long`, `full` or a CLDR pattern"),
}
