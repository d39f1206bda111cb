"""XLSX templates, made and read back by openpyxl."""

import io
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.drawing.image import Image
from openpyxl.formatting.rule import Rule
from openpyxl.styles.differential import DifferentialStyle
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.formula import ArrayFormula
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.table import Table

from bounded_contexts.documents.adapters.templates.filling import Manner
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from tests.unit.rendered import png
from tests.unit.templated import book, filled, kind_of, parts_of, repacked, saved, variables_of

LINES = {
    "lines": [
        {"name": "a", "qty": 1, "price": 2.5},
        {"name": "b", "qty": 2, "price": 3},
        {"name": "c", "qty": 3, "price": 1},
    ]
}


def lines(*more: list[Any]) -> Any:
    """A sheet whose row 2 is repeated, with a total below."""
    row = ["{{#each lines as l}}{{l.name}}", "{{l.qty}}", "{{l.price}}", "=B2*C2", "{{/each}}"]
    return book(S=[["Name", "Qty", "Price", "Sum"], row, ["Total", "=SUM(B2:B2)", None, "=SUM(D2)"], *more])


def opened(template: Any, data: object, manner: Manner | None = None) -> Any:
    given = template if isinstance(template, bytes) else saved(template)
    return openpyxl.load_workbook(io.BytesIO(filled(given, data, manner)[0]))


def values(sheet: Any) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_rows_are_repeated_and_formulas_follow() -> None:
    made = opened(lines(["=D3*2", "=$D$2", "=COUNT(D:D)", "=SUM(2:2)"]), LINES)["S"]

    assert [row[:4] for row in values(made)] == [
        ["Name", "Qty", "Price", "Sum"],
        ["a", 1, 2.5, "=B2*C2"],
        ["b", 2, 3, "=B3*C3"],
        ["c", 3, 1, "=B4*C4"],
        ["Total", "=SUM(B2:B4)", None, "=SUM(D2:D4)"],
        ["=D5*2", "=$D$2", "=COUNT(D:D)", "=SUM(2:4)"],
    ]


def test_an_empty_list_leaves_a_row_for_what_refers_to_it() -> None:
    made = opened(lines(), {"lines": []})["S"]
    free = opened(
        book(S=[["{{#each lines as l}}{{l.name}}{{/each}}"], ["{{#each lines as l}}{{l}}", "{{/each}}"], ["end"]]),
        {"lines": []},
    )

    assert [row[:4] for row in values(made)] == [
        ["Name", "Qty", "Price", "Sum"],
        [None, None, None, None],
        ["Total", "=SUM(B2:B2)", None, "=SUM(D2)"],
    ]
    assert values(free["S"]) == [[""], ["end"]]


def test_rows_of_markers_go_and_loops_stand_in_each_other() -> None:
    template = book(
        S=[
            ["{{#each groups as g}}"],
            ["{{g.name}}", "=SUM(B4:B4)"],
            ["{{#each g.items as i}}"],
            ["{{loop.index}}", "{{i}}", "=B4/B2", "=SUM(B$4:B4)"],
            ["{{/each}}"],
            ["{{#if g.note}}"],
            ["note {{g.note}}"],
            ["{{else}}"],
            ["none"],
            ["{{/if}}"],
            ["{{/each}}"],
            ["=SUM(B1:B11)", "=B2"],
        ]
    )
    groups = [{"name": "x", "items": [1, 2], "note": ""}, {"name": "y", "items": [7], "note": "n"}]

    assert values(opened(template, {"groups": groups})["S"]) == [
        ["x", "=SUM(B2:B3)", None, None],
        [1, 1, "=B2/B1", "=SUM(B2:B2)".replace("B2:", "B$2:")],
        [2, 2, "=B3/B1", "=SUM(B$2:B3)".replace("B$2:B3", "B$3:B3")],
        ["none", None, None, None],
        ["y", "=SUM(B6:B6)", None, None],
        [1, 7, "=B6/B5", "=SUM(B$6:B6)"],
        ["note n", None, None, None],
        ["=SUM(B1:B7)", "=B1", None, None],
    ]


