"""CSV as RFC 4180 and spreadsheet programs have it, and that other formats leave its texts alone."""

import pytest

from tests.unit.document_values import converted, refused, value_of

READ: dict[str, tuple[bytes, list[dict[str, str]]]] = {
    "plain": (b"a,b\n1,2\n", [{"a": "1", "b": "2"}]),
    "no last newline": (b"a,b\r\n1,2", [{"a": "1", "b": "2"}]),
    "delimiters within quotes": (b'first,at\nAda,"12 Some St., Town"\n', [{"first": "Ada", "at": "12 Some St., Town"}]),
    "quotes within quotes": (b'a,b\n1,"so ""he"" said"\n', [{"a": "1", "b": 'so "he" said'}]),
    "only quotes": (b'a,b\n"""",""""""\n', [{"a": '"', "b": '""'}]),
    "newlines within quotes": (b'a,b\n"x\ny","\n"\n', [{"a": "x\ny", "b": "\n"}]),
    "returns within quotes": (b'a,b\r\n"x\r\ny","\r"\r\n', [{"a": "x\r\ny", "b": "\r"}]),
    "empty cells": (b'a,b,c\n1,"",""\n,,\n', [{"a": "1", "b": "", "c": ""}, {"a": "", "b": "", "c": ""}]),
    "json in a cell": (b'k,v\n1,"{""x"": [1, 2.0]}"\n', [{"k": "1", "v": '{"x": [1, 2.0]}'}]),
    "spaces": (b"a, b\n 1 ,\t\n", [{"a": " 1 ", " b": "\t"}]),
    "what looks like numbers": (b"a,b\n007,1e5\n-0,1.0\n", [{"a": "007", "b": "1e5"}, {"a": "-0", "b": "1.0"}]),
    "what looks like words": (b"a,b\nnull,yes\n~,true\n", [{"a": "null", "b": "yes"}, {"a": "~", "b": "true"}]),
    "beyond ascii": ("ä,β\nʤ,37°36'\n".encode(), [{"ä": "ʤ", "β": "37°36'"}]),
    "a mark": ("\ufeffa,b\n1,2\n".encode(), [{"a": "1", "b": "2"}]),
    "empty lines": (b"a,b\n\n1,2\n\n\n", [{"a": "1", "b": "2"}]),
    "one column": (b'a\nx\n""\n', [{"a": "x"}, {"a": ""}]),
    "only names": (b"a,b\n", []),
    "nothing": (b"", []),
}
NOT_READ = {
    "bad_csv": (b'a\n"x', b'a\n"x"y\n', b'a,b\n1,"x" \n', b"a\n\0\n"),
    "ragged_row": (b"a,b\n1\n", b"a,b\n1,2,3\n", b'a,b\n1,2\n""\n'),
    "duplicate_key": (b"a,a\n1,2\n",),
    "bad_charset": (b"a\n\xff\n", b"a\n\xed\xa0\x80\n"),
}


@pytest.mark.parametrize("name", READ)
def test_cells_are_read_as_they_stand(name: str) -> None:
    data, records = READ[name]

    assert value_of(data, "csv") == records


@pytest.mark.parametrize(("code", "data"), [(code, data) for code, several in NOT_READ.items() for data in several])
def test_what_would_be_read_otherwise_than_meant_is_refused(code: str, data: bytes) -> None:
    assert refused(data, "csv").code == code


@pytest.mark.parametrize("via", ["tsv", "xlsx", "yaml", "json", "ndjson", "msgpack"])
@pytest.mark.parametrize("name", [name for name, (_, records) in READ.items() if records])
def test_cells_come_back_through_other_formats_unchanged(name: str, via: str) -> None:
    data, records = READ[name]

    assert value_of(converted(converted(data, "csv", via), via, "csv"), "csv") == records
