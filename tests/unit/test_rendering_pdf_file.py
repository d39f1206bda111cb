"""A PDF is written while its pages are made."""

import gc
import io

import pypdf
from reportlab.pdfbase import pdfdoc

from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.domain.rendering.blocks import Meta, Page
from tests.unit.rendered import pdf, png, source, uri


def test_pages_that_are_finished_are_not_kept() -> None:
    gc.collect()  # what other tests have left
    sheets = Sheets(Meta())
    for number in range(1, 51):
        sheets.begin(Page(), number)
        sheets.box(10, 10, 10, 10, "#102030")
        sheets.end()
    kept = [each for each in gc.get_objects() if isinstance(each, pdfdoc.PDFPage | pdfdoc.PDFStream)]

    read = pypdf.PdfReader(io.BytesIO(b"".join(sheets.done())), strict=True)
    sheets.close()

    assert kept == []
    assert len(read.pages) == 50
    assert b"10.00 10.00 10.00 10.00 re f" in read.pages[49].get_contents().get_data()  # type: ignore[union-attr]


def test_an_image_of_two_sizes_on_several_pages_is_in_the_file_once() -> None:
    image = {"type": "image", "alt": "", "data": uri(png(4, 8))}
    body = [
        {**image, "width": "10mm"},
        {"type": "pageBreak"},
        {**image, "width": "20mm"},
        {"type": "pageBreak"},
        {**image, "width": "10mm"},
    ]

    read = pdf(source(*body))
    images = {
        number
        for number in range(1, len(read.xref[0]) + 1)
        if isinstance(each := read.get_object(number), pypdf.generic.StreamObject) and each.get("/Subtype") == "/Image"
    }

    assert len(images) == 1
    assert [len(page.images) for page in read.pages] == [1, 1, 1]


def test_what_is_drawn_at_the_end_is_in_its_place() -> None:
    footer = {"default": [{"type": "paragraph", "text": [{"field": "page"}, "/", {"field": "pages"}]}]}

    pages = pdf(source(*[{"type": "pageBreak"}] * 30, footer=footer)).pages

    assert [page.extract_text().strip() for page in pages] == [f"{number}/31" for number in range(1, 32)]
