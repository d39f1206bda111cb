"""TOML as toml.io has it, versions 1.0 and 1.1: what they read, and what neither may."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.document_values import refused, value_of

VERSIONS = ("1.0", "1.1")
READ: dict[str, Any] = {
    # keys: bare, quoted, dotted, empty, of digits; a number with a point is two keys
    "a-b_1 = 1\n'c d' = 2\n\"\" = 3\n1234 = 4": {"a-b_1": 1, "c d": 2, "": 3, "1234": 4},
    'a.b."c.d" = 1\na . e = 2\n3.14 = 5': {"a": {"b": {"c.d": 1}, "e": 2}, "3": {"14": 5}},
    # texts: four ways
    r'a = "\b\t\n\f\r\"\\\u00e9\U0001d11e"': {"a": '\b\t\n\f\r"\\é𝄞'},
    r"a = 'C:\x'": {"a": r"C:\x"},
    'a = """\nx\\\n   y\n"" z"""': {"a": 'xy\n"" z'},
    "a = '''\n'x\\''''": {"a": "'x\\'"},
    # numbers
    "a = [+1, -0, 1_000, 0xDEAD_beef, 0o17, 0b1_1]": {"a": [1, 0, 1000, 0xDEADBEEF, 15, 3]},
    "a = [1.10, -0.0, 1e3, 6.02_2E+2_3]": {"a": [Decimal("1.10"), Decimal("-0.0"), Decimal("1e3"), Decimal("6.022E+23")]},
    "a = 9223372036854775807": {"a": 2**63 - 1},
    # times: with an offset, local, dates, times of day
    "a = 1979-05-27T07:32:00Z": {"a": datetime(1979, 5, 27, 7, 32, tzinfo=UTC)},
    "a = 1979-05-27 00:32:00.999-07:00": {"a": datetime(1979, 5, 27, 0, 32, 0, 999000, timezone(-timedelta(hours=7)))},
    "a = 1979-05-27T07:32:00.5": {"a": datetime.fromisoformat("1979-05-27T07:32:00.500000")},
    "a = [1979-05-27, 07:32:00]": {"a": [date(1979, 5, 27), time(7, 32)]},
    # lists and tables
    "a = [\n 1, # one\n [2, '3'],\n]": {"a": [1, [2, "3"]]},
    "a = {b.c = 1, d = {}}": {"a": {"b": {"c": 1}, "d": {}}},
    "[a.b]\nc = 1\n[a]\nd = 2": {"a": {"b": {"c": 1}, "d": 2}},
    "[[a]]\nb = 1\n[a.c]\nd = 2\n[[a]]\n[[a.e]]": {"a": [{"b": 1, "c": {"d": 2}}, {"e": [{}]}]},
    "# only a comment": {},
    "a = 1\r\nb = 2 # é": {"a": 1, "b": 2},
}  # fmt: skip
NOT_READ = (
    # structure
    *("a", "a =", "= 1", "a = 1 b = 2", "a == 1", "[a", "[a]]", "[[a]", "[]", "[a.]", "[a]b = 1", "a.b. = 1", "a = [1 2]"),
    *("a = [", "a = {b = 1", "a = {b = 1,, c = 2}", "a b = 1", "é = 1", "'''a''' = 1", "a = 1 # \x00", "\ufeff\ufeffa = 1"),
    # twice
    *("a = 1\na = 2", "[a]\n[a]", "a = 1\n[a]", "[a.b]\n[a]\nb = 1", "[[a]]\n[a]", "a = []\n[[a]]", "a = {}\n[a.b]"),
    *("a.b = 1\n[a]", "a = {b = 1, b = 2}", "a = {b = 1}\na.c = 2", "[a]\nb.c = 1\n[a.b]"),
    # texts
    *('a = "x', "a = 'x", 'a = "\\x"', r'a = "\ud800"', r'a = "\U00110000"', 'a = "x\ny"', 'a = """x', 'a = "\x01"'),
    # numbers, words, times
    *("a = 01", "a = 1_", "a = _1", "a = 1__0", "a = 1.", "a = .1", "a = 1e", "a = +0x1", "a = 0XF", "a = 0b2", "a = 0x"),
    *("a = True", "a = tru", "a = Inf", "a = NaN", "a = null", "a = --1", "a = 1.e2", "a = 1e99999999999999999999"),
    *("a = 2026-02-30", "a = 2026-13-01", "a = 24:00:00", "a = 2026-01-01T00:00:60.Z", "a = 26-01-01", "a = 2026-1-1"),
)  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", READ)
def test_what_both_versions_have_is_read_exactly(text: str, version: str) -> None:
    assert repr(value_of(text.encode(), "toml", toml=version)) == repr(READ[text])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", NOT_READ)
def test_what_is_no_toml_is_refused(text: str, version: str) -> None:
    assert refused(text.encode(), "toml", toml=version).code == "bad_toml"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = {b = 1,\n c = 2,\n}", {"a": {"b": 1, "c": 2}}),
        (r'a = "\x41\e"', {"a": "A\x1b"}),
        ("a = 07:32", {"a": time(7, 32)}),
        ("a = 1979-05-27T07:32Z", {"a": datetime(1979, 5, 27, 7, 32, tzinfo=UTC)}),
    ],
)
def test_what_came_with_1_1_is_read_only_where_it_was_asked_for(text: str, value: Any) -> None:
    assert refused(text.encode(), "toml").code == "bad_toml"
    assert value_of(text.encode(), "toml", toml="1.1") == value


def test_numbers_that_are_not_finite_are_kept() -> None:
    assert str(value_of(b"a = [inf, +inf, -inf, nan]", "toml")["a"]) == "[inf, inf, -inf, nan]"


def test_it_is_utf_8_unless_another_charset_is_asked_for() -> None:
    text = 'a = "é"'

    assert value_of(text.encode("utf-8-sig"), "toml") == {"a": "é"}
    assert refused(text.encode("utf-16"), "toml").code == "bad_charset"
    assert value_of(text.encode("utf-16"), "toml", charset="utf-16") == {"a": "é"}
    assert refused(b'a = "\xff"', "toml").more["offset"] == 5
