"""Groups, columns, partials, references, footnotes and sections, as independent readers see them."""

import io
import json
import re
import zipfile
from typing import Any

import pytest

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import book, column, pdf, pdf_text, png, rendered, source, uri, word


def paragraph(text: Any, **more: Any) -> dict[str, Any]:
    return {"type": "paragraph", "text": text, **more}


def texts(page: Any) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}

    def visit(text: str, cm: Any, tm: Any, font: Any, size: Any) -> None:
        for line in text.strip().splitlines():
            found.setdefault(line, (cm[4] + tm[4], cm[5] + tm[5]))

    page.extract_text(visitor_text=visit)
    return found


def parts(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(rendered(data, "docx")[0])) as package:
        return {name: package.read(name).decode() for name in package.namelist() if name.endswith((".xml", ".rels"))}


COLUMNS = source(
    {
        "type": "columns",
        "widths": ["60mm", "1fr"],
        "gap": "10mm",
        "items": [
            [paragraph("From"), {"type": "list", "items": ["one"]}],
            [paragraph("To"), {"type": "table", "columns": [{}], "rows": [["cell"]]}],
        ],
    },
    paragraph("below"),
)


def test_columns_stand_side_by_side() -> None:
    found = texts(pdf(COLUMNS).pages[0])
    table = word(COLUMNS).tables[0]

    assert found["From"][1] == found["To"][1]
    assert found["To"][0] - found["From"][0] == pytest.approx((60 + 10) * 72 / 25.4, abs=0.1)
    assert found["below"][1] < min(found["one"][1], found["cell"][1])
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["From\none", "To\n"]]
    assert table.rows[0].cells[1].tables[0].rows[0].cells[0].text == "cell"
    assert column(COLUMNS) == ["From", "• one", "To", "cell", "below"]


def test_columns_that_are_higher_than_a_page_go_on_side_by_side() -> None:
    items = [[paragraph(f"{side}{number}") for number in range(count)] for side, count in (("a", 100), ("b", 30))]

    pages = [page.extract_text() for page in pdf(source({"type": "columns", "items": items}, paragraph("end"))).pages]

    assert [int(each) for each in re.findall(r"a(\d+)", "\n".join(pages))] == list(range(100))
    assert [int(each) for each in re.findall(r"b(\d+)", pages[0])] == list(range(30))
    assert pages[-1].endswith("end")


GROUP: dict[str, Any] = {
    "type": "group",
    "border": {"color": "#112233", "thickness": 1},
    "background": "#EEDDCC",
    "keepTogether": True,
    "body": [paragraph("first"), paragraph("middle"), paragraph("last")],
}


def test_a_group_has_a_frame() -> None:
    content = pdf(source(GROUP)).pages[0].get_contents()
    cell = word(source(GROUP)).tables[0].rows[0].cells[0]

    assert content is not None
    assert re.search(rb"0\.933 0\.867 0\.8 rg .* re f\n0\.0667 0\.133 0\.2 RG 1\.00 w .* re S\n", content.get_data())
    assert [each.text for each in cell.paragraphs] == ["first", "middle", "last"]
    assert 'w:fill="EEDDCC"' in cell._tc.xml
    assert column(source(GROUP)) == ["first", "middle", "last"]


def test_a_group_is_kept_together() -> None:
    before = [paragraph(f"line {number}") for number in range(38)]
    body = [paragraph(text) for text in ("first", "a", "b", "c", "d", "last")]

    def of(**more: Any) -> list[str]:
        return [page.extract_text() for page in pdf(source(*before, {**GROUP, "body": body, **more})).pages]

    assert of()[1] == "first\na\nb\nc\nd\nlast"
    assert ["first" in text for text in of(keepTogether=False)] == [True, False]
    kept = word(source({"type": "group", "keepTogether": True, "body": GROUP["body"]}))
    assert [each.paragraph_format.keep_with_next for each in kept.paragraphs] == [True, True, None]


