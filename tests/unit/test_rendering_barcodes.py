"""Barcodes of every kind, read back by a reader that has no part in writing them."""

from typing import Any

import pytest

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.barcodes import SYMBOLOGIES
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import book, codes, images, page, pdf, pdf_text, rendered, source, word


def code(symbology: str, value: str, **more: Any) -> bytes:
    return source({"type": "barcode", "symbology": symbology, "value": value, "alt": "Code", **more}, data={"n": 7})


CODES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    # what is written, what a reader calls it and reads
    "qr": ("https://example.org/{{n}}", "QR Code", "https://example.org/7", {"errorCorrection": "Q"}),
    "qr in kanji": ("Zürich 日本", "QR Code", "Zürich 日本", {"size": "30mm"}),
    "datamatrix": ("Zürich 日本 {{n}}", "Data Matrix", "Zürich 日本 7", {"size": "20mm"}),
    "datamatrix of many": ("Ab1;" * 300, "Data Matrix", "Ab1;" * 300, {"size": "60mm"}),
    "pdf417": ("M1HEADWATER/{{n}} äöü", "PDF417", "M1HEADWATER/7 äöü", {"errorCorrection": "4", "width": "60mm"}),
    "pdf417 of many": ("0123456789" * 60, "PDF417", "0123456789" * 60, {"width": "150mm", "height": "50mm"}),
    "code128": ("HW-{{n}}/0001 ~x", "Code 128", "HW-7/0001 ~x", {}),
    "ean13": ("400638133393", "EAN-13", "4006381333931", {}),
    "ean13 with check digit": ("4006381333931", "EAN-13", "4006381333931", {"showText": False}),
    "ean8": ("9638507", "EAN-8", "96385074", {}),
    # the same bars as those of an EAN-13 that begins with 0
    "upca": ("03600029145", "EAN-13", "0036000291452", {}),
    "itf": ("0012345678901{{n}}", "ITF", "00123456789017", {"quietZone": 12}),
}


@pytest.mark.parametrize("name", CODES)
def test_a_code_on_a_page_and_in_packages_is_read_as_what_was_said(name: str) -> None:
    value, kind, text, more = CODES[name]
    data = code(name.split(" ")[0], value, **more)

    assert codes(page(data)) == [(kind, text)]
    assert [codes(image) for image in images(data, "docx")] == [[(kind, text)]]
    assert [codes(image) for image in images(data, "xlsx")] == [[(kind, text)]]


def test_all_symbologies_are_read_back() -> None:
    assert {name.split(" ")[0] for name in CODES} == set(SYMBOLOGIES)


def test_a_code_has_its_size_alternative_text_and_readable_text() -> None:
    data = code("ean13", "400638133393", width="40mm", height="25mm")

    shape = word(data).inline_shapes[0]

    assert (round(shape.width.mm), round(shape.height.mm), shape._inline.docPr.get("descr")) == (40, 25, "Code")
    assert pdf_text(data) == "4006381333931"
    assert pdf_text(code("ean13", "400638133393", showText=False)) == ""
    assert len(book(data).worksheets[0]._images) == 1
    assert not pdf(data).pages[0].images


def test_a_quiet_zone_is_left_round_a_code() -> None:
    wide, narrow = [images(code("qr", "x", quietZone=modules), "docx")[0] for modules in (10, 0)]

    assert narrow.getpixel((0, 0)) == 0
    assert wide.crop((0, 0, wide.width, wide.height // 6)).getextrema() == (255, 255)


@pytest.mark.parametrize(
    ("symbology", "value", "more", "wrong"),
    [
        ("ean13", "4006381333930", {}, "/body/0/value"),
        ("ean13", "40063813339", {}, "/body/0/value"),
        ("ean8", "9638507x", {}, "/body/0/value"),
        ("ean8", "٩638507", {}, "/body/0/value"),
        ("upca", "4006381333931", {}, "/body/0/value"),
        ("itf", "123", {}, "/body/0/value"),
        ("code128", "Zürich", {}, "/body/0/value"),
        ("code128", "a\nb", {}, "/body/0/value"),
        ("qr", "x", {"errorCorrection": "4"}, "/body/0/errorCorrection"),
        ("datamatrix", "x", {"errorCorrection": "M"}, "/body/0/errorCorrection"),
        ("qr", "x", {"showText": True}, "/body/0/showText"),
        ("qr", "x", {"size": "20mm", "width": "10mm"}, "/body/0/size"),
    ],
)
def test_what_a_symbology_cannot_say_is_refused_with_its_place(
    symbology: str, value: str, more: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check(code(symbology, value, **more))

    assert [problem.pointer for problem in refused.value.problems] == [wrong]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("symbology", "value"),
    [
        ("ean13", "{{n}}"),
        ("qr", "x" * 4000),
        ("datamatrix", "é日" * 1000),
        ("pdf417", "x" * 3000),
        ("code128", "{{none}}"),
    ],
)
def test_what_comes_of_data_and_is_no_code_is_refused(target: Target, symbology: str, value: str) -> None:
    with pytest.raises(Unwritable, match="bad_barcode"):
        rendered(code(symbology, value), target)


@pytest.mark.parametrize("target", TARGETS)
def test_codes_are_the_same_bytes_each_time(target: Target) -> None:
    assert rendered(code("ean8", "9638507"), target)[0] == rendered(code("ean8", "9638507"), target)[0]
