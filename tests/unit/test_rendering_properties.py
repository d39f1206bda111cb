"""What files say of themselves, as independent readers see it."""

import io
import zipfile
from datetime import datetime
from typing import Any

import openpyxl
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from lxml import etree
from pypdf.generic import StreamObject

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import pdf, rendered, source, word

TEXT = {"type": "paragraph", "text": "Body"}
META: dict[str, Any] = {
    "title": "A <b> & c",
    "author": "Ä",
    "keywords": ["x", "y"],
    "language": "en-GB",
    "created": "2026-11-21T10:00:00Z",
    "properties": {
        "Order": {"path": "no"},
        "Weight": {"path": "kg"},
        "Customer": "{{name}} & Co",
        "Paid": True,
        "Due": {"path": "due"},
        "Big": {"path": "big"},
        "None": {"path": "nothing"},
    },
}
DATA = {
    "no": 17,
    "kg": {"$decimal": "1.50"},
    "name": "=A<",
    "due": {"$date": "2026-12-01"},
    "big": 12345678901234567890,
    "nothing": None,
}
DOCUMENT = source(TEXT, meta=META, data=DATA)
TAGGED = {"pdf": {"tagged": True}}


def test_pdf_has_them_in_its_information_and_as_xmp() -> None:
    read = pdf(DOCUMENT)
    info: Any = read.metadata
    own = {name: info[f"/{name}"] for name in ("Order", "Weight", "Customer", "Paid", "Due", "Big")}
    packet: Any = read.trailer["/Root"]["/Metadata"]  # type: ignore[index]
    said = read.xmp_metadata

    assert own == {
        "Order": "17",
        "Weight": "1.5",
        "Customer": "=A< & Co",
        "Paid": "true",
        "Due": "2026-12-01T00:00:00",
        "Big": "12345678901234567890",
    }
    assert (info.title, info.author) == ("A <b> & c", "Ä")
    assert info["/CreationDate"] == "D:20261121100000Z"
    assert isinstance(packet, StreamObject)
    assert str(packet["/Subtype"]) == "/XML"
    assert packet.get("/Filter", []) == []  # whoever looks for it reads it as it is
    assert said is not None
    assert (said.dc_title, said.dc_creator, said.dc_subject) == ({"x-default": "A <b> & c"}, ["Ä"], ["x", "y"])
    assert (said.pdf_keywords, said.dc_language) == ("x, y", ["en-GB"])
    assert said.xmp_create_date == datetime(2026, 11, 21, 10)  # noqa: DTZ001  the reader's way
    assert said.custom_properties == {name: value.rstrip() for name, value in own.items()}


def test_docx_has_them_with_their_types() -> None:
    with zipfile.ZipFile(io.BytesIO(rendered(DOCUMENT, "docx")[0])) as package:
        root = etree.fromstring(package.read("docProps/custom.xml"))
    found = {each.attrib["name"]: (each[0].tag.rpartition("}")[2], each[0].text) for each in root}

    assert found == {
        "Order": ("i4", "17"),
        "Weight": ("r8", "1.5"),
        "Customer": ("lpwstr", "=A< & Co"),
        "Paid": ("bool", "true"),
        "Due": ("filetime", "2026-12-01T00:00:00Z"),
        "Big": ("lpwstr", "12345678901234567890"),
    }
    assert [each.attrib["pid"] for each in root] == ["2", "3", "4", "5", "6", "7"]
    package_part: Any = word(DOCUMENT).part.package
    assert RELATIONSHIP_TYPE.CUSTOM_PROPERTIES in [each.reltype for each in package_part.rels.values()]


def test_xlsx_has_them_with_their_types() -> None:
    read: Any = openpyxl.load_workbook(io.BytesIO(rendered(DOCUMENT, "xlsx")[0]))

    assert {each.name: each.value for each in read.custom_doc_props.props} == {
        "Language": "en-GB",
        "Order": 17,
        "Weight": 1.5,
        "Customer": "=A< & Co",
        "Paid": True,
        "Due": datetime(2026, 12, 1),  # noqa: DTZ001
        "Big": "12345678901234567890",
    }


def test_a_tagged_pdf_has_none_and_says_so() -> None:
    told = rendered(source(TEXT, meta=META, data=DATA, output=TAGGED), "pdf")[1].losses

    assert told.counts["dropped"] == 1
    with pytest.raises(Unwritable, match="custom properties"):
        rendered(source(TEXT, meta=META, data=DATA, output=TAGGED, strictness="error"), "pdf")


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_properties_give_the_same_bytes_and_no_part_without_them(target: Target) -> None:
    assert rendered(DOCUMENT, target)[0] == rendered(DOCUMENT, target)[0]
    if target == "docx":
        with zipfile.ZipFile(io.BytesIO(rendered(source(TEXT), target)[0])) as package:
            assert "docProps/custom.xml" not in package.namelist()


def test_what_cannot_be_is_refused_with_its_place() -> None:
    wrong = {"Title": "x", "language": 1, "Total": {"sumo": [1]}, "Text": "{{"}
    with pytest.raises(Invalid) as caught:
        check(source(TEXT, meta={"properties": wrong}))

    assert {(each.pointer, each.code) for each in caught.value.problems} == {
        ("/meta/properties/Title", "not_allowed"),
        ("/meta/properties/language", "not_allowed"),
        ("/meta/properties/Total", "bad_expression"),
        ("/meta/properties/Text", "bad_expression"),
    }
    with pytest.raises(Invalid, match="bad_form"):
        check(source(TEXT, meta={"properties": {"a b": 1}}))


@pytest.mark.parametrize("target", TARGETS)
def test_a_text_is_no_longer_than_programs_take(target: Target) -> None:
    with pytest.raises(TooLarge) as caught:
        rendered(source(TEXT, meta={"properties": {"a": "{{x}}"}}, data={"x": "y" * 256}), target)

    assert caught.value.more["limit"] == "property_characters"
