"""Every block in every target, as independent readers see it."""

import io
import re
import zipfile
from datetime import datetime
from typing import Any

import pytest

from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from tests.unit.rendered import book, column, pdf, pdf_text, png, rendered, source, uri, word

LINES = {
    "lines": [{"name": "Pump", "qty": 2, "price": {"$decimal": "19.90"}}, {"name": "=1+1", "qty": 1000, "price": 1.5}]
}
MONEY = {"align": "right", "numberFormat": {"type": "currency", "currency": "GBP"}}
TABLE: dict[str, Any] = {
    "type": "table",
    "caption": "Lines of {{lines.length}}",
    "zebra": True,
    "rows": {"each": "lines", "as": "l"},
    "footer": ["footer"],
    "columns": [
        {"title": "Item", "width": "1fr", "value": {"path": "l.name"}, "totalText": "Total"},
        {"title": "Qty", "width": "auto", "value": {"path": "l.qty"}, "total": "max"},
        {
            "title": "Sum",
            "width": "30mm",
            "style": "money",
            "value": {"*": [{"path": "l.qty"}, {"path": "l.price"}]},
            "total": "sum",
            "formats": [{"when": {">": [{"path": "value"}, 1000]}, "style": {"bold": True, "color": "#AA0000"}}],
        },
    ],
    "xlsx": {"sheet": "Lines", "freeze": True, "autofilter": True},
}
IMAGE = {"type": "image", "alt": "A dot", "width": "10mm", "data": uri(png(4, 8))}
ALL = source(
    {"type": "heading", "level": 1, "text": "First"},
    {
        "type": "paragraph",
        "text": ["Plain ", {"text": "bold", "bold": True}, {"text": " here", "link": "https://example.org/x"}],
    },
    {"type": "list", "items": ["one", {"text": "two", "ordered": True, "start": 3, "items": ["a", "b"]}]},
    TABLE,
    IMAGE,
    {"type": "rule"},
    {"type": "spacer", "height": "5mm"},
    {"type": "quote", "text": "Quoted"},
    {"type": "code", "text": "if x:\n    y"},
    {"type": "pageBreak"},
    {"type": "if", "test": {"==": [{"path": "lines.length"}, 2]}, "then": [{"type": "paragraph", "text": "two lines"}]},
    {
        "type": "repeat",
        "each": "lines",
        "as": "l",
        "body": [{"type": "paragraph", "text": "{{loop.index}} {{l.name}}"}],
    },
    {
        "type": "section",
        "page": {"orientation": "landscape"},
        "body": [{"type": "heading", "level": 2, "text": "Wide"}],
    },
    data=LINES,
    locale="en-GB",
    styles={"money": MONEY},
    meta={
        "title": "T <{{lines.length}}>",
        "author": "A & B",
        "keywords": ["k"],
        "created": "2026-11-21T10:00:00Z",
        "language": "en-GB",
    },
    header={"default": [{"type": "paragraph", "text": "Head & {{lines.length}}"}, IMAGE], "first": []},
    footer={
        "default": [
            {
                "type": "paragraph",
                "style": {"align": "center"},
                "text": ["Page ", {"field": "page"}, " of ", {"field": "pages"}, " on ", {"field": "date"}],
            }
        ]
    },
)


def test_pdf_has_every_block() -> None:
    read = pdf(ALL)
    pages = [page.extract_text() for page in read.pages]

    assert [page.mediabox.width > page.mediabox.height for page in read.pages] == [False, False, True]
    assert "Head" not in pages[0]
    assert [text.count("Head & 2") for text in pages[1:]] == [1, 1]
    assert [f"Page {number} of 3 on 21 Nov 2026" in text for number, text in enumerate(pages, 1)] == [True] * 3
    for text in (
        "First",
        "Plain bold here",
        "• one",
        "3. a",
        "4. b",
        "Lines of 2",
        "Pump 2 £39.80",
        "=1+1 1000 £1,500.00",
        "Total 1000 £1,539.80",
        "footer",
        "Quoted",
        "if x:",
    ):
        assert text in pages[0]
    assert [text in pages[1] for text in ("two lines", "1 Pump", "2 =1+1")] == [True] * 3
    assert [image.image.size for image in read.pages[0].images if image.image] == [(4, 8)]
    assert [note.get_object()["/A"]["/URI"] for note in read.pages[0]["/Annots"]] == ["https://example.org/x"]  # type: ignore[attr-defined]
    outline: Any = read.outline
    assert (outline[0].title, outline[1][0].title) == ("First", "Wide")
    assert read.metadata is not None
    assert (read.metadata.title, read.metadata.author, read.metadata.creation_date_raw) == (
        "T <2>",
        "A & B",
        "D:20261121100000Z",
    )
    assert read.trailer["/Root"]["/Lang"] == "en-GB"  # type: ignore[index]


