"""What plain scalars stand for in YAML 1.1 (yaml.org/type, as PyYAML has it: `y` and `n` are texts)."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from bounded_contexts.documents.domain.errors import Unreadable
from bounded_contexts.documents.domain.values import Value, written_out

WORDS: Final[dict[str, Value]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **{
        form: word in ("yes", "true", "on")
        for word in ("yes", "no", "true", "false", "on", "off")
        for form in (word, word.capitalize(), word.upper())
    },
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_BINARY = re.compile(r"[-+]?0b[01_]+")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]{1,9})?")
_SIXTIES = re.compile(r"([-+]?)([0-9][0-9_]*(?::[0-5]?[0-9]){1,20}(?:\.[0-9_]*)?)")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_MOMENT = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(?:(Z)|([-+])(\d\d?)(?::?(\d\d))?))?"
)


def plain(text: str) -> Value:
    """Return what a plain scalar stands for. Raise `Unreadable` for numbers of too many digits."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    try:
        return _number(text)
    except ValueError:
        raise Unreadable("number_too_long", "a number has too many digits") from None


def _number(text: str) -> Value:
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(text):
        return int(digits)
    for pattern, base in ((_BINARY, 2), (_OCTAL, 8), (_HEX, 16)):
        if pattern.fullmatch(text):
            return written_out(int(digits, base)) if digits[-1] not in "xXbB" else text
    if _FLOAT.fullmatch(text):
        return Decimal(f"{digits}0" if digits[-1] == "." else digits)
    if match := _SIXTIES.fullmatch(text):
        return _of_sixties(match[1], match[2].replace("_", ""))
    return _moment(text)


def _of_sixties(sign: str, text: str) -> int | Decimal:
    total = Decimal(0)
    for part in text.split(":"):
        total = total * 60 + Decimal(part)
    found = -total if sign == "-" else total
    return found if "." in text else int(found)


def _moment(text: str) -> Value:
    try:
        if match := _DATE.fullmatch(text):
            return date(*map(int, match.groups()))
        if match := _MOMENT.fullmatch(text):
            return _of_parts(match)
    except ValueError:
        return text  # 2026-02-30
    return text


def _of_parts(match: "re.Match[str]") -> Value:
    fraction = match[7] or ""
    if len(fraction.rstrip("0")) > 6:
        return match[0]  # finer than a moment is here
    zone = UTC if match[8] else None
    if match[9]:
        offset = timedelta(hours=int(match[10]), minutes=int(match[11] or 0))
        zone = timezone(-offset if match[9] == "-" else offset)
    year, month, day, hour, minute, second = match.groups()[:6]
    text = f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute}:{second}.{fraction[:6]:0<6}"
    return datetime.fromisoformat(text).replace(tzinfo=zone)
