"""Files that a PDF carries, as independent readers and veraPDF see them."""

import base64
from pathlib import Path
from typing import Any

import pytest

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import pdf, rendered, source
from tests.verapdf import broken_rules

TEXT = {"type": "paragraph", "text": "Invoice"}
META = {"title": "x", "created": "2026-11-21T10:00:00Z", "language": "en"}
XML = {"name": "factur-x.xml", "mediaType": "text/xml", "relationship": "alternative", "text": {"path": "xml"}}
BINARY = {"name": "raw.bin", "mediaType": "application/octet-stream", "data": base64.b64encode(b"\0\1\xff").decode()}
DATA = {"xml": '<?xml version="1.0"?><a>Ä {{x}}</a>'}


def document(*attachments: Any, standard: Any = ("a-3b", "ua-1"), **more: Any) -> bytes:
    output = {"pdf": {"attachments": list(attachments), **({"standard": list(standard)} if standard else {})}}
    return source(TEXT, output=output, meta=META, **{"data": DATA, **more})


def problems(*attachments: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        check(document(*attachments, **more))
    return [(each.pointer, each.code) for each in caught.value.problems]


@pytest.mark.parametrize("standard", [("a-3b", "ua-1"), None], ids=["archival", "without a standard"])
def test_a_pdf_carries_files_as_they_are(standard: Any) -> None:
    read = pdf(document(XML, BINARY, standard=standard))
    specs = {str(each.name): each for each in read.attachment_list}

    assert specs["factur-x.xml"].content == DATA["xml"].encode()  # data is never read again
    assert specs["raw.bin"].content == b"\0\1\xff"
    if standard:  # which knows what a file is to the document
        assert str(specs["factur-x.xml"].associated_file_relationship) == "/Alternative"
    assert str(specs["factur-x.xml"].subtype) == "/text/xml"
    assert read.pages[0].extract_text() == "Invoice"


def test_such_a_file_keeps_its_standards(tmp_path: Path) -> None:
    path = tmp_path / "invoice.pdf"
    path.write_bytes(rendered(document(XML, BINARY), "pdf")[0])

    assert broken_rules([(path, "3b"), (path, "ua1")]) == [[], []]


def test_the_same_attachments_give_the_same_bytes() -> None:
    assert rendered(document(XML), "pdf")[0] == rendered(document(XML), "pdf")[0]


@pytest.mark.parametrize("target", ["docx", "xlsx"])
def test_other_targets_carry_none_and_say_so(target: Target) -> None:
    assert rendered(document(XML), target)[1].losses.counts["dropped"] == 1
    with pytest.raises(Unwritable, match="/output/pdf/attachments/0"):
        rendered(document(XML, strictness="error"), target)


def test_what_is_not_there_is_told_and_left_out() -> None:
    data, rendering = rendered(document(XML, data={}), "pdf")

    assert b"factur-x.xml" not in data
    assert "missing_value" in rendering.losses.counts


def test_attachments_are_limited_together() -> None:
    large = {"name": "a.txt", "mediaType": "text/plain", "text": {"path": "t"}}
    with pytest.raises(TooLarge) as caught:
        rendered(document(*[{**large, "name": f"{each}.txt"} for each in range(20)], data={"t": "x" * 900_000}), "pdf")

    assert caught.value.more["limit"] == "attachment_bytes"


def test_what_cannot_be_is_refused_with_its_place() -> None:
    here = "/output/pdf/attachments"

    assert problems(XML, standard=("a-2b",)) == [(f"{here}/0", "not_allowed")]
    assert problems(XML, {**BINARY, "name": "FACTUR-X.xml"}) == [(f"{here}/1/name", "not_allowed")]
    assert problems({**XML, "data": ""}) == [(f"{here}/0", "not_allowed")]
    assert problems({**BINARY, "data": "%%"}) == [(f"{here}/0/data", "bad_form")]
    assert problems({**XML, "text": "{{"}) == [(f"{here}/0/text", "bad_expression")]
    assert problems({**XML, "name": "../x"}) == [(f"{here}/0/name", "bad_form")]
    assert problems(*[XML] * 21) == [(here, "too_many")]