def test_pdf_embeds_parts_of_its_fonts_only() -> None:
    fonts = {
        str(font.get_object()["/BaseFont"]): "/FontFile2" in font.get_object()["/FontDescriptor"]
        for font in pdf(ALL).pages[0]["/Resources"]["/Font"].values()  # type: ignore[index]
        if "/FontDescriptor" in font.get_object()
    }

    assert all(fonts.values())
    assert all(re.match(r"/[A-Z]{6}\+", name) for name in fonts)
    assert len(rendered(ALL, "pdf")[0]) < 200_000


def test_docx_has_every_block() -> None:
    read = word(ALL)
    paragraphs = [(each.style.name, each.text) for each in read.paragraphs if each.text]
    table = read.tables[0]

    assert paragraphs == [
        ("Heading 1", "First"),
        ("Normal", "Plain bold here"),
        ("List Paragraph", "one"),
        ("List Paragraph", "two"),
        ("List Paragraph", "a"),
        ("List Paragraph", "b"),
        ("Caption", "Lines of 2"),
        ("Quote", "Quoted"),
        ("Code", "if x:\n    y"),
        ("Normal", "two lines"),
        ("Normal", "1 Pump"),
        ("Normal", "2 =1+1"),
        ("Heading 2", "Wide"),
    ]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["Item", "Qty", "Sum"],
        ["Pump", "2", "£39.80"],
        ["=1+1", "1000", "£1,500.00"],
        ["Total", "1000", "£1,539.80"],
        ["footer", "", ""],
    ]
    assert "<w:tblHeader/>" in table.rows[0]._tr.xml
    assert all("<w:cantSplit/>" in row._tr.xml for row in table.rows)
    assert [run.bold for run in read.paragraphs[1].runs] == [False, True]
    assert read.paragraphs[1].hyperlinks[0].address == "https://example.org/x"
    assert [section.orientation for section in read.sections] == [0, 1]
    assert read.sections[0].different_first_page_header_footer
    assert read.sections[0].header.paragraphs[0].text == "Head & 2"
    assert re.findall('w:instr="(.*?)"', read.sections[0].footer.paragraphs[0]._p.xml) == [" PAGE ", " NUMPAGES "]
    assert [round(each.width.mm) for each in read.inline_shapes] == [10]
    assert read.inline_shapes[0]._inline.docPr.get("descr") == "A dot"
    assert (read.core_properties.title, read.core_properties.author) == ("T <2>", "A & B")
    assert read.core_properties.created == datetime.fromisoformat("2026-11-21T10:00:00Z")


def test_docx_numbers_lists_by_definitions() -> None:
    with zipfile.ZipFile(io.BytesIO(rendered(ALL, "docx")[0])) as package:
        numbering, document = package.read("word/numbering.xml").decode(), package.read("word/document.xml").decode()

    assert re.findall(r'<w:ilvl w:val="(\d)"/><w:numId w:val="(\d)"/>', document) == [
        ("0", "1"),
        ("0", "1"),
        ("1", "2"),
        ("1", "2"),
    ]
    assert (
        '<w:num w:numId="2"><w:abstractNumId w:val="2"/><w:lvlOverride w:ilvl="1"><w:startOverride w:val="3"/>'
        in numbering
    )


def test_xlsx_has_every_block() -> None:
    read = book(ALL)
    first, lines, wide = read.worksheets

    assert [cell.value for cell in first["A"] if cell.value] == [
        "First",
        "Plain bold here",
        "• one",
        "• two",
        "3. a",
        "4. b",
    ]
    assert first["A2"].hyperlink.target == "https://example.org/x"
    assert (lines.title, lines.freeze_panes, lines.auto_filter.ref, lines.print_title_rows) == (
        "Lines",
        "A3",
        "A2:C4",
        "$2:$2",
    )
    assert [[cell.value for cell in row] for row in lines["A1:C6"]] == [
        ["Lines of 2", None, None],
        ["Item", "Qty", "Sum"],
        ["Pump", 2, 39.8],
        ["=1+1", 1000, 1500],
        ["Total", 1000, 1539.8],
        ["footer", None, None],
    ]
    assert [lines[name].data_type for name in ("A4", "B4", "C4")] == ["s", "n", "n"]
    assert (lines["C4"].number_format, lines["C4"].font.b, lines["C4"].font.color.rgb) == (
        "[$£]#,##0.00",
        True,
        "FFAA0000",
    )
    assert lines.column_dimensions["C"].width == pytest.approx(16.9, abs=0.2)
    assert [cell.value for cell in lines["A"][6:] if cell.value] == [
        "Quoted",
        "if x:\n    y",
        "two lines",
        "1 Pump",
        "2 =1+1",
    ]
    assert len(lines._images) == 1
    assert len(lines.row_breaks.brk) == 1
    assert (wide["A1"].value, wide.page_setup.orientation) == ("Wide", "landscape")
    assert first.oddFooter.center.text == "Page &P of &N on 21 Nov 2026"
    assert first.oddHeader.left.text == "Head && 2"
    assert (read.properties.title, read.properties.creator) == ("T <2>", "A & B")


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_document_is_the_same_bytes(target: Target) -> None:
    assert rendered(ALL, target)[0] == rendered(ALL, target)[0]


