"""Numbers as a workbook shows them (ECMA-376, part 1, 18.8.31): percent, currencies, thousands, a fixed count of places."""

import re
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache
from typing import Final, NamedTuple

_TOKEN = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|\[(?:Color\d+|[A-Za-z]+)\]|_.|\*.|([#0?.,]+)|(%)|(.)')
_SECTION = re.compile(r'((?:"[^"]*"|\\.|\[[^\]]*\]|[^;])*)(?:;|$)')
_PATTERN = re.compile(r"([#?,]*)([0,]*)(?:\.([0#?]*))?(,*)")
DIGITS: Final = 400


class _Shape(NamedTuple):
    before: str
    after: str
    whole: int  # digits before the point, at least
    places: int  # digits behind it
    sure: int  # of these, how many are shown even where they are 0
    grouped: bool
    scale: int  # power of ten by which the number is multiplied
    plain: bool  # nothing but digits: as a number reads anyway


def shown(value: int | Decimal, code: str) -> str | None:
    """Return the number by its format; None for formats that show it as it is, or in ways not known here."""
    sections = _sections(code)
    section = sections[0]
    if value < 0 and len(sections) > 1:
        section, value = sections[1], -value
    elif value == 0 and len(sections) > 2:
        section = sections[2]
    shape = _shape(section)
    if shape is None or shape.plain:
        return None
    with localcontext() as context:
        context.prec, context.rounding = DIGITS, ROUND_HALF_UP
        digits = f"{abs(Decimal(value).scaleb(shape.scale)):.{shape.places}f}"
    whole, _, rest = digits.partition(".")
    whole = whole.lstrip("0").rjust(shape.whole, "0")
    rest = rest[: shape.sure] + rest[shape.sure :].rstrip("0")
    if shape.grouped:
        whole = f"{int(whole or 0):,}" if len(whole) > 3 else whole
    sign = "-" if value < 0 and (whole + rest).strip("0,") else ""
    return f"{sign}{shape.before}{whole}{'.' + rest if rest else ''}{shape.after}"


@lru_cache(1_000)
def _sections(code: str) -> tuple[str, ...]:
    return tuple(match[1] for match in _SECTION.finditer(code) if match[1] or match.end() < len(code))[:3] or ("",)


@lru_cache(1_000)
def _shape(section: str) -> _Shape | None:
    before, after, digits, percent = "", "", "", 0
    for token in _TOKEN.finditer(section):
        text, one, currency, pattern, sign, other = token.groups()
        if pattern:
            if digits:
                return None  # fractions, dates
            digits = pattern
        elif other and other not in " $€£¥()+-:":
            return None  # exponents, conditions, General
        else:
            percent += sign is not None
            literal = text or one or currency or sign or other or ""
            before, after = (before, after + literal) if digits else (before + literal, after)
    match = _PATTERN.fullmatch(digits)
    if not digits or match is None:
        return None
    optional, whole, places, scaled = match.groups(default="")
    if whole.endswith(","):
        scaled = "," + scaled
    grouped = "," in optional or "," in whole.rstrip(",")
    sure = len(places.rstrip("#?"))
    plain = not (before or after or grouped or scaled or places) and len(whole) < 2
    return _Shape(before, after, whole.count("0"), len(places), sure, grouped, 2 * percent - 3 * len(scaled), plain)
