"""What only workbooks have, as independent readers see it."""

import io
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import book, rendered, source

RULES = [
    {"kind": "cell", "operator": ">", "value": 10, "style": {"bold": True, "color": "#AA0000"}},
    {"kind": "cell", "operator": "between", "values": [1, 2], "style": {"background": "#FFEE00"}},
    {"kind": "cell", "operator": "=", "value": 'a"b', "style": {"italic": True}},
    {"kind": "contains", "value": "x", "style": {"strike": True}},
    {"kind": "duplicate", "style": {"underline": True}},
    {"kind": "top", "value": 3, "style": {"bold": True}},
    {"kind": "scale", "colors": ["#FFFFFF", "#00FF00"]},
    {"kind": "scale", "colors": ["#FF0000", "#FFFFFF", "#00FF00"]},
    {"kind": "bar", "colors": ["#4E79A7"]},
]
COLUMNS: list[dict[str, Any]] = [
    {"title": "Item", "xlsx": {"validation": {"kind": "list", "values": ["Pump", "Pipe"], "message": "one of two"}}},
    {"title": "Qty", "key": "q", "xlsx": {"rules": RULES, "name": "Quantities", "numberFormat": '0" pcs"'}},
    {
        "title": "Day",
        "xlsx": {"validation": {"kind": "date", "min": "2026-01-01", "max": "2026-12-31", "warning": True}},
    },
    {"title": "item", "xlsx": {"hidden": True, "validation": {"kind": "integer", "min": 1, "max": 9}}},
]
OWN = {
    "sheet": "Stock",
    "table": True,
    "name": "Stock",
    "autofilter": True,
    "freeze": {"columns": 1},
    "print": {"area": True, "titleColumns": 1, "fitWidth": 1, "gridLines": True},
}


def stock(rows: Any = None, columns: Any = None, own: Any = None, **more: Any) -> bytes:
    rows = [["Pump", 2, None, 1], ["Pipe", 30, None, 2]] if rows is None else rows
    table = {
        "type": "table",
        "rows": rows,
        "columns": COLUMNS if columns is None else columns,
        "xlsx": OWN if own is None else own,
    }
    return source(table, **more)


def test_a_table_is_an_object_with_titles_of_its_own() -> None:
    sheet = book(stock()).worksheets[0]
    table = sheet.tables["Stock"]

    assert (table.ref, table.autoFilter.ref) == ("A1:D3", "A1:D3")
    assert [column.name for column in table.tableColumns] == ["Item", "Qty", "Day", "item 2"]
    assert [cell.value for cell in sheet[1]] == ["Item", "Qty", "Day", "item 2"]
    assert CalamineWorkbook.from_filelike(io.BytesIO(rendered(stock(), "xlsx")[0]), load_tables=True).table_names == [
        "Stock"
    ]


def test_a_table_without_rows_is_none() -> None:
    assert not book(stock([])).worksheets[0].tables


def test_names_are_in_a_workbook_once() -> None:
    table = {
        "type": "table",
        "rows": [[1]],
        "columns": [{"xlsx": {"name": "Rates"}}],
        "xlsx": {"table": True, "name": "T"},
    }
    read = book(source(table, table))

    assert [name for sheet in read for name in sheet.tables] == ["T", "T_2"]
    assert list(read.defined_names) == ["Rates", "Rates_2"]


def test_panes_print_and_columns_are_set() -> None:
    read = book(stock())
    sheet = read.worksheets[0]

    assert (sheet.freeze_panes, sheet.print_area, sheet.print_title_cols) == ("B2", "'Stock'!$A$1:$D$3", "$A:$A")
    assert (sheet.page_setup.fitToHeight, sheet.sheet_properties.pageSetUpPr.fitToPage) == (0, True)
    assert sheet.print_options.gridLines
    assert sheet.column_dimensions["D"].hidden
    assert read.defined_names["Quantities"].attr_text == "Stock!$B$2:$B$3"
    assert sheet["B2"].number_format == '0" pcs"'


def test_rules_are_conditional_formats_of_the_columns_rows() -> None:
    ranges = book(stock()).worksheets[0].conditional_formatting
    rules = [rule for area in ranges for rule in area.rules]

    assert {str(area.sqref) for area in ranges} == {"B2:B3"}
    assert sorted((rule.type, rule.operator, tuple(rule.formula)) for rule in rules if rule.type == "cellIs") == [
        ("cellIs", "between", ("1", "2")),
        ("cellIs", "equal", ('"a""b"',)),
        ("cellIs", "greaterThan", ("10",)),
    ]
    assert {rule.type for rule in rules} >= {"containsText", "duplicateValues", "top10", "colorScale", "dataBar"}
    first = next(rule for rule in rules if rule.operator == "greaterThan")
    assert (first.dxf.font.b, first.dxf.font.color.rgb) == (True, "FFAA0000")