def test_what_a_target_drops_is_told_or_refused() -> None:
    losses = rendered(ALL, "xlsx")[1].losses

    assert {loss.detail for loss in losses.first if loss.code == "dropped"} == {
        "xlsx has no image in header or footer",
        "xlsx has no first header or footer",
    }
    with pytest.raises(Unwritable, match="dropped"):
        rendered(ALL.replace(b'"version"', b'"strictness": "error", "version"'), "xlsx")
    assert rendered(ALL, "pdf")[1].losses.total == 0


HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "<b>&amp;</b>",
    "</w:t>",
    "\\)Tj",
    "{{",
    "&L&P",
    "_x0041_",
    "]]>",
]


@pytest.mark.parametrize("target", TARGETS)
def test_data_is_text_whatever_it_begins_with(target: Target) -> None:
    data = source(
        {"type": "repeat", "each": "d", "as": "x", "body": [{"type": "paragraph", "text": "{{x}}"}]},
        {"type": "table", "columns": [{"value": {"path": "x"}}], "rows": {"each": "d", "as": "x"}},
        data={"d": HOSTILE},
    )

    match target:
        case "pdf":
            text = pdf_text(data)
            assert [text.count(each) >= 2 for each in HOSTILE] == [True] * len(HOSTILE)
        case "docx":
            read = word(data)
            assert [each.text for each in read.paragraphs if each.text] == HOSTILE
            assert [row.cells[0].text for row in read.tables[0].rows] == HOSTILE
        case "xlsx":
            # the reader leaves the escape of an escape as it stands
            assert [text.replace("_x005F_", "_") for text in column(data)] == HOSTILE * 2
            assert {cell.data_type for cell in book(data).worksheets[0]["A"]} <= {"s", "n"}


@pytest.mark.parametrize("target", TARGETS)
def test_links_out_of_data_keep_to_the_allowed_schemes(target: Target) -> None:
    data = source(
        {"type": "paragraph", "text": [{"text": "click", "link": "{{d}}"}]}, data={"d": "JavaScript:alert(1)"}
    )

    file, rendering = rendered(data, target)

    assert rendering.losses.counts["bad_link"] == 1
    assert b"alert" not in (file if target == "pdf" else b"".join(parts(file)))