def test_columns_are_repeated_as_a_whole() -> None:
    template = book(
        S=[
            ["", "{{#each months as m across}}{{m.name}}{{/each}}", "Sum"],
            ["{{#each rows as r}}{{r}}", "{{r}} {{m.name}}", "=SUM(B2:B2)", "{{/each}}"],
            ["end", "{{m.total}}", "=SUM(B3)"],
        ],
        T=[["=SUM(S!B3:B3)", "=S!C3"]],
    )
    template["S"].column_dimensions["B"].width = 20
    months = [{"name": "Jan", "total": 1}, {"name": "Feb", "total": 2}]

    made = opened(template, {"months": months, "rows": ["p", "q"]})

    assert [row[:4] for row in values(made["S"])] == [
        [None, "Jan", "Feb", "Sum"],
        ["p", "p Jan", "p Feb", "=SUM(B2:C2)"],
        ["q", "q Jan", "q Feb", "=SUM(B3:C3)"],
        ["end", 1, 2, "=SUM(B4:C4)"],
    ]
    assert values(made["T"]) == [["=SUM(S!B4:C4)", "=S!D4"]]
    assert [made["S"].column_dimensions[name].width for name in "BC"] == [20, 20]


def test_values_keep_their_types_and_the_formats_of_their_cells() -> None:
    template = book(
        S=[
            [
                "{{n}}",
                "{{d}}",
                "{{d}}",
                "{{t}}",
                "{{b}}",
                "{{s}}",
                "{{none}}",
                "{{text}}",
                "n {{n}}",
                "{{big}}",
                "{{clock}}",
            ]
        ]
    )
    sheet = template["S"]
    sheet["A1"].number_format, sheet["B1"].number_format = "#,##0.00", "dd/mm/yyyy"
    sheet["F1"].number_format, sheet["H1"].number_format = "0.0", "yyyy"
    data = {
        "n": {"$decimal": "19.90"}, "d": {"$date": "2026-03-04"}, "t": {"$datetime": "2026-03-04T23:30:00Z"}, "b": True,
        "s": "12.5", "none": None, "text": "2026-01-02", "big": 12345678901234567890, "clock": {"$time": "12:00:00"},
    }  # fmt: skip

    made = opened(template, data, Manner(time_zone="Europe/Berlin"))["S"]

    assert [cell.value for cell in made[1]][:5] == [
        19.9,
        datetime.fromisoformat("2026-03-04"),
        datetime.fromisoformat("2026-03-04"),
        datetime.fromisoformat("2026-03-05T00:30:00"),
        True,
    ]
    assert [cell.value for cell in made[1]][5:10] == [
        12.5,
        None,
        datetime.fromisoformat("2026-01-02"),
        "n 19.90",
        "12345678901234567890",
    ]
    assert [made[name].number_format for name in ("A1", "B1")] == ["#,##0.00", "dd/mm/yyyy"]
    assert [made[name].is_date for name in ("C1", "D1", "K1")] == [True, True, True]


def test_data_never_becomes_a_formula_or_a_marker() -> None:
    evil = ["=1+1", "+1", "@SUM(1)", "{{lines}}", "=cmd|'/c calc'!A0", "<v>1</v>&", "x_y"]
    made = opened(book(S=[["{{#each evil as e}}{{e}}", "x {{e}}", "{{/each}}"]]), {"evil": evil})["S"]

    assert [made.cell(n, 1).value for n in range(1, 8)] == evil
    assert {made.cell(n, 1).data_type for n in range(1, 8)} <= {"s", "inlineStr"}
    assert [made.cell(n, 2).value for n in range(1, 8)] == [f"x {each}" for each in evil]
    raw = filled(saved(book(S=[["{{a}}"]])), {"a": "_x0041_"})[0]
    assert b"_x005F_x0041_" in parts_of(raw)["xl/worksheets/sheet1.xml"]


