"""Properties of a file that nobody has given a meaning beforehand."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.expressions import expression
from bounded_contexts.documents.domain.rendering.functions import number_of, text_of, told
from bounded_contexts.documents.domain.rendering.problems import BadExpression, Problem
from bounded_contexts.documents.domain.rendering.texts import Texts, clean
from bounded_contexts.documents.domain.values import Value

CHARACTERS: Final = 255  # of a text, which is what programs take
_TAKEN: Final = frozenset(
    ["title", "author", "subject", "keywords", "creator", "producer", "creationdate", "moddate", "trapped", "language"]
)  # by what all files say of themselves, in small letters
_WHOLE: Final = 1 << 31
_DIGITS: Final = 15  # that a number of these files holds
Property = str | bool | int | float | datetime


def properties_of(given: Mapping[str, Any], texts: Texts) -> tuple[tuple[str, Property], ...]:
    """Return the properties by name, in the order of the document; those that say nothing are left out. Raise `TooLarge`."""
    found = [(name, expression(each)(texts.context)) for name, each in given.items()]
    return tuple([(name, _kept(told(texts.context, value))) for name, value in found if value is not None])


def said(value: Property) -> str:
    """Return a property as a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else text_of(value)


def property_problems(given: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with properties."""
    for name, each in given.items():
        if name.lower() in _TAKEN:
            yield Problem(f"{pointer}/{name}", "not_allowed", "a file has this property anyway")
        try:
            expression(each)
        except BadExpression as error:
            yield Problem(f"{pointer}/{name}", "bad_expression", str(error))


def _kept(value: Value) -> Property:
    """A value as these files hold one: what they have no kind for is a text."""
    if isinstance(value, bool | datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  a day has no zone
    if isinstance(value, int | float | Decimal) and (exact := number_of(value)) is not None:
        if exact == exact.to_integral_value() and abs(exact) < _WHOLE:
            return int(exact)
        if len(exact.normalize().as_tuple().digits) <= _DIGITS:
            return float(exact)
    text = clean(value.isoformat() if isinstance(value, time) else text_of(value))
    if len(text) > CHARACTERS:
        raise TooLarge("property_characters", CHARACTERS)
    return text
