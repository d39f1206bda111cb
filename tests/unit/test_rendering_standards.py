"""PDF with tags and by the standards of archives, as independent readers and veraPDF see it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageOps

from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.charts import KINDS
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from bounded_contexts.documents.domain.rendering.standards import STANDARDS
from tests.unit.rendered import page, pdf, png, rendered, source, uri
from tests.unit.test_rendering_charts import MONTHS, chart, scatter
from tests.unit.test_rendering_targets import ALL, IMAGE
from tests.verapdf import broken_rules

TAGGED = {"pdf": {"tagged": True}}
CODES = ({"type": "barcode", "symbology": "ean13", "value": "4006381333931", "alt": "Article"},)
TEXT = {"type": "paragraph", "text": "Text"}


def golden(standards: list[str]) -> bytes:
    """All blocks, and what else is seen on a page."""
    document = json.loads(ALL)
    document["body"][1:1] = [{"type": "toc", "title": "Contents"}, *CODES]
    return json.dumps({**document, "output": {"pdf": {"standard": standards}}, "watermark": {"text": "COPY"}}).encode()


def scripts(standards: list[str]) -> bytes:
    words = ["مرحبا بالعالم", "שלום עולם", "नमस्ते क्षत्रिय", "สวัสดี", "你好，世界", "日本語", "한국어", "✓ ≤"]
    meta = {"title": "فاتورة", "language": "ar", "created": "2026-11-21T10:00:00Z"}
    return source(*[{**TEXT, "text": each} for each in words], meta=meta, output={"pdf": {"standard": standards}})


def charts(standards: list[str]) -> bytes:
    drawn = [scatter() if kind == "scatter" else chart(kind) for kind in KINDS]
    meta = {"title": "Charts", "language": "en", "created": "2026-11-21T10:00:00Z"}
    return source(*drawn, data={"months": MONTHS}, meta=meta, output={"pdf": {"standard": standards}})


def compound(standards: list[str]) -> bytes:
    """Blocks in blocks, references, notes, sections with columns and numbers of their own."""
    words = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt. " * 5
    note = {"footnote": ["Without ", {"text": "taxes", "bold": True}]}
    beside = [[{**TEXT, "text": "Annex"}], [{**TEXT, "text": ["page ", {"field": "page"}]}]]
    section = {
        "type": "section",
        "columns": 2,
        "restartPageNumbers": 11,
        "header": {
            "default": [{"type": "columns", "widths": ["1fr", "auto"], "items": beside}],
            "even": [{**TEXT, "text": "Even"}],
            "first": [],
        },
        "body": [
            {"type": "heading", "level": 2, "id": "prices", "text": ["Prices", note]},
            *[{**TEXT, "text": words}] * 30,
            {**TEXT, "text": "x" * 200},
        ],
    }
    return source(
        {"type": "heading", "level": 1, "text": "Compound"},
        {"type": "captions", "of": "image"},
        {**TEXT, "text": ["See page ", {"ref": "prices"}, note, ", H", {"text": "2", "sub": True}, "O"]},
        {"type": "group", "border": {}, "keepTogether": True, "body": [TEXT, {"type": "list", "items": ["a", "b"]}]},
        {"type": "columns", "items": [[TEXT], [{**IMAGE, "caption": "Dot"}]]},
        section,
        footer={"default": [{**TEXT, "text": [{"field": "page"}, " of ", {"field": "pages"}]}]},
        meta={"title": "Compound", "language": "en", "created": "2026-11-21T10:00:00Z"},
        output={"pdf": {"standard": standards}},
    )


def tags(data: bytes) -> Counter[str]:
    """How often each structure element occurs."""
    found: Counter[str] = Counter()

    def walk(node: Any) -> None:
        node = node.get_object()
        if isinstance(node, list):
            for each in node:
                walk(each)
        elif isinstance(node, dict):
            found.update([str(node.get("/S", ""))])
            walk(node.get("/K", 0)) if hasattr(node.get("/K", 0), "get_object") else None

    walk(pdf(data).trailer["/Root"]["/StructTreeRoot"])  # type: ignore[index]
    return found


def refused(*body: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        rendered(source(*body, **more), "pdf")
    return [(each.pointer, each.code) for each in caught.value.problems]


def test_every_profile_that_is_claimed_is_kept(tmp_path: Path) -> None:
    both = [["a-2a", "ua-1"], ["a-3b", "ua-1"]]
    documents = [
        (golden, [[each] for each in STANDARDS] + both),
        *[(make, both) for make in (scripts, charts, compound)],
    ]
    asked: list[tuple[Path, str]] = []
    for make, profiles in documents:
        for standards in profiles:
            path = tmp_path / f"{len(asked)}.pdf"
            path.write_bytes(rendered(make(standards), "pdf")[0])
            asked += [(path, "ua1" if each == "ua-1" else each.removeprefix("a-")) for each in standards]
    quick = tmp_path / "quick.pdf"
    quick.write_bytes(rendered(ALL, "pdf")[0])

    found = broken_rules([*asked, (quick, "2b"), (quick, "ua1")])

    assert found[:-2] == [[]] * len(asked)
    assert all(found[-2:])  # it would say so


def test_a_tagged_pdf_has_every_block_as_what_it_is() -> None:
    document = golden(["ua-1"])
    read, found = pdf(document), tags(document)
    pages = [page.extract_text() for page in read.pages]

    assert [page.mediabox.width > page.mediabox.height for page in read.pages] == [False, False, True]
    assert {name: found[f"/{name}"] for name in ("H1", "H2", "L", "LI", "Table", "TR", "TH", "Figure", "TOCI")} == {
        "H1": 1,
        "H2": 1,
        "L": 2,
        "LI": 4,
        "Table": 1,
        "TR": 5,
        "TH": 3,
        "Figure": 2,
        "TOCI": 2,
    }
    assert found.keys() >= {"/Code", "/BlockQuote", "/Link", "/TOC", "/Lbl", "/LBody"}
    assert "Head" not in pages[0]
    assert [text.count("Head & 2") for text in pages[1:]] == [1, 1]
    assert [f"Page {number} of 3 on 21 Nov 2026" in text for number, text in enumerate(pages, 1)] == [True] * 3
    for text in ("First", "Contents", "Plain bold here", "Lines of 2", "£1,539.80", "footer", "Quoted", "if x:"):
        assert text in pages[0]
    assert [text in pages[1] for text in ("two lines", "1 Pump", "2 =1+1")] == [True] * 3
    outline: Any = read.outline
    assert (outline[0].title, outline[1][0].title) == ("First", "Wide")
    assert read.metadata is not None
    assert (read.metadata.title, read.metadata.author) == ("T <2>", "A & B")
    assert str(read.metadata.creation_date) == "2026-11-21 10:00:00+00:00"
    links = [note.get_object().get("/A", {}).get("/URI") for note in read.pages[0]["/Annots"]]  # type: ignore[attr-defined]
    assert "https://example.org/x" in links
    assert read.trailer["/Root"]["/Lang"] == "en-GB"  # type: ignore[index]


def test_blocks_in_blocks_references_notes_and_sections() -> None:
    document = compound(["ua-1"])
    pages = [page.extract_text() for page in pdf(document).pages]
    found = tags(document)

    assert "See page 11" in pages[0]
    assert "Without taxes" in pages[0]
    assert pages[0].startswith("Compound\nDot")
    assert [text.rsplit("\n")[-1] for text in pages] == ["1 of 4", "11 of 4", "12 of 4", "13 of 4"]
    assert [text.startswith(("Even", "Annex")) for text in pages] == [False, False, True, True]
    assert (found["/Note"], found["/L"], found["/Figure"]) == (2, 1, 1)


def test_charts_are_figures_with_their_texts() -> None:
    assert tags(charts(["ua-1"]))["/Figure"] == len(KINDS)
    assert "February" in pdf(charts(["ua-1"])).pages[0].extract_text()


def test_the_header_of_a_table_is_on_each_of_its_pages() -> None:
    table = {"type": "table", "columns": [{"title": "Name"}], "rows": [[f"row {each}"] for each in range(90)]}
    pages = [page.extract_text() for page in pdf(source({**table, "footer": ["sum"]}, output=TAGGED)).pages]

    assert len(pages) == 3
    assert all(text.startswith("Name") for text in pages)
    assert [text.count("sum") for text in pages] == [0, 0, 1]


def test_cells_reach_over_others_and_hold_blocks() -> None:
    inner = {"type": "table", "columns": [{}], "rows": [["inner"]]}
    table = {
        "type": "table",
        "columns": [{"title": "A"}, {"title": "B"}],
        "headerRows": [[{"value": "both", "colSpan": 2}]],
        "rows": [
            [{"value": "tall", "rowSpan": 2}, "1"],
            ["2"],
            [{"blocks": [{"type": "list", "items": ["x"]}, inner]}],
        ],
    }
    document = source(table, output=TAGGED)

    assert tags(document)["/Table"] == 2
    assert tags(document)["/TH"] == 3
    text = pdf(document).pages[0].extract_text()
    assert all(each in text for each in ("both", "A", "B", "tall", "1", "2", "•", "x", "inner"))


def test_the_same_document_gives_the_same_bytes() -> None:
    assert rendered(golden(["a-2b"]), "pdf")[0] == rendered(golden(["a-2b"]), "pdf")[0]


def test_what_a_standard_forbids_is_refused_with_its_place() -> None:
    silent = {**IMAGE, "alt": " "}
    ua = {"output": {"pdf": {"standard": ["ua-1"]}}, "meta": {"title": "T", "language": "en"}}

    assert refused(TEXT, output=ua["output"]) == [
        ("/meta/language", "missing_property"),
        ("/meta/title", "missing_property"),
    ]
    assert refused(TEXT, output={"pdf": {"standard": ["a-2b", "a-3b"]}}) == [
        ("/meta/created", "missing_property"),
        ("/output/pdf/standard", "not_allowed"),
    ]
    assert refused({"type": "heading", "level": 2, "text": "Deep"}, silent, {**TEXT, "text": "\ue000"}, **ua) == [
        ("/body/0", "skipped_level"),
        ("/body/1", "missing_alt"),
        ("/body/2", "missing_glyph"),
    ]
    rendered(source(TEXT, header={"default": [silent]}, **ua), "pdf")  # nobody has a header read out


def test_titles_that_are_empty_once_filled_in_are_refused() -> None:
    meta = {"title": "{{nothing}}", "language": "en"}

    assert refused(TEXT, meta=meta, output={"pdf": {"standard": ["ua-1"]}}) == [("/meta/title", "missing_title")]


def test_long_documents_are_refused_by_a_limit() -> None:
    rows = {"type": "table", "columns": [{}], "rows": [["a"]] * 4}
    limits = RenderLimits(typeset_cells=3, typeset_characters=50, typeset_blocks=2)

    long = {**TEXT, "text": "a" * 60}

    for body, limit in ([rows], "cells"), ([long], "characters"), ([TEXT] * 3, "blocks"):
        with pytest.raises(TooLarge) as caught:
            rendered(source(*body, output=TAGGED), "pdf", limits)
        assert caught.value.more["limit"] == f"typeset_{limit}"


def test_rows_that_are_higher_than_a_page_go_on_over_pages() -> None:
    long = {"blocks": [{**TEXT, "text": f"paragraph {number} " + "word " * 40} for number in range(60)]}
    table = {
        "type": "table",
        "columns": [{"width": "20mm"}, {"width": "1fr"}],
        "rows": [["x", long], ["y", "a " * 6000]],
    }

    pages = [page.extract_text() for page in pdf(source(table, output=TAGGED)).pages]

    assert all(f"paragraph {number} " in " ".join(pages) for number in range(60))
    assert sum(text.count("a ") for text in pages) > 5900


def test_pages_that_cannot_be_are_refused() -> None:
    high = {"default": [{"type": "spacer", "height": "280mm"}]}

    with pytest.raises(Unwritable, match="no_room"):
        rendered(source(TEXT, header=high, output=TAGGED), "pdf")
    with pytest.raises(TooLarge):
        rendered(source(TEXT, {"type": "pageBreak"}, TEXT, output=TAGGED), "pdf", RenderLimits(pages=1))


@pytest.mark.parametrize("word", ["x" * 3_000, "https://example.org/" + "Maße" * 200])
def test_a_word_that_is_wider_than_a_line_is_broken_and_stays_a_word(word: str) -> None:
    table = {"type": "table", "rows": [[word[:90]]], "columns": [{"title": "a", "width": "30mm"}]}
    data = source({**TEXT, "text": f"before {word} after"}, table, output=TAGGED)

    seen = ImageOps.invert(page(data, 72).convert("L")).getbbox()
    text = "".join("".join([each.extract_text() for each in pdf(data).pages]).split())

    assert seen
    assert seen[2] <= 595 - 56  # points: the page and its margin
    assert text.startswith(f"before{word}after")


def test_texts_are_never_read_as_markup() -> None:
    odd = '#read("/etc/passwd") $x$ *a* _b_ `c` \\ @d <e> "f" //g [h] = i {j}'

    assert " ".join(pdf(source({**TEXT, "text": odd}, output=TAGGED)).pages[0].extract_text().split()) == odd


def test_images_that_cannot_be_decoded_are_refused() -> None:
    broken = {**IMAGE, "data": uri(png(4, 8)[:40])}

    with pytest.raises(Unwritable) as caught:
        rendered(source(broken, output=TAGGED), "pdf")
    assert caught.value.code == "bad_image"