def test_a_group_that_is_higher_than_a_page_has_a_frame_on_each() -> None:
    body = [paragraph(f"line {number}") for number in range(100)]

    pages = pdf(source(paragraph("above"), {**GROUP, "body": body})).pages

    assert [
        int(each) for each in re.findall(r"line (\d+)", "\n".join([page.extract_text() for page in pages]))
    ] == list(range(100))
    assert all(b" re S" in page.get_contents().get_data() for page in pages)  # type: ignore[union-attr]


def test_partials_are_included_with_values() -> None:
    data = source(
        {"type": "include", "partial": "address", "with": {"who": {"path": "buyer"}, "title": "Buyer"}},
        {"type": "include", "partial": "address", "with": {"who": {"path": "seller"}, "title": "Seller"}},
        partials={
            "address": [paragraph("{{title}}"), {"type": "include", "partial": "name"}],
            "name": [paragraph("{{who.name}}")],
        },
        data={"buyer": {"name": "Ann"}, "seller": {"name": "Bob"}},
    )

    assert pdf_text(data).splitlines() == column(data) == ["Buyer", "Ann", "Seller", "Bob"]
    assert [each.text for each in word(data).paragraphs] == ["Buyer", "Ann", "Seller", "Bob"]


NOTES = source(
    paragraph(["Water", {"footnote": ["H", {"text": "2", "sub": True}, "O"]}, " and fire", {"footnote": "Hot."}]),
    paragraph("text"),
)


def test_footnotes_stand_at_the_foot_of_their_page() -> None:
    found = texts(pdf(NOTES).pages[0])
    xml = parts(NOTES)

    assert 56 < found["Hot."][1] < found["O"][1] < 120
    assert found["text"][1] > 700
    assert re.findall(r'<w:footnoteReference w:id="(\d)"/>', xml["word/document.xml"]) == ["1", "2"]
    notes = re.findall(r'<w:footnote w:id="\d">(.*?)</w:footnote>', xml["word/footnotes.xml"])
    assert [re.sub("<[^>]*>", "", note) for note in notes] == [" H2O", " Hot."]
    assert '<w:vertAlign w:val="subscript"/>' in notes[0]
    assert "footnotes.xml" in xml["[Content_Types].xml"]
    assert "footnotes.xml" in xml["word/_rels/document.xml.rels"]
    assert column(NOTES) == ["Water1 and fire2", "text", "1 H2O", "2 Hot."]


def test_footnotes_are_on_the_page_that_has_their_mark() -> None:
    body = [paragraph([f"line {number}", {"footnote": f"about {number}"}]) for number in range(80)]

    pages = [page.extract_text() for page in pdf(source(*body)).pages]

    assert len(pages) > 3
    for page in pages:
        assert page.count("line") == page.count("about") > 0
    assert len(re.findall("about", "\n".join(pages))) == 80


def test_a_footnote_longer_than_a_page_goes_on() -> None:
    note = "\n".join([f"word {number}" for number in range(120)])

    pages = [page.extract_text() for page in pdf(source(paragraph(["x", {"footnote": note}]))).pages]

    assert len(pages) > 1
    assert [int(each) for each in re.findall(r"word (\d+)", "\n".join(pages))] == list(range(120))


def test_footnotes_of_cells_and_columns_are_at_the_foot_too() -> None:
    noted = paragraph(["x", {"footnote": "of a column"}])
    cell = {"blocks": [paragraph(["y", {"footnote": "of a cell"}])]}
    data = source(
        {"type": "columns", "items": [[noted], [paragraph("z")]]}, {"type": "table", "columns": [{}], "rows": [[cell]]}
    )

    found = texts(pdf(data).pages[0])

    assert found["of a cell"][1] < found["of a column"][1] < 100
    assert column(data) == ["x1", "z", "y2", "1 of a column", "2 of a cell"]


REFERENCES = source(
    paragraph(
        [
            "See ",
            {"ref": "parts", "show": "title"},
            " on page ",
            {"ref": "parts"},
            ", or ",
            {"text": "the image", "link": "#dot"},
        ]
    ),
    *[{"type": "pageBreak"}] * 3,
    {"type": "heading", "level": 1, "text": "Parts of it", "id": "parts"},
    {"type": "image", "alt": "", "data": uri(png(4, 4)), "caption": "A dot", "id": "dot"},
)