def test_validations_say_what_may_be_typed_in() -> None:
    found = {str(each.sqref): each for each in book(stock()).worksheets[0].data_validations.dataValidation}

    assert (found["A2:A3"].type, found["A2:A3"].formula1, found["A2:A3"].error) == ("list", '"Pump,Pipe"', "one of two")
    assert (found["C2:C3"].type, found["C2:C3"].formula1, found["C2:C3"].errorStyle) == ("date", "46023", "warning")
    assert (found["D2:D3"].type, found["D2:D3"].formula1, found["D2:D3"].formula2) == ("whole", "1", "9")


@pytest.mark.parametrize(
    ("sheets", "names"),
    [
        ("named", ["Sheet1", "Stock", "Sheet3"]),
        ("per-table", ["Sheet1", "Stock", "Sheet3", "Sheet4"]),
        ("per-section", ["Sheet1", "Sheet2"]),
        ("single", ["Sheet1"]),
    ],
)
def test_a_document_says_what_begins_a_sheet(sheets: str, names: list[str]) -> None:
    table = {"type": "table", "rows": [[1]], "columns": [{}]}
    body = [
        {"type": "paragraph", "text": "x"},
        {**table, "xlsx": {"sheet": "Stock"}},
        {"type": "section", "body": [{"type": "paragraph", "text": "y"}, table]},
    ]

    assert book(source(*body, output={"xlsx": {"sheets": sheets}})).sheetnames == names


@pytest.mark.parametrize(
    ("column", "own", "wrong"),
    [
        ({"xlsx": {"rules": [{"kind": "cell", "value": 1}]}}, {}, "/columns/0/xlsx/rules/0"),
        ({"xlsx": {"rules": [{"kind": "cell", "style": {}}]}}, {}, "/columns/0/xlsx/rules/0"),
        ({"xlsx": {"rules": [{"kind": "cell", "value": "=A1", "style": {}}]}}, {}, "/columns/0/xlsx/rules/0/value"),
        ({"xlsx": {"rules": [{"kind": "scale", "colors": ["#000000"]}]}}, {}, "/columns/0/xlsx/rules/0/colors"),
        ({"xlsx": {"rules": [{"kind": "top", "style": {}}]}}, {}, "/columns/0/xlsx/rules/0"),
        ({"xlsx": {"validation": {"kind": "list", "values": ["a,b"]}}}, {}, "/columns/0/xlsx/validation/values"),
        ({"xlsx": {"validation": {"kind": "integer", "min": 1}}}, {}, "/columns/0/xlsx/validation"),
        (
            {"xlsx": {"validation": {"kind": "date", "min": 1, "max": "2026-01-01"}}},
            {},
            "/columns/0/xlsx/validation/min",
        ),
        ({"xlsx": {"name": "AB12"}}, {}, "/columns/0/xlsx/name"),
        ({}, {"name": "r1c1"}, "/xlsx/name"),
        ({}, {"name": "a b"}, "/xlsx/name"),
    ],
)
def test_what_workbooks_cannot_have_is_refused_with_its_place(column: Any, own: Any, wrong: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(stock([], [column], own))

    assert [problem.pointer for problem in refused.value.problems] == [f"/body/0{wrong}"]


def test_an_object_has_no_groups_and_no_cells_that_reach_over_others() -> None:
    for rows in ([[{"value": 1, "colSpan": 2}]], {"each": "d", "as": "x"}):
        table: dict[str, Any] = {"type": "table", "rows": rows, "columns": [{}, {}], "xlsx": {"table": True}}
        more = {} if isinstance(rows, list) else {"groupBy": [{"value": {"path": "x"}}]}
        with pytest.raises(Invalid, match="/body/0/xlsx/table"):
            check(source({**table, **more}))


@pytest.mark.parametrize("target", TARGETS)
def test_sheets_are_the_same_bytes_each_time_and_tables_elsewhere(target: Any) -> None:
    assert rendered(stock(), target)[0] == rendered(stock(), target)[0]


@pytest.mark.parametrize("part", ["header", "footer"])
def test_an_ampersand_before_any_letter_is_text_in_headers_and_footers(part: str) -> None:
    text = "R&G, &[Picture], &D"
    sheet = book(source({"type": "rule"}, **{part: {"default": [{"type": "paragraph", "text": text}]}})).active

    assert getattr(sheet, f"odd{part.title()}").left.text == text.replace("&", "&&")
