"""Formats of cells in the codes of workbooks (ECMA-376, 18.8.31), as a document's locale writes numbers and times.

Programs put in the marks of decimals and thousands of whoever reads: only what stands round a number is the locale's here.
"""

import locale as names
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Final

from babel import Locale
from babel.numbers import get_currency_precision, get_currency_symbol

from bounded_contexts.documents.adapters.engines.locales import BabelFormats
from bounded_contexts.documents.domain.rendering.blocks import NumberFormat
from bounded_contexts.documents.domain.rendering.functions import moment_of, number_of
from bounded_contexts.documents.domain.values import Value

DIGITS: Final = 15  # behind the mark
LONGEST: Final = 255  # characters of a code
MOMENTS: Final[dict[type, str]] = {datetime: "yyyy-mm-dd hh:mm:ss", date: "yyyy-mm-dd", time: "hh:mm:ss"}
_NAMED: Final = ("short", "medium", "long", "full")
_TOKEN: Final = re.compile(r"'([^']*)'|([A-Za-z])\2*|.", re.DOTALL)
_ZONES: Final = "zvVZXxO"  # which a cell has none of
_LETTERS: Final = {
    "y": ("yyyy", "yy", "yyyy", "yyyy"),
    "M": ("m", "mm", "mmm", "mmmm"),
    "L": ("m", "mm", "mmm", "mmmm"),
    "d": ("d", "dd"),
    "E": ("ddd", "ddd", "ddd", "dddd"),
    "H": ("h", "hh"),
    "h": ("h", "hh"),
    "m": ("m", "mm"),
    "s": ("s", "ss"),
    "a": ("AM/PM",),
}
_PLAIN: Final = frozenset(" .:-")
_MARKS: Final = frozenset("\u200e\u200f\u061c")  # of direction, which programs know by themselves
_LANGUAGES: Final = {name: number for number, name in reversed(names.windows_locale.items())}


class Codes:
    """The codes of one locale and time zone."""

    def __init__(self, formats: BabelFormats) -> None:
        self._formats = formats

    def value(self, wanted: NumberFormat, value: Value) -> Value:
        """Return a value as a cell of this format holds it: a number or time that is written as a text, and what a clock of the
        document's zone says."""
        if isinstance(value, str):
            value = moment_of(value) if wanted.type == "date" else number_of(value)
        if wanted.type == "date" and isinstance(value, datetime):
            return self._formats.local(value)
        return value

    def number(self, wanted: NumberFormat | None, value: Value) -> str | None:
        """Return the format of a number, None for that of the program."""
        if wanted is None or wanted.type == "date":
            return None
        if wanted.type == "currency":
            return _currency(self._formats.locale, str(wanted.argument))
        digits = int(wanted.argument) if wanted.argument is not None else None
        if wanted.type == "percent":
            return _digits("#,##0", digits or 0) + "%"
        return _digits("#,##0", _behind(value) if digits is None else digits)

    def moment(self, wanted: NumberFormat | None, kind: type) -> str:
        """Return the format of a time: that of the document, or of all where it has none that a cell can have."""
        if wanted is None or wanted.type != "date":
            return MOMENTS[kind]
        return _moment(self._formats.locale, str(wanted.argument), kind) or MOMENTS[kind]


def _digits(whole: str, count: int) -> str:
    return whole + ("." + "0" * min(count, DIGITS) if count else "")


def _behind(value: Value) -> int:
    exact = number_of(value) if isinstance(value, int | float | Decimal) else None
    exponent = exact.normalize().as_tuple().exponent if exact is not None else 0
    return max(-exponent, 0) if isinstance(exponent, int) else 0


@lru_cache(maxsize=256)
def _currency(where: Locale, code: str) -> str:
    pattern = where.currency_formats["standard"]
    symbol = f"[${get_currency_symbol(code, locale=where)}]"
    before, behind = ["".join(_literals(text, symbol)) for text in (pattern.prefix[0], pattern.suffix[0])]
    return before + _digits("#,##0", get_currency_precision(code)) + behind


def _literals(text: str, symbol: str) -> Iterator[str]:
    for each in text:
        if each == "¤":
            yield symbol
        elif each not in _MARKS:
            yield each if each in _PLAIN else f"\\{each}"


@lru_cache(maxsize=256)
def _moment(where: Locale, pattern: str, kind: type) -> str | None:
    parts = list(_parts(_pattern(where, pattern, kind)))
    code = "".join([text or "" for _, text in parts]).strip(" ")
    if any(text is None for _, text in parts) or not code or len(code) > LONGEST or not _tells_minutes(parts):
        return None
    if re.search("mmm|ddd", code) and (language := _language(where)):
        return f"[$-{language:X}]{code}"
    return code


def _pattern(where: Locale, pattern: str, kind: type) -> str:
    if pattern not in _NAMED:
        return pattern
    day, clock = str(where.date_formats[pattern]), str(where.time_formats[pattern])
    if kind is datetime:
        both = str(where.datetime_formats[pattern]).replace("'", "")
        return both.replace("{1}", day).replace("{0}", clock)
    return clock if kind is time else day


def _parts(pattern: str) -> Iterator[tuple[str, str | None]]:
    """Yield the letters of a CLDR pattern, empty for text between them, and their codes; None for what has none."""
    for found in _TOKEN.finditer(pattern):
        letter, text = found[2], found[0]
        if letter is None:
            shown = (found[1] or "'") if found[1] is not None else text
            yield "", "".join(_literals(shown.replace("\u202f", " ").replace("\xa0", " "), ""))
        elif letter in _ZONES:
            yield "", ""
        elif letter not in _LETTERS or len(text) > len(_LETTERS[letter]):
            yield letter, None
        else:
            yield letter, _LETTERS[letter][len(text) - 1]


def _tells_minutes(parts: list[tuple[str, str | None]]) -> bool:
    """Whether m is read as it is meant: as minutes behind hours or before seconds, as months elsewhere."""
    letters = [letter for letter, _ in parts if letter]
    for number, letter in enumerate(letters):
        is_time = (number > 0 and letters[number - 1] in "Hh") or letters[number + 1 : number + 2] == ["s"]
        if (letter == "m" and not is_time) or (letter in "ML" and is_time):
            return False
    return True


@lru_cache(maxsize=256)
def _language(where: Locale) -> int | None:
    named = f"{where.language}_{where.territory or ''}"
    return next((number for name, number in _LANGUAGES.items() if name.startswith(named)), None)