def test_references_say_pages_and_titles_and_lead_there() -> None:
    read = pdf(REFERENCES)
    numbers = {
        page.indirect_reference.idnum: number for number, page in enumerate(read.pages) if page.indirect_reference
    }
    leads = [note.get_object()["/Dest"][0].idnum for note in read.pages[0]["/Annots"]]  # type: ignore[attr-defined]
    xml = parts(REFERENCES)["word/document.xml"]
    sheet = book(REFERENCES).worksheets[0]

    assert read.pages[0].extract_text() == "See Parts of it on page 4, or the image"
    assert [numbers[each] for each in leads] == [3, 3, 3]
    assert re.search(r'w:instr=" PAGEREF ref_parts \\h "><w:r>.*?>4</w:t>', xml)
    assert 'w:anchor="ref_dot"' in xml
    assert re.search(r'w:name="ref_parts"/>.*?Parts of it.*?<w:bookmarkEnd', xml)
    assert 'w:name="ref_dot"' in xml
    assert sheet["A1"].value == "See Parts of it on page Parts of it, or the image"
    assert sheet["A1"].hyperlink.location == "ref_parts"
    assert book(REFERENCES).defined_names["ref_parts"].attr_text == "'Sheet1'!$A$2"


CAPTIONS = source(
    {"type": "captions", "of": "table", "title": "Tables"},
    {"type": "captions", "of": "image", "title": "Figures"},
    {"type": "pageBreak"},
    {"type": "table", "caption": "Prices", "columns": [{}], "rows": [[1]]},
    {"type": "pageBreak"},
    {"type": "columns", "items": [[{"type": "image", "alt": "", "data": uri(png(4, 4)), "caption": "A dot"}], []]},
)


def test_captions_are_listed() -> None:
    lines = [re.sub(r"[ .]{3,}", " ", line) for line in pdf(CAPTIONS).pages[0].extract_text().splitlines()]
    paragraphs = [(each.style.name, each.text) for each in word(CAPTIONS).paragraphs if each.text]

    assert lines == ["Tables", "Prices 2", "Figures", "A dot 3"]
    assert [text for _, text in paragraphs] == ["Tables", "Prices\t2", "Figures", "A dot\t3", "Prices"]
    assert ("Caption", "Prices") in paragraphs
    assert r' TOC \h \z \t "Figure Caption,1" ' in parts(CAPTIONS)["word/document.xml"]
    assert column(CAPTIONS)[:4] == ["Tables", "Prices", "Figures", "A dot"]


SECTIONS = source(
    paragraph("cover"),
    {
        "type": "section",
        "header": {"default": [paragraph("Chapter")], "first": [paragraph("Opening")]},
        "restartPageNumbers": 1,
        "columns": 2,
        "body": [paragraph(f"line {number}") for number in range(130)],
    },
    paragraph("appendix"),
    header={"default": [paragraph("Book")], "even": [paragraph("Even book")], "first": []},
    footer={
        "default": [
            {
                "type": "columns",
                "items": [[paragraph("left")], [paragraph(["Page ", {"field": "page"}, "/", {"field": "pages"}])]],
            }
        ]
    },
)


def test_sections_have_their_own_headers_columns_and_page_numbers_in_pdf() -> None:
    pages = pdf(SECTIONS).pages
    shown = [texts(page) for page in pages]

    assert [[word for word in ("Book", "Even book", "Opening", "Chapter") if word in found] for found in shown] == [
        [],
        ["Opening"],
        ["Chapter"],
        ["Book"],
    ]
    assert [re.search(r"Page (\d)", page.extract_text())[1] for page in pages] == ["1", "1", "2", "3"]  # type: ignore[index]
    lefts = {round(x) for text, (x, _) in shown[1].items() if text.startswith("line")}
    assert len(lefts) == 2
    places = [(round(x), round(y)) for text, (x, y) in shown[1].items() if text.startswith("line")]
    assert len(set(places)) == len(places)
    assert len({max(y for x, y in places if x == left) for left in lefts}) == 1


