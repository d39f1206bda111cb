"""What the head of a request says about a document, also where it is meant to do harm."""

from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.header_parameters import parameters_of
from bounded_contexts.documents.adapters.http_answer import notes
from bounded_contexts.documents.adapters.negotiation import (
    disposition_of,
    filename_of,
    kept_name,
    packing_for,
    told_by_type,
)
from bounded_contexts.documents.application.ports import Report

MUCH = 1_000_000  # of what takes a parser hours that looks at all of it again for each character
NAMES = (
    "a.json",
    "März.json",
    'x".json',
    "a\r\nset-cookie: b=1.json",
    "../../etc/passwd",
    "..\\a.json",
    "\u202egpj.json",
)


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        ("", {}),
        ("text/csv", {}),
        ("text/csv; charset=utf-8", {"charset": "utf-8"}),
        ('text/csv;Charset="UTF-8" ; header=absent', {"charset": "UTF-8", "header": "absent"}),
        (r'attachment; filename="a\"b;c.json"', {"filename": 'a"b;c.json'}),
        ("attachment;; a=1; ; b=2", {"a": "1", "b": "2"}),
        ("attachment; a=1; a=2", {"a": "1"}),
        ('attachment; a=1; b="unclosed; c=3', {"a": "1"}),
        ("attachment; no value; c=3", {}),
    ],
)
def test_parameters_are_read_as_far_as_they_can_be(value: str, parameters: dict[str, str]) -> None:
    assert parameters_of(value) == parameters


@pytest.mark.parametrize("text", ['; a="' + ";" * MUCH, "; a=" + ";" * MUCH, ';a="' * (MUCH // 4), ";" + " " * MUCH])
def test_parameters_take_no_longer_than_they_are_long(text: str) -> None:
    parameters_of("attachment" + text)
    told_by_type("application/json" + text, None)


@pytest.mark.parametrize(
    ("content_disposition", "name"),
    [
        ("attachment; filename*=UTF-8''M%C3%A4rz.json; filename=x.json", "März.json"),
        ("attachment; filename*=iso-8859-1'en'M%E4rz.json", "März.json"),
        ("attachment; filename*=idna''a%41; filename=x.json", "x.json"),
        ("attachment; filename*=unicode_escape''%5Cudcff.json", None),
        ("attachment; filename*=UTF-8''%FF.json", "\ufffd.json"),
        ("attachment; filename*=x", None),
        ("attachment", None),
    ],
)
def test_the_name_of_a_file_is_read_as_rfc_8187_writes_it(content_disposition: str, name: str | None) -> None:
    assert filename_of(None, content_disposition) == name


@given(st.one_of(st.sampled_from(NAMES), st.text(max_size=300)))
def test_no_name_of_a_file_says_anything_else(name: str) -> None:
    head = disposition_of(name, FORMATS["csv"])
    read = Message()
    read["content-disposition"] = head

    assert head.isascii()
    assert head.isprintable()
    assert read.get_content_disposition() == "attachment"
    assert {key for key, _ in read.get_params(header="content-disposition") or ()} <= {"attachment", "filename"}
    assert (read.get_filename() or "").endswith(".csv")
    assert not set(read.get_filename() or "") & set('/\\"\r\n\0')
    assert not set(kept_name(name) or "") & set('/\\"\r\n\0\u202e')


@pytest.mark.parametrize(
    ("accept_encoding", "packed"),
    [
        ("", "identity"),
        ("gzip, deflate", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.5, identity", "identity"),
        ("compress", "identity"),
    ],
)
def test_the_result_is_packed_as_the_client_likes_it(accept_encoding: str, packed: str) -> None:
    assert packing_for(accept_encoding) == packed


def test_notes_are_a_dictionary_of_structured_fields() -> None:
    report = Report({}, (), {"charset": "utf-8", "quote": '"', "sheet": "März 5%"}, 0, 0)

    assert notes(report) == 'charset="utf-8", quote="\\"", sheet=%"M%c3%a4rz 5%25"'
    assert len(notes(Report({}, (), {"a": "x", "sheet": "ä" * 2_000}, 0, 0))) < 4_096