def test_what_is_about_rows_follows_them() -> None:
    template = lines(["note {{name}}"])
    sheet = template["S"]
    sheet.merge_cells("A4:C4")
    sheet["F2"] = "wide"
    sheet.merge_cells("F2:G2")
    wanted = DifferentialStyle()
    sheet.conditional_formatting.add("C2:C2", Rule("cellIs", operator="greaterThan", formula=["$D$3"], dxf=wanted))
    sheet.conditional_formatting.add("A4", Rule("expression", formula=["B2>1"]))
    validation = DataValidation("list", formula1="$A$4:$A$4")
    validation.add("B2")
    sheet.add_data_validation(validation)
    sheet["A3"].hyperlink = Hyperlink("A3", location="S!A4")
    sheet["A4"].comment = Comment("look", "me")
    sheet.print_area, sheet.print_title_rows = "A1:D3", "1:1"
    sheet.auto_filter.ref = "A1:D2"
    sheet.freeze_panes = "A2"
    sheet.row_dimensions[2].height = 33
    template.defined_names["Sums"] = DefinedName("Sums", attr_text="S!$D$2:$D$2")

    book_ = opened(template, {**LINES, "name": "n"})
    made = book_["S"]

    assert sorted(str(each) for each in made.merged_cells.ranges) == ["A6:C6", "F2:G2", "F3:G3", "F4:G4"]
    rules = {str(each.sqref): each.rules[0].formula for each in made.conditional_formatting}
    assert rules == {"C2:C4": ["$D$5"], "A6": ["B2>1"]}
    assert [(str(each.sqref), each.formula1) for each in made.data_validations.dataValidation] == [
        ("B2:B4", "$A$6:$A$6")
    ]
    assert [made[name].comment is not None for name in ("A4", "A6")] == [False, True]
    assert (made.print_area, made.print_title_rows, made.auto_filter.ref) == ("'S'!$A$1:$D$5", "$1:$1", "A1:D4")
    assert (made.freeze_panes, [made.row_dimensions[n].height for n in (1, 2, 4, 5)]) == ("A2", [None, 33, 33, None])
    link = made["A5"].hyperlink
    assert (link.ref, link.location) == ("A5", "S!A6")
    assert book_.defined_names["Sums"].attr_text == "S!$D$2:$D$4"


def test_table_objects_charts_and_images_follow() -> None:
    template = lines()
    sheet = template["S"]
    sheet.add_table(Table(displayName="T", ref="A1:D2"))
    chart = BarChart()
    chart.add_data(Reference(sheet, min_col=4, min_row=1, max_row=2), titles_from_data=True)
    chart.title = "Sums of {{name}}"
    sheet.add_chart(chart, "A5")
    image = Image(io.BytesIO(png(8, 8)))
    sheet.add_image(image, "A20")

    given = saved(template)

    parts = parts_of(filled(given, {**LINES, "name": "<x>"})[0])
    made = opened(given, {**LINES, "name": "x"})["S"]
    none = opened(given, {"lines": [], "name": ""})["S"]

    assert (made.tables["T"].ref, none.tables["T"].ref) == ("A1:D4", "A1:D2")
    assert made.tables["T"].autoFilter is None or made.tables["T"].autoFilter.ref == "A1:D4"
    assert b"'S'!$D$2:$D$4" in parts["xl/charts/chart1.xml"]
    assert b"Sums of " in parts["xl/charts/chart1.xml"]
    assert b"&lt;x&gt;" in parts["xl/charts/chart1.xml"]
    assert [each.anchor._from.row for each in made._images] == [21]


def test_formulas_of_arrays_and_shared_ones_follow() -> None:
    template = book(S=[["{{#each lines as l}}{{l.qty}}", "{{/each}}"], ["x"], ["y"]])
    template["S"]["C2"] = ArrayFormula("C2:C3", "=A1:A1*2")
    first = '<c r="D2"><f t="shared" ref="D2:D3" si="0">A1+1</f><v>1</v></c>'
    shared = f'{first}</row><row r="3"><c r="D3"><f t="shared" si="0"/></c>'
    given = repacked(saved(template), {"xl/worksheets/sheet1.xml": (r'</row><row r="3"[^>]*>', shared)})

    made = opened(given, LINES)["S"]

    assert (made["C4"].value.ref, made["C4"].value.text) == ("C4:C5", "=A1:A3*2")
    assert [made["D4"].value, made["D5"].value] == ["=A1+1", "=A4+1"]


def test_markers_cut_into_runs_headers_and_inline_texts_are_found() -> None:
    runs = "<r><rPr><b/></rPr><t>{{na</t></r><r><t>me}} </t></r><r><t>end {{#if a}}yes{{else}}no{{/if}}</t></r>"
    cut = f'<c r="A1" t="inlineStr"><is>{runs}</is></c>'
    template = book(S=[["x"]])
    template["S"].oddHeader.center.text = "Page of {{name}}"
    given = repacked(saved(template), {"xl/worksheets/sheet1.xml": (r'<c r="A1".*?</c>', cut)})

    made: Any = openpyxl.load_workbook(io.BytesIO(filled(given, {"name": "A&B", "a": 0})[0]), rich_text=True)["S"]

    assert str(made["A1"].value) == "A&B end no"
    assert made["A1"].value[0].font.b is True
    assert made.oddHeader.center.text == "Page of A&&B"