def test_a_paragraph_goes_on_in_the_next_column() -> None:
    lines = "\n".join([f"line {number}" for number in range(90)])
    document = source({"type": "section", "columns": 2, "body": [paragraph(lines)]})

    places = texts(pdf(document).pages[0])

    assert len({round(x) for x, _ in places.values()}) == 2
    assert len({(round(x), round(y)) for x, y in places.values()}) == len(places)


def test_sections_have_their_own_headers_columns_and_page_numbers_in_docx() -> None:
    sections = word(SECTIONS).sections

    assert [section.header.paragraphs[0].text for section in sections] == ["Book", "Chapter", "Book"]
    assert [section.even_page_header.paragraphs[0].text for section in sections] == [
        "Even book",
        "Chapter",
        "Even book",
    ]
    assert [section.first_page_header.paragraphs[0].text for section in sections[:2]] == ["", "Opening"]
    assert [section.different_first_page_header_footer for section in sections] == [True, True, False]
    assert sections[0].first_page_footer.tables[0].rows[0].cells[1].text == "Page /"  # the reader leaves fields out
    assert 'w:num="2"' in sections[1]._sectPr.xml
    assert '<w:pgNumType w:start="1"/>' in sections[1]._sectPr.xml
    assert "evenAndOddHeaders" in parts(SECTIONS)["word/settings.xml"]


def test_even_headers_of_a_later_section_take_none_from_those_before_in_docx() -> None:
    later = {"type": "section", "header": {"even": [paragraph("Even")]}, "body": [paragraph("b")]}
    sections = word(source(paragraph("a"), later, header={"default": [paragraph("Book")]})).sections

    assert [section.even_page_header.paragraphs[0].text for section in sections][:2] == ["Book", "Even"]


def test_sections_are_sheets_with_their_own_headers_in_xlsx() -> None:
    sheets = book(SECTIONS).worksheets

    assert [sheet.oddHeader.left.text for sheet in sheets] == ["Book", "Chapter", "Book"]
    assert [sheet.page_setup.useFirstPageNumber for sheet in sheets] == [None, True, None]
    assert (sheets[0].oddFooter.left.text, sheets[0].oddFooter.right.text) == ("left", "Page &P/&N")


def test_a_watermark_is_a_shape_of_each_header_in_docx() -> None:
    data = source(paragraph("x"), watermark={"text": "A & B", "angle": 30}, header={"first": [paragraph("h")]})

    headers = [xml for name, xml in parts(data).items() if name.startswith("word/header")]

    assert len(headers) == 2
    assert all('string="A &amp; B"' in xml and "rotation:330" in xml for xml in headers)
    assert [each.text for each in word(data).sections[0].first_page_header.paragraphs] == ["h", ""]


def test_runs_stand_lower_and_higher_and_break() -> None:
    data = source(paragraph(["H", {"text": "2", "sub": True}, "O", {"break": True}, "x", {"text": "n", "sup": True}]))
    found = texts(pdf(data).pages[0])
    runs = word(data).paragraphs[0].runs

    assert found["2"][1] < found["H"][1] < found["H"][1] + 1
    assert found["n"][1] > found["x"][1]
    assert [run.font.subscript or run.font.superscript or False for run in runs] == [
        False,
        True,
        False,
        False,
        False,
        True,
    ]
    assert word(data).paragraphs[0].text == "H2O\nxn"
    assert book(data).worksheets[0]["A1"].value == "H2O\nxn"


def test_what_refers_to_nothing_is_told_with_its_place() -> None:
    with pytest.raises(Invalid) as refused:
        check(
            source(
                paragraph([{"ref": "none"}, {"link": "#gone"}, {"footnote": [{"footnote": "x"}]}]),
                {"type": "include", "partial": "nowhere", "with": {"a": {"nope": 1}}},
                {"type": "columns", "widths": ["1fr"], "items": [[], []]},
                header={"default": [paragraph([{"footnote": "x"}])]},
                partials={"a": [{"type": "include", "partial": "b"}], "b": [{"type": "include", "partial": "a"}]},
            )
        )

    assert {problem.pointer: problem.code for problem in refused.value.problems} == {
        "/body/0/text/0/ref": "unknown_id",
        "/body/0/text/1/link": "unknown_id",
        "/body/0/text/2/footnote/0/footnote": "not_allowed",
        "/body/1/partial": "unknown_partial",
        "/body/1/with/a": "bad_expression",
        "/body/2/widths": "not_allowed",
        "/header/default/0/text/0/footnote": "not_allowed",
        "/partials/a": "include_circle",
        "/partials/b": "include_circle",
    }


