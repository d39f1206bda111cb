"""The functions of formulas that are worked out here, and those that only programs work out.

Values are as programs have them: nothing counts as 0 or as an empty text, a text that is a number counts as one where one is
asked for, and errors go through whatever they are in.
"""

import decimal
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final

from bounded_contexts.documents.domain.rendering.functions import DIVISION, EXACT, number_of, text_of
from bounded_contexts.documents.domain.values import Value

ERRORS: Final = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})
TEXT: Final = 32_767  # characters of a cell
Lazy = Callable[[], Value]


class FormulaError(Exception):
    """What a formula gives is an error."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def number(value: Value) -> Decimal:
    """Return a value as a number. Raise `FormulaError`."""
    value = single(value)
    if value is None:
        return Decimal(0)
    if isinstance(value, bool):
        return Decimal(int(value))
    found = number_of(value)
    if found is None:
        raise FormulaError("#VALUE!")
    return found


def shown(value: Value) -> str:
    """Return a value as a text. Raise `FormulaError`."""
    value = single(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, Decimal):
        value = value.normalize(DIVISION) if value else Decimal(0)
    return text_of(value)


def single(value: Value) -> Value:
    """Return the one value there is. Raise `FormulaError` for many, and for an error."""
    if isinstance(value, list):
        if len(value) != 1:
            raise FormulaError("#VALUE!")
        value = value[0]
    if isinstance(value, str) and value in ERRORS:
        raise FormulaError(value)
    return value


def truth(value: Value) -> bool:
    """Return whether a value is true. Raise `FormulaError`."""
    value = single(value)
    if isinstance(value, str) and value.upper() in ("TRUE", "FALSE"):
        return value.upper() == "TRUE"
    return bool(number(value))


def divided(one: Decimal, other: Decimal) -> Decimal:
    """Return a quotient of 34 digits. Raise `FormulaError`."""
    if not other:
        raise FormulaError("#DIV/0!")
    return DIVISION.divide(one, other)


def powered(base: Decimal, exponent: Decimal) -> Decimal:
    """Return a power of 34 digits. Raise `FormulaError`."""
    if not base and exponent <= 0:
        raise FormulaError("#NUM!" if not exponent else "#DIV/0!")
    if abs(exponent) > 400:
        raise FormulaError("#NUM!")
    try:
        return DIVISION.power(base, exponent)
    except decimal.DecimalException:
        raise FormulaError("#NUM!") from None


def compared(mark: str, one: Value, other: Value) -> bool:
    """Return whether a comparison holds: numbers come before texts, texts before truth, texts whatever their case."""
    left, right = _ranked(single(one), single(other)), _ranked(single(other), single(one))
    match mark:
        case "=":
            return left == right
        case "<>":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
    return left >= right


def _ranked(value: Value, other: Value) -> tuple[int, Decimal | str]:
    if value is None:
        value = "" if isinstance(other, str) else False if isinstance(other, bool) else 0
    if isinstance(value, bool):
        return 2, Decimal(int(value))
    if isinstance(value, int | float | Decimal):
        return 0, number(value)
    if isinstance(value, datetime | date | time):
        return 1, value.isoformat()
    return 1, text_of(value).lower()


def _flat(arguments: list[Lazy]) -> Iterator[Value]:
    """Yield all values; texts among many count as none, as in programs."""
    for argument in arguments:
        value = argument()
        if isinstance(value, list):
            for each in value:
                if isinstance(each, str) and each in ERRORS:
                    raise FormulaError(each)
                if isinstance(each, int | float | Decimal) and not isinstance(each, bool):
                    yield each
        else:
            yield value


def _numbers(arguments: list[Lazy]) -> list[Decimal]:
    return [number(value) for value in _flat(arguments) if value is not None]


def _sum(arguments: list[Lazy]) -> Decimal:
    total = Decimal(0)
    for each in _numbers(arguments):
        total = EXACT.add(total, each)
    return total


def _product(arguments: list[Lazy]) -> Decimal:
    total = Decimal(1)
    for each in _numbers(arguments):
        total = EXACT.multiply(total, each)
    return total


def _average(arguments: list[Lazy]) -> Decimal:
    count = len(_numbers(arguments))
    return divided(_sum(arguments), Decimal(count))


def _counted(arguments: list[Lazy]) -> int:
    return sum(
        1
        for argument in arguments
        for each in _as_list(argument())
        if isinstance(each, int | float | Decimal) and not isinstance(each, bool)
    )


def _counted_all(arguments: list[Lazy]) -> int:
    return sum(1 for argument in arguments for each in _as_list(argument()) if each is not None)


def _as_list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [value]


def _rounded(rounding: str) -> Callable[[list[Lazy]], Decimal]:
    def function(arguments: list[Lazy]) -> Decimal:
        digits = int(number(arguments[1]())) if len(arguments) > 1 else 0
        if abs(digits) > 100:
            raise FormulaError("#NUM!")
        return number(arguments[0]()).quantize(Decimal(1).scaleb(-digits), rounding=rounding, context=_WIDE)

    return function


_WIDE: Final = decimal.Context(prec=1_000)


def _mod(arguments: list[Lazy]) -> Decimal:
    one, other = number(arguments[0]()), number(arguments[1]())
    if not other:
        raise FormulaError("#DIV/0!")
    rest = EXACT.remainder(one, other)
    return EXACT.add(rest, other) if rest and (rest < 0) != (other < 0) else rest


def _root(arguments: list[Lazy]) -> Decimal:
    value = number(arguments[0]())
    if value < 0:
        raise FormulaError("#NUM!")
    return DIVISION.sqrt(value)


def _if(arguments: list[Lazy]) -> Value:
    if truth(arguments[0]()):
        return arguments[1]()
    return arguments[2]() if len(arguments) > 2 else False


def _if_error(arguments: list[Lazy]) -> Value:
    try:
        return single(arguments[0]())
    except (FormulaError, ArithmeticError):
        return arguments[1]()


def _part(arguments: list[Lazy], kind: str) -> str:
    text = shown(arguments[0]())
    numbers = [int(number(each())) for each in arguments[1:]] or [1]
    if min(numbers) < (1 if kind == "MID" and numbers[0] < 1 else 0):
        raise FormulaError("#VALUE!")
    if kind == "LEFT":
        return text[: numbers[0]]
    if kind == "RIGHT":
        return text[len(text) - min(numbers[0], len(text)) :]
    return text[numbers[0] - 1 : numbers[0] - 1 + numbers[1]]


def _joined(arguments: list[Lazy]) -> str:
    return together([shown(each()) for each in arguments])


def together(texts: list[str]) -> str:
    """Return the texts as one. Raise `FormulaError` for more than a cell holds."""
    if sum(map(len, texts)) > TEXT:
        raise FormulaError("#VALUE!")
    return "".join(texts)


def _is(test: Callable[[Value], bool]) -> Callable[[list[Lazy]], bool]:
    def function(arguments: list[Lazy]) -> bool:
        try:
            return test(single(arguments[0]()))
        except FormulaError:
            return False

    return function


Computed = tuple[Callable[[list[Lazy]], Value], int, int]  # what it gives, how many values it takes
COMPUTED: Final[dict[str, Computed]] = {
    "SUM": (_sum, 1, 255),
    "PRODUCT": (_product, 1, 255),
    "AVERAGE": (_average, 1, 255),
    "MIN": (lambda arguments: min(_numbers(arguments), default=Decimal(0)), 1, 255),
    "MAX": (lambda arguments: max(_numbers(arguments), default=Decimal(0)), 1, 255),
    "COUNT": (_counted, 1, 255),
    "COUNTA": (_counted_all, 1, 255),
    "ROUND": (_rounded("ROUND_HALF_UP"), 2, 2),
    "ROUNDUP": (_rounded("ROUND_UP"), 2, 2),
    "ROUNDDOWN": (_rounded("ROUND_DOWN"), 2, 2),
    "TRUNC": (_rounded("ROUND_DOWN"), 1, 2),
    "INT": (_rounded("ROUND_FLOOR"), 1, 1),
    "ABS": (lambda arguments: number(arguments[0]()).copy_abs(), 1, 1),
    "SIGN": (lambda arguments: number(arguments[0]()).compare(Decimal(0)), 1, 1),
    "SQRT": (_root, 1, 1),
    "POWER": (lambda arguments: powered(number(arguments[0]()), number(arguments[1]())), 2, 2),
    "MOD": (_mod, 2, 2),
    "IF": (_if, 2, 3),
    "IFERROR": (_if_error, 2, 2),
    "AND": (lambda arguments: all(truth(each()) for each in arguments), 1, 255),
    "OR": (lambda arguments: any(truth(each()) for each in arguments), 1, 255),
    "NOT": (lambda arguments: not truth(arguments[0]()), 1, 1),
    "CONCATENATE": (_joined, 1, 255),
    "LEFT": (lambda arguments: _part(arguments, "LEFT"), 1, 2),
    "RIGHT": (lambda arguments: _part(arguments, "RIGHT"), 1, 2),
    "MID": (lambda arguments: _part(arguments, "MID"), 3, 3),
    "LEN": (lambda arguments: len(shown(arguments[0]())), 1, 1),
    "UPPER": (lambda arguments: shown(arguments[0]()).upper(), 1, 1),
    "LOWER": (lambda arguments: shown(arguments[0]()).lower(), 1, 1),
    "TRIM": (lambda arguments: " ".join([each for each in shown(arguments[0]()).split(" ") if each]), 1, 1),
    "ISBLANK": (_is(lambda value: value is None), 1, 1),
    "ISNUMBER": (_is(lambda value: isinstance(value, int | float | Decimal) and not isinstance(value, bool)), 1, 1),
    "ISTEXT": (_is(lambda value: isinstance(value, str)), 1, 1),
}
# nothing that fetches, runs, or makes references out of texts
KNOWN: Final = frozenset(
    [
        "AVERAGEIF",
        "AVERAGEIFS",
        "CEILING",
        "CHOOSE",
        "COUNTBLANK",
        "COUNTIF",
        "COUNTIFS",
        "DATE",
        "DATEVALUE",
        "DAY",
        "DAYS360",
        "EDATE",
        "EOMONTH",
        "EXACT",
        "EXP",
        "FIND",
        "FLOOR",
        "FV",
        "HLOOKUP",
        "HOUR",
        "INDEX",
        "IRR",
        "ISERROR",
        "LARGE",
        "LN",
        "LOG",
        "LOG10",
        "LOOKUP",
        "MATCH",
        "MEDIAN",
        "MINUTE",
        "MONTH",
        "NETWORKDAYS",
        "NOW",
        "NPER",
        "NPV",
        "PI",
        "PMT",
        "PROPER",
        "PV",
        "RANK",
        "RATE",
        "REPLACE",
        "REPT",
        "ROW",
        "ROWS",
        "SEARCH",
        "SECOND",
        "SMALL",
        "STDEV",
        "STDEVP",
        "SUBSTITUTE",
        "SUBTOTAL",
        "SUMIF",
        "SUMIFS",
        "SUMPRODUCT",
        "TEXT",
        "TIME",
        "TODAY",
        "VALUE",
        "VAR",
        "VARP",
        "VLOOKUP",
        "WEEKDAY",
        "WEEKNUM",
        "WORKDAY",
        "YEAR",
        "YEARFRAC",
    ]
)
