"""Tables with spans, header rows, groups, totals and blocks in cells, as independent readers see them."""

import re
from typing import Any

import pytest

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import book, pdf, pdf_text, rendered, source, word

SPANS: dict[str, Any] = {
    "type": "table",
    "headerRows": [[{"value": "Item", "rowSpan": 2}, {"value": "Sales of {{year}}", "colSpan": 2}]],
    "columns": [
        {"title": "hidden", "width": "1fr"},
        {"title": "Q1", "width": "30mm"},
        {"title": "Q2", "width": "30mm"},
    ],
    "rows": [
        [{"value": "Pumps\nand valves", "rowSpan": 2}, 1, 2],
        [{"value": "none", "colSpan": 2, "style": {"background": "#FFEEDD"}}],
        ["Hoses", 3],
    ],
}


def test_cells_reach_over_columns_and_rows_in_pdf() -> None:
    read = pdf(source(SPANS, data={"year": 2026}))
    found: dict[str, tuple[float, float]] = {}

    def visit(text: str, cm: Any, tm: Any, font: Any, size: Any) -> None:
        found.setdefault(text.strip(), (tm[4], tm[5]))

    read.pages[0].extract_text(visitor_text=visit)

    assert "hidden" not in found
    assert found["Sales of 2026"][0] == found["Q1"][0] == found["1"][0] == found["none"][0]
    assert found["Item"][1] == found["Sales of 2026"][1] > found["Q1"][1]
    assert found["Pumps"][1] == found["1"][1] > found["and valves"][1] > found["none"][1] > found["Hoses"][1]


def test_cells_reach_over_columns_and_rows_in_docx() -> None:
    table = word(source(SPANS, data={"year": 2026})).tables[0]

    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["Item", "Sales of 2026", "Sales of 2026"],
        ["Item", "Q1", "Q2"],
        ["Pumps\nand valves", "1", "2"],
        ["Pumps\nand valves", "none", "none"],
        ["Hoses", "3", ""],
    ]
    assert [row._tr.xml.count("<w:tblHeader/>") for row in table.rows] == [1, 1, 0, 0, 0]


def test_cells_reach_over_columns_and_rows_in_xlsx() -> None:
    sheet = book(source(SPANS, data={"year": 2026})).worksheets[0]

    assert [[cell.value for cell in row] for row in sheet["A1:C5"]] == [
        ["Item", "Sales of 2026", None],
        [None, "Q1", "Q2"],
        ["Pumps\nand valves", 1, 2],
        [None, "none", None],
        ["Hoses", 3, None],
    ]
    assert {str(each) for each in sheet.merged_cells.ranges} == {"A1:A2", "B1:C1", "A3:A4", "B4:C4"}
    assert sheet.print_title_rows == "$1:$2"


def test_all_header_rows_stand_on_every_page() -> None:
    rows = [[f"row {number}", number, 1] for number in range(150)]

    pages = [page.extract_text() for page in pdf(source({**SPANS, "rows": rows}, data={"year": 2026})).pages]

    assert len(pages) > 2
    assert all(re.match(r"Item Sales of 2026\nQ1 Q2\nrow \d+", text) for text in pages)


def test_a_cell_over_more_rows_than_a_page_goes_on_over_pages() -> None:
    long = "\n".join([f"line {number}" for number in range(90)])
    rows = [[{"value": long, "rowSpan": 80}, 0], *[[number] for number in range(1, 80)], ["last", "end"]]

    pages = [page.extract_text() for page in pdf(source({"type": "table", "columns": [{}, {}], "rows": rows})).pages]

    assert len(pages) >= 2
    assert [int(each) for each in re.findall(r"line (\d+)", "\n".join(pages))] == list(range(90))
    assert re.search(r"last\s+end", pages[-1])