def test_a_reference_to_what_its_condition_left_out_is_told() -> None:
    data = source(
        paragraph([{"ref": "a"}, {"text": "there", "link": "#a"}]),
        {"type": "if", "test": False, "then": [{"type": "heading", "level": 1, "text": "A", "id": "a"}]},
    )

    losses = rendered(data, "pdf")[1].losses

    assert pdf_text(data) == "?there"
    assert losses.counts == {"missing_value": 1, "bad_link": 1}


def tagged(data: bytes) -> list[str]:
    """The pages by the engine of standards."""
    document = json.loads(data)
    document["output"] = {"pdf": {"standard": ["a-2b"]}}
    document["meta"] = {"title": "T", "created": "2026-11-21T10:00:00Z"}
    return [page.extract_text() for page in pdf(json.dumps(document).encode()).pages]


def test_tagged_documents_have_columns_notes_references_and_sections_too() -> None:
    captions = [re.sub(r"[ .\xa0]{3,}", " ", line) for line in tagged(CAPTIONS)[0].splitlines()]

    assert tagged(COLUMNS) == ["From\n• one\nTo\ncell\nbelow"]
    assert tagged(source(GROUP)) == ["first\nmiddle\nlast"]
    assert tagged(NOTES) == ["Water1 and fire2\ntext\n1H2O\n2Hot."]
    assert tagged(REFERENCES)[0] == "See Parts of it on page 4, or the image"
    assert captions == ["Tables", "Prices 2", "Figures", "A dot 3"]
    assert [re.findall("Even book|Book|Opening|Chapter", page) for page in tagged(SECTIONS)] == [
        [],
        ["Opening"],
        ["Chapter"],
        ["Book"],
    ]


def test_partials_within_partials_are_limited() -> None:
    chain = {f"p{number}": [{"type": "include", "partial": f"p{number + 1}"}] for number in range(200)}
    wide = {f"p{number}": [{"type": "include", "partial": f"p{number + 1}"}] * 2 for number in range(60)}

    for partials in (chain, wide):
        last = f"p{len(partials)}"
        data = source({"type": "include", "partial": "p0"}, partials={**partials, last: [paragraph("x")]})
        with pytest.raises(TooLarge):
            rendered(data, "pdf", RenderLimits(steps=20_000))


def test_blocks_within_blocks_take_time_by_their_number_only() -> None:
    body = [paragraph("x")]
    for _ in range(25):
        body = [{"type": "columns", "items": [[{"type": "group", "keepTogether": True, "body": body}]]}]

    assert pdf_text(source(*body)) == "x"


@pytest.mark.parametrize("columns", [1, 2])
def test_each_part_of_a_box_over_several_pages_says_its_own_page(columns: int) -> None:
    lines = [paragraph(["on page ", {"field": "page"}]) for _ in range(130)]
    framed = {"type": "group", "border": {"color": "#000000"}, "body": lines}
    beside = {"type": "columns", "items": [lines, [paragraph("x")]]}
    within = {"type": "group", "border": {"color": "#000000"}, "body": [framed]}

    listed = {"type": "list", "items": [{"text": each["text"]} for each in lines]}

    for blocks in ([framed], [beside], [within], lines, [listed]):
        pages = pdf(source({"type": "section", "columns": columns, "body": [paragraph("first"), *blocks]})).pages
        said = [set(re.findall(r"on page (\d+)", page.extract_text())) for page in pages]
        assert said == [{str(number)} for number in range(1, len(pages) + 1)]
        assert len(pages) > 1
