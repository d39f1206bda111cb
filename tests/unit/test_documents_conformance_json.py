"""JSON as RFC 8259 has it: what must be read, what must not be, and what readers may decide."""

from decimal import Decimal
from typing import Any

import pytest

from bounded_contexts.documents.domain.limits import Limits
from tests.unit.document_values import converted, refused, value_of

READ: dict[str, Any] = {
    # values by themselves, and white space around them
    "0": 0,
    "-1": -1,
    '""': "",
    " null ": None,
    "\r\n\t true\n": True,
    "[[]   ]": [[]],
    '{"":0}': {"": 0},
    # numbers: each form of fraction and exponent, none rounded
    "[0e1]": [Decimal("0e1")],
    "[0E+1]": [Decimal("0e1")],
    "[1e-2]": [Decimal("0.01")],
    "[-0.0]": [Decimal("-0.0")],
    "[123.456e78]": [Decimal("123.456e78")],
    "[1.000000000000000000000000000000005]": [Decimal("1.000000000000000000000000000000005")],
    # texts: each escape, pairs of surrogates, whatever stands beyond ASCII, what looks like structure
    r'["\"\\\/\b\f\n\r\t"]': ['"\\/\b\f\n\r\t'],
    r'["\u0061\u30af\u20AC"]': ["aク€"],
    r'["\ud834\udd1e"]': ["𝄞"],
    r'["\u0000\u001f\u007f\uffff"]': ["\0\x1f\x7f\uffff"],
    r'["\\u0000"]': ["\\u0000"],
    '["\u2028\u2029\x7f\U0010ffff"]': ["\u2028\u2029\x7f\U0010ffff"],
    '["[],{}:",{"a]":"}"}]': ["[],{}:", {"a]": "}"}],
    # keys are texts: in their order, escaped, empty
    r'{"b":1,"a":2,"\u0063":3}': {"b": 1, "a": 2, "c": 3},
}
NOT_READ = (
    # structure
    *("", " ", "[", "]", "{", "}", "[1", "[1,", "[,1]", "[1,,2]", "[1,]", "[1 2]", "[1]]", "[]x", "[1]//", "1 2"),
    *('{"a"', '{"a":', '{"a":1', '{"a":1,}', '{"a" 1}', '{"a"::1}', '{"a":1 "b":2}', '{,"a":1}', '{"a":"b",,"c":1}'),
    *("{1:1}", "{a:1}", "{'a':1}", '{"a":1}}', '{"a":1}#', '["a":1]', '{"a","b"}', "[}", "{]", "<null>", "[<null>]"),
    # words
    *("nul", "[True]", "[tru]", "[nan]", "[NaN]", "[Infinity]", "[-Infinity]", "[inf]", "[undefined]", "abc"),
    # numbers
    *("+1", "01", "-01", "-", "--1", ".5", "-.5", "1.", "2.e3", "1e", "1e+", "1ea", "1.2.3", "0x1", "1_0", "1,0", "１"),
    *("[1+2]", "[-]", "[- 1]", "[0.e1]", "[0e]", "[1e1.5]"),
    # texts
    *(
        '"',
        '"a',
        "'a'",
        '["a',
        r'["\"]',
        r'["\x41"]',
        r'["\a"]',
        r'["\u12"]',
        r'["\u12G4"]',
        r'["\U0041"]',
        '["\\',
        '["\t"]',
    ),
    *('["a\nb"]', '["\0"]', '["a"b]', "[a", '[\\n"a"]', '["\\\u00e9"]', r'["\ud800"]', r'["\udc00"]', r'["\ud800\n"]'),
    # white space and marks that are none
    *("[\f]", "[\u00a0]", "[\u2060]", "\ufeff\ufeff[]", "[1\0]", "\0", "/**/[]", "[]/*", "#\n[]"),
)


@pytest.mark.parametrize("text", READ)
def test_what_must_be_read_is(text: str) -> None:
    assert repr(value_of(text.encode(), "json")) == repr(READ[text])


@pytest.mark.parametrize("text", NOT_READ)
def test_what_is_no_json_is_refused(text: str) -> None:
    assert refused(text.encode(), "json").code in ("bad_json", "bad_charset")


@pytest.mark.parametrize("text", NOT_READ[1:])
def test_a_line_that_is_no_json_is_refused(text: str) -> None:
    if text.strip(" \n\t\r") and text not in ("[]x", "1 2"):
        refused(b'{"a":1}\n' + text.encode() + b"\n", "ndjson")


@pytest.mark.parametrize(
    ("data", "offset"),
    [(b'["\xff"]', 2), (b'["ok", "\xed\xa0\x80"]', 8), (b'["\xc0\xaf"]', 2), (b'["\xe0\xff"]', 2), (b'["\xf4\xbf\xbf\xbf"]', 2)],
)  # fmt: skip
def test_bytes_that_are_no_utf_8_are_refused_with_their_place(data: bytes, offset: int) -> None:
    error = refused(data, "json")

    assert (error.code, error.more["offset"]) == ("bad_charset", offset)


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_say_the_charset(charset: str) -> None:
    assert value_of('{"é":"𝄞"}'.encode(charset), "json") == {"é": "𝄞"}


@pytest.mark.parametrize(
    "number", ["123123e100000", "-1e+9999", "0.4e0066999999999999", "100000000000000000000", "1E-999"]
)
def test_numbers_beyond_binary_ones_stay_as_they_are(number: str) -> None:
    assert value_of(converted(number.encode(), "json", "json"), "json") == Decimal(number)


def test_numbers_that_nobody_can_hold_are_refused() -> None:
    assert refused(b'{"a":1}\n[0.4e00669999999999999999999999]\n', "ndjson").more["line"] == 2
    assert refused(b"[1,0.4e00669999999999999999999999,1]", "json").code == "number_too_long"
    assert refused(b"[" + b"9" * 5_000 + b"]", "json").code == "number_too_long"


@pytest.mark.parametrize("opening", ["[", '{"a":', '["]",[', r'["\\",{"\"":'])
def test_depth_is_limited_and_brackets_in_texts_count_nothing(opening: str) -> None:
    closing = "".join({"[": "]", "{": "}"}.get(char, "") for char in opening.replace('"]"', "")[::-1])
    depth = len(closing)
    limits = Limits(depth=20 * depth)

    def nested(times: int) -> bytes:
        return (opening * times + "1" + closing * times).encode()

    value_of(nested(20), "json", limits)
    assert refused(nested(22), "json", limits).more["limit"] == "depth"
    assert value_of(('["' + "[" * 10_000 + '"]').encode(), "json", limits)
    assert value_of(("[" + "[]," * 10_000 + "1]").encode(), "json", limits)


def test_second_keys_are_found_however_they_are_written() -> None:
    for text in (r'{"a":1,"\u0061":2}', r'{":":1,"\u003a":2}', '[[{"a":{"b":1,"b":1}}]]', '{"":0,"":0}'):
        assert refused(text.encode(), "json").code == "duplicate_key"
        assert value_of(text.encode(), "json", duplicates="last")