def test_rows_break_over_pages_where_they_may() -> None:
    long = "\n".join([f"line {number}" for number in range(60)])
    table = {"type": "table", "columns": [{}, {}], "rows": [[long, 1], [long, 2]]}

    whole = [page.extract_text() for page in pdf(source(table)).pages]
    broken = [page.extract_text() for page in pdf(source({**table, "breakRows": True})).pages]

    assert [text.count("line 0\n") + text.endswith("line 0") for text in whole[:2]] == [1, 0]
    assert len(broken) == len(whole) - 1
    assert "\n".join(broken).count("line") == 120
    assert "cantSplit" not in word(source({**table, "breakRows": True})).tables[0]._tbl.xml


GROUPS: dict[str, Any] = {
    "type": "table",
    "groupBy": [
        {"value": {"path": "r.land"}, "header": "Land: {{value}}", "subtotal": "All of {{value}}"},
        {"value": {"path": "r.town"}, "subtotal": "{{value}}"},
    ],
    "rows": {"each": "rows", "as": "r"},
    "columns": [
        {"title": "Name", "value": {"path": "r.name"}, "totalText": "Everything"},
        {"title": "Sum", "value": {"path": "r.sum"}, "total": "sum"},
        {"title": "Most", "value": {"path": "r.sum"}, "total": "max"},
    ],
}
ROWS = [
    {"land": "AT", "town": "Wien", "name": "a", "sum": 1},
    {"land": "AT", "town": "Wien", "name": "b", "sum": 2},
    {"land": "AT", "town": "Linz", "name": "c", "sum": 4},
    {"land": "CH", "town": "Linz", "name": "d", "sum": 8},
]
GROUPED = [
    ["Land: AT", "", ""],
    ["a", "1", "1"],
    ["b", "2", "2"],
    ["Wien", "3", "2"],
    ["c", "4", "4"],
    ["Linz", "4", "4"],
    ["All of AT", "7", "4"],
    ["Land: CH", "", ""],
    ["d", "8", "8"],
    ["Linz", "8", "8"],
    ["All of CH", "8", "8"],
    ["Everything", "15", "8"],
]


@pytest.mark.parametrize("target", TARGETS)
def test_rows_are_grouped_with_subtotals(target: Target) -> None:
    data = source(GROUPS, data={"rows": ROWS})
    lines = [" ".join([cell for cell in row if cell]) for row in [["Name", "Sum", "Most"], *GROUPED]]

    match target:
        case "pdf":
            assert pdf_text(data).splitlines() == lines
        case "docx":
            rows = word(data).tables[0].rows
            assert [" ".join(dict.fromkeys(cell.text for cell in row.cells[:2])) for row in rows][1::7] == [
                "Land: AT",
                "Land: CH",
            ]
            assert [[cell.text for cell in row.cells] for row in rows][2:8] == GROUPED[1:7]
        case "xlsx":
            cells = book(data).worksheets[0].iter_rows(values_only=True)
            assert [" ".join([str(cell) for cell in row if cell is not None]) for row in cells] == lines


