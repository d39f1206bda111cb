"""Numbers and times as the Unicode CLDR has them for a locale."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_name


@lru_cache(maxsize=256)
def _is_currency(code: str) -> bool:
    return len(code) == 3 and code.isascii() and get_currency_name(code.upper(), locale="en") != code.upper()


@contextmanager
def _few_digits() -> Iterator[None]:
    try:
        yield
    except ArithmeticError:
        raise ValueError("the number has too many digits to be written so") from None


class BabelFormats:
    """One locale and time zone. Raise `LookupError` for a name that there is none of."""

    def __init__(self, locale: str, zone: str) -> None:
        try:
            self._locale = Locale.parse(locale.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            raise LookupError(f"{locale[:40]!r} is no locale") from None
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise LookupError(f"{zone[:40]!r} is no time zone") from None

    @property
    def locale(self) -> Locale:
        """Return the locale."""
        return self._locale

    def local(self, value: datetime) -> datetime:
        """Return what a clock in the time zone says, without a zone; a time that has none is told by that clock."""
        try:
            return (value.astimezone(self._zone) if value.tzinfo else value).replace(tzinfo=None)
        except OverflowError:
            return value.replace(tzinfo=None)

    def number(self, value: Decimal, digits: int | None) -> str:
        with _few_digits():
            if digits is None:
                return format_decimal(value, locale=self._locale, decimal_quantization=False)
            return format_decimal(value, "#,##0" + ("." + "0" * digits if digits else ""), self._locale)

    def currency(self, value: Decimal, code: str) -> str:
        if not _is_currency(code):
            raise ValueError(f"{code[:10]!r} is no currency")
        with _few_digits():
            return format_currency(value, code.upper(), locale=self._locale)

    def percent(self, value: Decimal, digits: int) -> str:
        with _few_digits():
            return format_percent(value, "#,##0" + ("." + "0" * digits if digits else "") + "%", self._locale)

    def moment(self, value: date | time, pattern: str) -> str:
        try:
            if isinstance(value, datetime):
                local = value.astimezone(self._zone) if value.tzinfo else value
                return format_datetime(local, pattern, locale=self._locale)
            if isinstance(value, date):
                return format_date(value, pattern, locale=self._locale)
            return format_time(value, pattern, locale=self._locale)
        except (AttributeError, KeyError, LookupError, TypeError):
            raise ValueError(f"{pattern[:40]!r} is no pattern for this") from None
        except OverflowError:
            raise ValueError("the time is before the year 1 or after 9999 in the time zone") from None

    def day(self, value: date) -> date:
        if isinstance(value, datetime):
            try:
                return (value.astimezone(self._zone) if value.tzinfo else value).date()
            except OverflowError:
                return value.date()
        return value