def parts(file: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as package:
        return [package.read(name) for name in package.namelist()]


def test_control_characters_are_left_out() -> None:
    data = source({"type": "paragraph", "text": "a\x00b\x1bc\u202ed\tx\ny"}, data={})

    assert word(data).paragraphs[0].text.replace("\u202e", "") == "abcd\tx\ny"


def test_a_missing_glyph_is_told_and_never_a_box() -> None:
    data = source({"type": "paragraph", "text": "a \ue000\ue001 b → Ω"})

    assert rendered(data, "pdf")[1].losses.first[0].detail == "no font has U+E000, U+E001"
    assert pdf_text(data) == "a ?? b → Ω"
    with pytest.raises(Unwritable, match="missing_glyph"):
        rendered(source({"type": "paragraph", "text": "\ue000"}, strictness="error"), "pdf")


def test_pdf_tables_repeat_header_and_footer_and_keep_rows_whole() -> None:
    rows = [[f"row {number} begins\nrow {number} ends", number] for number in range(300)]
    columns = [{"title": "Text", "width": "1fr"}, {"title": "No", "width": "auto", "style": {"align": "right"}}]
    table = {"type": "table", "columns": columns, "rows": rows, "footer": ["carried"], "repeatFooter": True}

    pages = [page.extract_text() for page in pdf(source(table)).pages]

    assert len(pages) > 5
    assert all(text.startswith("Text No") and text.endswith("carried") for text in pages)
    assert all(text.count("begins") == text.count("ends") for text in pages)
    assert sum(text.count("ends") for text in pages) == 300


def test_pdf_keeps_headings_with_what_follows() -> None:
    body = [
        block
        for number in range(60)
        for block in (
            {"type": "heading", "level": 2, "text": f"H{number}"},
            {"type": "paragraph", "text": "word " * 60},
        )
    ]

    for page in pdf(source(*body)).pages:
        assert not re.search(r"H\d+$", page.extract_text())


def test_pdf_says_the_number_of_pages_in_its_body() -> None:
    data = source({"type": "paragraph", "text": ["of ", {"field": "pages"}]}, *[{"type": "pageBreak"}] * 11)

    assert pdf_text(data).strip() == "of 12"


TOC = source(
    {"type": "toc", "title": "Contents", "levels": [1, 2]},
    {"type": "pageBreak"},
    {"type": "heading", "level": 1, "text": "One {{n}}"},
    *[{"type": "pageBreak"}] * 10,
    {"type": "heading", "level": 2, "text": "Two"},
    {"type": "heading", "level": 3, "text": "Three"},
    data={"n": 1},
)


def test_pdf_lists_headings_with_their_pages_and_leads_there() -> None:
    read = pdf(TOC)
    lines = [re.sub(r"[ .]{3,}", " ", line) for line in read.pages[0].extract_text().splitlines()]
    leads = [note.get_object()["/Dest"][0].idnum for note in read.pages[0]["/Annots"]]  # type: ignore[attr-defined]
    numbers = {
        page.indirect_reference.idnum: number for number, page in enumerate(read.pages) if page.indirect_reference
    }

    assert lines == ["Contents", "One 1 2", "Two 12"]
    assert [numbers[each] for each in leads] == [1, 11]


def test_docx_lists_headings_in_a_field_that_says_their_pages() -> None:
    read = word(TOC)

    assert [each.text for each in read.paragraphs[:3]] == ["Contents", "One 1\t2", "Two\t12"]
    assert ' TOC \\o "1-2" \\h ' in read.paragraphs[1]._p.xml
    assert read.paragraphs[1].hyperlinks[0].fragment == "_Toc1"
    assert 'w:name="_Toc1"' in read.paragraphs[5]._p.xml


def test_xlsx_lists_headings() -> None:
    assert column(TOC)[:3] == ["Contents", "One 1", "Two"]


def test_a_watermark_is_below_every_page_where_its_condition_holds() -> None:
    mark = {"text": "COPY {{n}}", "when": {"path": "copy"}, "opacity": 0.2}
    data = {"n": 1, "copy": True}
    body = [{"type": "paragraph", "text": "text"}, {"type": "pageBreak"}, {"type": "paragraph", "text": "text"}]

    pages = [page.extract_text() for page in pdf(source(*body, watermark=mark, data=data)).pages]
    without = pdf_text(source(*body, watermark=mark, data={**data, "copy": False}))

    assert ["COPY 1" in text for text in pages] == [True, True]
    assert "COPY" not in without


def test_a_header_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(Unwritable, match="no_room"):
        rendered(source(header={"default": [{"type": "spacer", "height": "28cm"}]}), "pdf")


def test_lines_are_no_wider_than_the_page() -> None:
    widest: list[float] = []
    data = source(
        {
            "type": "paragraph",
            "style": {"align": "justify"},
            "text": ["wörd " * 50, "x" * 900, {"text": " big" * 40, "size": 30}],
        }
    )

    for page in pdf(data).pages:
        page.extract_text(visitor_text=lambda text, cm, tm, font, size: widest.append(float(tm[4])))

    assert max(widest) < 595.28 - 51.02


def test_xlsx_keeps_kinds_and_what_does_not_fit_as_text() -> None:
    values = [True, 12345678901234567890, {"path": "day"}, {"path": "time"}, None, "1e5"]
    data = source(
        {"type": "table", "columns": [{}] * 6, "rows": [values]},
        data={"day": {"$date": "2026-11-21"}, "time": {"$datetime": "2026-11-21T10:00:00+01:00"}},
    )

    cells = [cell.value for cell in book(data).worksheets[0][1]]

    assert cells == [
        True,
        "12345678901234567890",
        datetime.fromisoformat("2026-11-21"),
        "2026-11-21T10:00:00+01:00",
        None,
        "1e5",
    ]
    assert rendered(data, "xlsx")[1].losses.counts["number_as_text"] == 1


def test_styles_extend_each_other_and_the_built_in_ones() -> None:
    data = source(
        {"type": "heading", "level": 1, "text": "a"},
        {"type": "paragraph", "text": "b", "style": "big"},
        styles={
            "base": {"size": 8},
            "heading1": {"italic": True},
            "big": {"extends": "huge", "bold": True},
            "huge": {"size": 40},
        },
    )

    runs = [each.runs[0] for each in word(data).paragraphs]

    assert [(run.font.size.pt, run.bold, run.italic) for run in runs] == [(20, True, True), (40, True, None)]


def test_docx_has_no_table_without_a_row() -> None:
    data = source(
        {"type": "table", "columns": [{}], "rows": []}, {"type": "table", "columns": [{"title": "x"}], "rows": []}
    )

    assert [len(table.rows) for table in word(data).tables] == [1]


@pytest.mark.parametrize("target", TARGETS)
def test_an_empty_document_is_a_file(target: Target) -> None:
    file = rendered(source(), target)[0]

    assert file.startswith(b"%PDF" if target == "pdf" else b"PK")