def test_the_head_of_a_group_is_never_last_on_a_page() -> None:
    rows = [{"land": number // 2, "town": 1, "name": "x", "sum": 1} for number in range(200)]

    pages = [page.extract_text().splitlines() for page in pdf(source(GROUPS, data={"rows": rows})).pages]

    assert len(pages) > 5
    assert not any(page[-1].startswith("Land") for page in pages)


def test_totals_are_carried_from_page_to_page() -> None:
    table = {
        "type": "table",
        "carried": {"out": "Carried forward", "in": "Brought forward"},
        "rows": {"each": "n", "as": "r"},
        "columns": [
            {"title": "No", "value": "row {{r}}"},
            {"title": "Sum", "value": {"path": "r"}, "total": "sum"},
        ],
    }

    pages = [page.extract_text() for page in pdf(source(table, data={"n": list(range(1, 151))})).pages]

    total = 0
    for number, text in enumerate(pages):
        if number:
            assert f"No Sum\nBrought forward {total}\n" in text
        total += sum(int(each) for each in re.findall(r"row (\d+)", text))
        if number < len(pages) - 1:
            assert text.endswith(f"Carried forward {total}")
    assert pages[-1].endswith(f"\n{150 * 151 // 2}")
    assert rendered(source(table, data={"n": [1]}), "docx")[1].losses.counts == {"approximated": 1, "dropped": 1}


BLOCKS = source(
    {
        "type": "table",
        "rows": {"each": "rows", "as": "r"},
        "columns": [
            {"title": "Name", "width": "40mm", "value": {"path": "r.name"}},
            {
                "title": "Parts",
                "width": "1fr",
                "blocks": [
                    {"type": "paragraph", "text": ["Parts of ", {"text": "{{r.name}}", "bold": True}]},
                    {"type": "repeat", "each": "r.parts", "as": "p", "body": [{"type": "list", "items": ["{{p}}"]}]},
                    {"type": "table", "columns": [{"value": {"path": "p"}}], "rows": {"each": "r.parts", "as": "p"}},
                ],
            },
        ],
    },
    data={"rows": [{"name": "Pump", "parts": ["wheel", "axle"]}, {"name": "Hose", "parts": []}]},
)


def test_blocks_stand_in_cells() -> None:
    cell = word(BLOCKS).tables[0].rows[1].cells[1]

    assert pdf_text(BLOCKS).splitlines() == [
        "Name Parts",
        "Pump Parts of Pump",
        "• wheel",
        "• axle",
        "wheel",
        "axle",
        "Hose Parts of Hose",
    ]
    assert [paragraph.text for paragraph in cell.paragraphs][:3] == ["Parts of Pump", "wheel", "axle"]
    assert [row.cells[0].text for row in cell.tables[0].rows] == ["wheel", "axle"]
    assert book(BLOCKS).worksheets[0]["B2"].value == "Parts of Pump\n• wheel\n• axle"


def test_blocks_in_a_cell_that_is_higher_than_a_page_go_on_over_pages() -> None:
    blocks = [{"type": "paragraph", "text": f"paragraph {number} " + "word " * 30} for number in range(60)]
    table = {"type": "table", "columns": [{"title": "T"}, {}], "rows": [["x", {"blocks": blocks}], ["y"]]}

    pages = [page.extract_text() for page in pdf(source(table)).pages]

    assert len(pages) > 2
    assert all(text.startswith("T") for text in pages)
    assert [int(each) for each in re.findall(r"paragraph (\d+)", "\n".join(pages))] == list(range(60))
    assert pages[-1].endswith("y")


def test_what_is_wrong_with_cells_is_told_with_its_place() -> None:
    table = {
        "type": "table",
        "groupBy": [{"value": 1}],
        "headerRows": [[{"value": "a", "rowSpan": 3}]],
        "columns": [{"title": "x"}, {"value": 1, "blocks": []}],
        "rows": [[{"value": 1, "rowSpan": 2}, {"value": {"nope": 1}}], [1, 2], [{"colSpan": 3}], [{"colSpan": 0}]],
        "footer": [{"value": 1, "blocks": []}],
    }

    with pytest.raises(Invalid) as refused:
        check(source(table))
    schema = {problem.pointer: problem.code for problem in refused.value.problems}
    table["rows"] = table["rows"][:3]
    with pytest.raises(Invalid) as refused:
        check(source(table))
    others = {problem.pointer: problem.code for problem in refused.value.problems}

    assert schema == {"/body/0/rows/3/0/colSpan": "out_of_range"}
    assert others == {
        "/body/0/groupBy": "not_allowed",
        "/body/0/headerRows/0": "too_many",
        "/body/0/columns/1": "not_allowed",
        "/body/0/rows/0/1/value": "bad_expression",
        "/body/0/rows/1": "too_many",
        "/body/0/rows/2": "too_many",
        "/body/0/footer/0": "not_allowed",
    }
