"""Backgrounds, watermarks and stamps of pages, as independent readers see them."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import pdf, png, rendered, source, uri, word
from tests.verapdf import broken_rules

TEXT = {"type": "paragraph", "text": "Body"}
RED, GREEN = png(40, 20, b"\xff\0\0"), png(4, 4, b"\0\xff\0")
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20" fill="#0000ff"/></svg>'
)
TAGGED: dict[str, Any] = {
    "output": {"pdf": {"standard": ["a-2a", "ua-1"]}},
    "meta": {"title": "x", "created": "2026-11-21T10:00:00Z", "language": "en"},
}
ENGINES = pytest.mark.parametrize("engine", [{}, TAGGED], ids=["quick", "tagged"])
THREE = (TEXT, {"type": "pageBreak"}, TEXT, {"type": "section", "page": {"orientation": "landscape"}, "body": [TEXT]})
PAPER = (595.28, 841.89)


def pages(data: bytes) -> list[Image.Image]:
    """Each page, a dot to a point."""
    return [page.render(scale=1).to_pil().convert("RGB") for page in pypdfium2.PdfDocument(rendered(data, "pdf")[0])]


def parts(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(rendered(data, "docx")[0])) as package:
        return {name: package.read(name).decode() for name in package.namelist() if name.endswith(".xml")}


def problems(**more: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        check(source(TEXT, **more))
    return [(each.pointer, each.code) for each in caught.value.problems]


@ENGINES
def test_a_background_is_the_whole_of_every_page(engine: Any) -> None:
    colored = pages(source(*THREE, background={"color": "#FFF0C0"}, **engine))
    pictured = pages(source(*THREE, background={"color": "#FFF0C0", "data": uri(GREEN)}, **engine))

    for page in colored:
        assert {page.getpixel(at) for at in ((1, 1), (page.width - 2, page.height - 2))} == {(255, 240, 192)}
    for page in pictured:
        assert {page.getpixel(at) for at in ((3, 3), (page.width - 4, page.height - 4))} == {(0, 255, 0)}
    assert [page.width > page.height for page in pictured] == [False, False, True]


@ENGINES
def test_an_image_is_a_watermark_below_the_text(engine: Any) -> None:
    mark = {"asset": "mark", "opacity": 0.5, "angle": 30, "when": {"path": "copy"}}
    more = {"assets": {"mark": {"mediaType": "image/png", "data": uri(RED).partition(",")[2]}}, "watermark": mark}
    found = pages(source(TEXT, data={"copy": True}, **more, **engine))[0]
    without = pages(source(TEXT, data={"copy": False}, **more, **engine))[0]

    middle = found.width // 2, found.height // 2
    assert found.getpixel(middle) == pytest.approx((255, 127, 127), abs=2)  # half of it, on white
    assert without.getpixel(middle) == (255, 255, 255)
    # 0.7 of the page's width, turned against the clock: its right end is above the middle, its left end is not
    assert found.getpixel((middle[0] + 170, middle[1] - 98)) != (255, 255, 255)
    assert found.getpixel((middle[0] - 170, middle[1] - 98)) == (255, 255, 255)


@ENGINES
def test_stamps_are_on_the_pages_that_they_say(engine: Any) -> None:
    stamps = [
        {"text": "{{word}}\nin full", "angle": 10, "right": "20mm", "y": "20mm"},
        {"text": "Opened", "pages": "first", "x": 20, "bottom": 20, "border": False, "color": "#0000AA"},
        {"data": uri(SVG.encode(), "svg+xml"), "pages": "last", "x": "50mm", "y": "50mm", "width": "40mm"},
    ]
    data = source(*THREE, stamps=stamps, data={"word": "Paid"}, **engine)
    texts = [page.extract_text() for page in pdf(data).pages]

    assert ["Paid in full" in text for text in texts] == [True] * 3
    assert ["Opened" in text for text in texts] == [True, False, False]
    at = round(60 / 25.4 * 72), round(55 / 25.4 * 72)
    assert [page.getpixel(at) == (0, 0, 255) for page in pages(data)] == [False, False, True]


def test_marks_are_no_part_of_what_is_read_out_and_kept_by_standards(tmp_path: Path) -> None:
    marks = {
        "background": {"color": "#FFF0C0", "data": uri(GREEN)},
        "watermark": {"data": uri(RED), "opacity": 0.2},
        "stamps": [{"text": "Paid"}, {"data": uri(RED), "pages": "last"}],
    }
    path = tmp_path / "marked.pdf"
    path.write_bytes(rendered(source(*THREE, **marks, **TAGGED), "pdf")[0])

    assert broken_rules([(path, "2a"), (path, "ua1")]) == [[], []]


def test_a_mark_is_in_the_file_once_for_a_size_of_paper() -> None:
    noise = bytes([each * 89 % 251 for each in range(3 * 40)])
    image = uri(png(40, 400, noise[:3]))
    one = len(rendered(source(TEXT, watermark={"data": image}), "pdf")[0])
    many = len(rendered(source(*[TEXT, {"type": "pageBreak"}] * 30, watermark={"data": image}), "pdf")[0])

    assert many < one + 30 * 1_000


def test_docx_has_marks_as_shapes_of_headers_and_of_the_text() -> None:
    marks = {
        "background": {"color": "#FFF0C0"},
        "watermark": {"data": uri(RED), "angle": 45},
        "stamps": [{"text": "Paid & done"}, {"text": "Top", "pages": "first"}, {"text": "End", "pages": "last"}],
    }
    data = source(*THREE, **marks)
    found = parts(data)
    headers = [xml for name, xml in found.items() if name.startswith("word/header")]
    body = found["word/document.xml"]

    assert len(headers) == 2  # a shape is as large as its paper
    assert [xml.count('behindDoc="1"') for xml in headers] == [2, 2]
    assert all("Paid &amp; done" in xml and 'rot="18900000"' in xml for xml in headers)
    assert {f"cx={width}" for xml in headers for width in re.findall(r'cx=("\d+")', xml)} >= {
        f'cx="{round(side * 12_700)}"' for side in PAPER
    }
    assert body.index("Top") < body.index("Body") < body.rindex("Body") < body.index("End")
    assert [each.text for each in word(data).paragraphs if each.text] == ["Body"] * 3


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_marks_give_the_same_bytes(target: Target) -> None:
    data = source(TEXT, background={"color": "#FFF0C0"}, watermark={"data": uri(RED)}, stamps=[{"text": "Paid"}])

    assert rendered(data, target)[0] == rendered(data, target)[0]


@pytest.mark.parametrize("mark", [{"text": "R&G COPY", "opacity": 0.5, "angle": 0}, {"data": uri(RED), "opacity": 0.5}])
def test_a_workbook_has_its_watermark_in_the_header(mark: Any) -> None:
    wide = {"type": "section", "page": {"orientation": "landscape"}, "body": [TEXT]}
    header = {"default": [{"type": "paragraph", "text": "R&G", "style": {"align": "center"}}]}
    data, rendering = rendered(source(TEXT, wide, TEXT, watermark=mark, header=header), "xlsx")

    with zipfile.ZipFile(io.BytesIO(data)) as package:
        papers = []
        for number in (1, 2):
            sheet = package.read(f"xl/worksheets/sheet{number}.xml").decode()
            assert "<oddHeader>&amp;C&amp;GR&amp;&amp;G</oddHeader>" in sheet
            assert "<legacyDrawingHF " in sheet
            shape = package.read(f"xl/drawings/vmlDrawing{number}.vml").decode()
            (width, height), *_ = re.findall(r"width:([\d.]+)pt;height:([\d.]+)pt", shape)
            papers.append((float(width), float(height)))
            image = Image.open(io.BytesIO(package.read(f"xl/media/image{number}.png")))
            lit = image.getchannel("A").point(lambda each: 255 * (each > 60)).getbbox()
            assert lit is not None
            left, top, right, bottom = lit
            assert (left + right) / 2 == pytest.approx(image.width / 2, abs=3)
            assert (top + bottom) / 2 == pytest.approx(image.height / 2, abs=3)
            assert right - left > 0.4 * image.width
        assert image.getchannel("A").getextrema() == (0, 128)
    height, width = PAPER[1], PAPER[0]
    edges = 2 * 21.6  # what the header is away from the paper's edge, above and below
    assert papers == [pytest.approx(each, abs=1) for each in ((width, height - edges), (height, width - edges))]
    assert ("approximated", "/watermark") in [(each.code, each.pointer) for each in rendering.losses.first]


def test_a_workbook_has_no_other_and_says_so() -> None:
    marks = {"background": {"color": "#FFF0C0"}, "watermark": {"data": uri(RED)}, "stamps": [{"text": "Paid"}]}
    told = [(each.pointer, each.code) for each in rendered(source(TEXT, **marks), "xlsx")[1].losses.first]

    assert told[:3] == [("/background", "dropped"), ("/watermark", "approximated"), ("/stamps/0", "dropped")]
    with pytest.raises(Unwritable, match="/background"):
        rendered(source(TEXT, strictness="error", **marks), "xlsx")


def test_the_first_page_of_a_document_that_begins_with_a_section_has_all_once() -> None:
    section = {"type": "section", "page": {"orientation": "landscape"}, "body": [TEXT]}
    footer = {"default": [{"type": "paragraph", "text": ["of ", {"field": "pages"}]}]}
    header = {"default": [{"type": "paragraph", "text": [{"text": "Head", "link": "https://example.org"}]}]}
    found = pdf(source(section, watermark={"text": "Copy"}, stamps=[{"text": "Paid"}], header=header, footer=footer))

    assert len(found.pages) == 1
    text = found.pages[0].extract_text()
    assert [text.count(each) for each in ("Copy", "Paid", "Head", "of 1")] == [1, 1, 1, 1]


def test_what_cannot_be_is_refused_with_its_place() -> None:
    image = uri(RED)

    assert problems(watermark={"angle": 3}) == [("/watermark", "not_allowed")]
    assert problems(watermark={"text": "x", "data": image}) == [("/watermark", "not_allowed")]
    assert problems(background={}) == [("/background", "missing_property")]
    assert problems(background={"asset": "none"}) == [("/background/asset", "unknown_asset")]
    assert problems(stamps=[{"text": "x"}, {"data": uri(b"GIF89a")}]) == [("/stamps/1/data", "bad_image")]
    assert problems(stamps=[{"text": "{{"}]) == [("/stamps/0/text", "bad_expression")]
    assert problems(stamps=[{"text": "x", "opacity": 0.5}]) == [("/stamps/0/opacity", "not_allowed")]
    assert problems(stamps=[{"text": "x", "x": 1, "right": 1, "y": 1, "bottom": 1}]) == [
        ("/stamps/0/bottom", "not_allowed"),
        ("/stamps/0/right", "not_allowed"),
    ]
    assert problems(stamps=[{"text": "x"}] * 21) == [("/stamps", "too_many")]
