"""Formats of cells in workbooks, as the document's locale has them."""

from datetime import datetime
from typing import Any

import pytest

from tests.unit.rendered import book, source


def cell(value: Any, form: Any, locale: str = "en-GB", **more: Any) -> Any:
    """The cell of a value with a format."""
    column = {"value": {"path": "r.v"}, "style": {"numberFormat": form}}
    table = {"type": "table", "rows": {"each": "rows", "as": "r"}, "columns": [column]}
    return book(source(table, locale=locale, data={"rows": [{"v": value}]}, **more)).worksheets[0]["A1"]


def code(value: Any, form: Any, locale: str = "en-GB") -> str:
    return str(cell(value, form, locale).number_format)


@pytest.mark.parametrize(
    ("locale", "currency", "expected"),
    [
        ("en-GB", "GBP", "[$£]#,##0.00"),
        ("en-GB", "JPY", "[$JP¥]#,##0"),
        ("de-DE", "EUR", "#,##0.00\\\xa0[$€]"),
        ("de-CH", "CHF", "[$CHF]\\\xa0#,##0.00"),
        ("ar-EG", "KWD", "#,##0.000\\\xa0[$د.ك.\u200f]"),
    ],
)
def test_currencies_stand_where_the_locale_has_them_with_their_digits(
    locale: str, currency: str, expected: str
) -> None:
    assert code(1234.5, {"type": "currency", "currency": currency}, locale) == expected


def test_numbers_have_the_digits_that_they_are_said_to_have_or_their_own() -> None:
    assert code(1234.5, {"type": "number", "digits": 2}) == "#,##0.00"
    assert code({"$decimal": "1234.125"}, {"type": "number"}) == "#,##0.000"
    assert code(1234, {"type": "number"}) == "#,##0"
    assert code(0.125, {"type": "percent", "digits": 1}) == "#,##0.0%"
    assert code("12.5", {"type": "number"}) == "#,##0.0"


@pytest.mark.parametrize(
    ("locale", "pattern", "expected"),
    [
        ("en-GB", "short", "dd\\/mm\\/yyyy"),
        ("de-DE", "short", "dd.mm.yy"),
        ("de-DE", "medium", "dd.mm.yyyy"),
        ("en-GB", "long", "[$-809]d mmmm yyyy"),
        ("de-DE", "full", "[$-407]dddd\\, d. mmmm yyyy"),
        ("ja-JP", "long", "yyyy\\年m\\月d\\日"),
        ("en-GB", "yyyy-MM", "yyyy-mm"),
        ("en-GB", "'day' d", "\\d\\a\\y d"),
        ("en-GB", "QQQ y", "yyyy-mm-dd"),  # a quarter: no cell says one
        ("en-GB", "mm", "yyyy-mm-dd"),  # minutes without hours would be months
    ],
)
def test_dates_have_the_pattern_of_the_document(locale: str, pattern: str, expected: str) -> None:
    found = cell({"$date": "2026-12-01"}, {"type": "date", "pattern": pattern}, locale)

    assert (found.number_format, found.is_date) == (expected, True)
    assert found.value == datetime(2026, 12, 1)  # noqa: DTZ001  cells have no zone


def test_a_date_without_a_format_is_in_that_of_all() -> None:
    found = book(
        source({"type": "table", "columns": [{}], "rows": [[{"path": "d"}]]}, data={"d": {"$date": "2026-12-01"}})
    )

    assert found.worksheets[0]["A1"].number_format == "yyyy-mm-dd"


def test_times_of_a_zone_are_those_of_the_documents_clocks() -> None:
    moment = {"$datetime": "2026-07-01T22:30:00Z"}
    found = cell(moment, {"type": "date", "pattern": "short"}, "de-DE", timeZone="Europe/Berlin")

    assert found.value == datetime(2026, 7, 2, 0, 30)  # noqa: DTZ001
    assert found.number_format == "dd.mm.yy\\, hh:mm"
    assert cell(moment, {"type": "date", "pattern": "h:mm a"}).number_format == "h:mm AM/PM"
    assert cell(moment, {"type": "date", "pattern": "HH:mm:ss zzzz"}).number_format == "hh:mm:ss"
    assert cell("2026-07-01T22:30:00Z", {"type": "date", "pattern": "HH:mm"}).value == datetime(2026, 7, 1, 22, 30)  # noqa: DTZ001