def test_parts_without_markers_stay_and_texts_of_markers_are_gone() -> None:
    stream = io.BytesIO()
    made = xlsxwriter.Workbook(stream)
    sheet, other = made.add_worksheet("S"), made.add_worksheet("T")
    sheet.write_rich_string("A1", "{{na", made.add_format({"bold": True}), "me}}", "!")
    sheet.write_string("A2", "plain")
    other.write_formula("A1", "=1+1")
    other.write_string("A2", "plain")
    made.close()
    given = stream.getvalue()

    out = filled(given, {"name": "x"})[0]

    before, after = parts_of(given), parts_of(out)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"}
    assert not any(b"{{" in data for data in after.values())
    assert b'fullCalcOnLoad="1"' in after["xl/workbook.xml"]
    assert values(openpyxl.load_workbook(io.BytesIO(out))["S"]) == [["x!"], ["plain"]]
    assert filled(given, {"name": "x"})[0] == out


def test_says_what_it_needs() -> None:
    template = lines(["{{#each months as m across}}{{m}}{{/each}}", '{{total | currency("EUR")}}'])
    template["S"].oddFooter.left.text = "{{foot}}"

    assert [(each.path, each.type, each.loops) for each in variables_of(saved(template))] == [
        ("foot", "text", ()),
        ("months", "list", ()),
        ("lines", "list", ()),
        ("lines[].name", "any", ("lines",)),
        ("lines[].qty", "any", ("lines",)),
        ("lines[].price", "any", ("lines",)),
        ("months[]", "any", ("months",)),
        ("total", "number", ()),
    ]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([["{{#each a as x}}"]], "S!A1: .*has no end"),
        ([["{{#each a as x}}", "{{/each}}{{#each b as y}}", "{{/each}}"]], "not within"),
        ([["{{#if a}}", "{{else}}", "{{/if}}"]], "row behind"),
        ([["{{#each a as x across}}"], ["{{/each}}"]], "one row"),
        ([["{{a b}}"]], "S!A1"),
        ([["={{a}}"]], "not in formulas"),
    ],
)
def test_what_is_wrong_is_said_with_its_cell(rows: list[list[str]], says: str) -> None:
    with pytest.raises(Unreadable, match=says) as refused:
        kind_of(saved(book(S=rows)))

    assert refused.value.code == "bad_template"


@pytest.mark.parametrize("formula", ["=cmd|'/c calc'!A0", '=WEBSERVICE("http://x")', '=IMAGE("http://x")', "=CALL(1)"])
def test_formulas_that_run_or_fetch_something_are_refused(formula: str) -> None:
    named = book(S=[["x"]])
    named.defined_names["N"] = DefinedName("N", attr_text=formula[1:])
    for template in (book(S=[[formula]]), named):
        with pytest.raises(Unreadable) as refused:
            kind_of(saved(template))
        assert refused.value.code == "not_allowed_part"


def test_more_than_a_sheet_holds_is_refused() -> None:
    with pytest.raises(TooLarge, match="cell characters"):
        filled(saved(book(S=[["{{x}}"]])), {"x": "y" * 40_000})
    template = book(S=[["x"]])
    template["S"].oddHeader.left.text = "{{x}}"
    with pytest.raises(TooLarge, match="header"):
        filled(saved(template), {"x": "y" * 300})
    with pytest.raises(TooLarge, match="columns"):
        filled(saved(book(S=[["{{#each x as y across}}{{y}}{{/each}}"]])), {"x": ["y"] * 17_000})


def test_dates_of_the_other_calendar_are_its_own() -> None:
    template = book(S=[["{{d}}"]])
    template.epoch = CALENDAR_MAC_1904

    made = opened(template, {"d": {"$date": "2026-03-04"}})["S"]

    assert made["A1"].value == datetime.fromisoformat("2026-03-04")
    assert date(2026, 3, 4) == made["A1"].value.date()
