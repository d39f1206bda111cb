"""Formulas: what is one, what it gives, and how tables have them."""

import io
from decimal import Decimal
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.column_formulas import shortened
from bounded_contexts.documents.domain.rendering.formula_functions import COMPUTED, KNOWN
from bounded_contexts.documents.domain.rendering.formulas import formula
from bounded_contexts.documents.domain.rendering.problems import BadExpression, Invalid
from bounded_contexts.documents.domain.values import Value
from tests.unit.rendered import book, pdf_text, rendered, source, word

ROW: dict[str, Value] = {"a": 6, "b": Decimal("2.50"), "text": "Pump", "none": None, "bad": "#N/A"}
SHEET: dict[str, list[Value]] = {"A1": [7], "A1:A4": [1, 2, "x", None], "B1": [None]}


class Cells:
    """A row and a sheet to work in."""

    def step(self) -> None:
        return

    def this(self, key: str) -> Value:
        return ROW[key]

    def cells(self, area: str) -> list[Value]:
        return SHEET[area]


GIVEN: list[tuple[str, Value]] = [
    ("=[@a]*[@b]", 15),
    ("=1+2*3^2-4/8", Decimal("18.5")),
    ("=-2^2", 4),
    ("=2^-1", Decimal("0.5")),
    ("=(1+2)*3%", Decimal("0.09")),
    ("=1/3", Decimal("0.333333333333333")),
    ("=0.1+0.2=0.3", True),
    ('="a"&1&TRUE', "a1TRUE"),
    ('="say ""x"""', 'say "x"'),
    ('="A"="a"', True),
    ('=2<"1"', True),
    ("=[@none]+1", 1),
    ('=[@none]=""', True),
    ("=SUM(A1:A4,4)", 7),
    ("=SUM($A$1)", 7),
    ("=AVERAGE(A1:A4)", Decimal("1.5")),
    ("=COUNT(A1:A4)", 2),
    ("=COUNTA(A1:A4)", 3),
    ("=MIN(3,[@a],[@b])", Decimal("2.5")),
    ("=MAX(A1:A4)", 2),
    ("=PRODUCT(2,3)", 6),
    ("=ROUND(2.5,0)", 3),
    ("=ROUND(-2.5,0)", -3),
    ("=ROUND(1234,-2)", 1200),
    ("=ROUNDUP(1.01,1)", Decimal("1.1")),
    ("=ROUNDDOWN(1.19,1)", Decimal("1.1")),
    ("=TRUNC(-1.9)", -1),
    ("=INT(-1.1)", -2),
    ("=ABS(-3)", 3),
    ("=SIGN(-3)", -1),
    ("=SQRT(9)", 3),
    ("=POWER(2,10)", 1024),
    ("=MOD(-3,2)", 1),
    ("=MOD(3,-2)", -1),
    ('=IF([@a]>5,"many","few")', "many"),
    ("=IF(FALSE,1/0)", False),
    ("=IFERROR(1/0,0)", 0),
    ("=AND(TRUE,1)", True),
    ("=OR(FALSE,0)", False),
    ("=NOT(0)", True),
    ('=CONCATENATE("a",1)', "a1"),
    ('=LEFT("Pump",2)&RIGHT("Pump",1)&MID("Pump",2,2)', "Pupum"),
    ("=LEN([@text])", 4),
    ("=UPPER([@text])&LOWER([@text])", "PUMPpump"),
    ('=TRIM("  a  b ")', "a b"),
    ("=ISBLANK(B1)", True),
    ("=ISNUMBER([@text])", False),
    ("=ISTEXT([@text])", True),
    ("=1/0", "#DIV/0!"),
    ("=[@text]+1", "#VALUE!"),
    ("=[@bad]&1", "#N/A"),
    ("=SQRT(-1)", "#NUM!"),
    ("=9^400*9^400*9^400", "#NUM!"),
    ("=MOD(1,0)", "#DIV/0!"),
    ("=0^0", "#NUM!"),
]


@pytest.mark.parametrize(("text", "value"), GIVEN)
def test_formulas_give_what_programs_do(text: str, value: Value) -> None:
    assert shortened(formula(text).value(Cells())) == value


def test_every_function_that_is_worked_out_is_tried() -> None:
    tried = " ".join([text for text, _ in GIVEN])

    assert [name for name in COMPUTED if f"{name}(" not in tried] == []
    assert not set(COMPUTED) & KNOWN


@pytest.mark.parametrize(
    "text",
    [
        "1+1",
        "=",
        "=1+",
        "=(1",
        "=1)",
        "=[@a",
        "=SUM(1,)",
        "=SUM()",
        "=ABS(1,2)",
        "=1 2",
        "='[Book.xlsx]Sheet'!A1",
        "=[Book.xlsx]Sheet!A1",
        "=cmd|'/C calc'!A0",
        '=WEBSERVICE("x")',
        '=HYPERLINK("x")',
        '=INDIRECT("A1")',
        '=CALL("x")',
        "={1,2}",
        "=" + "(" * 65 + "1" + ")" * 65,
        "=" + "1+" * 5_000 + "1",
    ],
)
def test_what_is_no_formula_or_asks_for_more_is_refused(text: str) -> None:
    with pytest.raises(BadExpression):
        formula(text)


LINES = [{"n": "Pump", "q": 2, "p": {"$decimal": "19.90"}}, {"n": "=1+1", "q": 3, "p": 1}]
COLUMNS: list[dict[str, Any]] = [
    {"title": "Item", "value": {"path": "l.n"}},
    {"title": "Tax", "key": "tax", "formula": "=ROUND([@sum]*0.2,2)", "total": "sum"},
    {"title": "Qty", "key": "q", "value": {"path": "l.q"}},
    {"title": "Price", "key": "p", "value": {"path": "l.p"}},
    {"title": "Sum", "key": "sum", "formula": "=[@q]*[@p]", "style": {"numberFormat": {"type": "number", "digits": 2}}},
    {"title": "Year", "key": "y", "formula": "=YEAR(TODAY())", "value": 2026},
]


def lines(**more: Any) -> bytes:
    table = {"type": "table", "columns": COLUMNS, "rows": {"each": "lines", "as": "l"}, **more}
    return source(table, data={"lines": LINES})


def test_columns_have_formulas_and_what_they_give() -> None:
    sheet = book(lines()).worksheets[0]

    assert [[cell.value for cell in row] for row in sheet["A2:F3"]] == [
        ["Pump", "=ROUND(E2*0.2,2)", 2, 19.9, "=C2*D2", "=YEAR(TODAY())"],
        ["=1+1", "=ROUND(E3*0.2,2)", 3, 1, "=C3*D3", "=YEAR(TODAY())"],
    ]
    assert sheet["A3"].data_type == "s"
    assert sheet["E2"].number_format == "#,##0.00"


def test_pdf_docx_and_caches_have_the_values() -> None:
    text, table = pdf_text(lines()), word(lines()).tables[0]
    read = CalamineWorkbook.from_filelike(io.BytesIO(rendered(lines(), "xlsx")[0]))

    assert "Pump 7.96 2 19.90 39.80 2026" in text
    assert [cell.text for cell in table.rows[3].cells] == ["", "8.56", "", "", "", ""]
    assert read.get_sheet_by_index(0).to_python()[1:3] == [
        ["Pump", 7.96, 2, 19.9, 39.8, 2026],
        ["=1+1", 0.6, 3, 1, 3, 2026],
    ]


def test_rows_that_are_lists_have_formulas_where_they_say_nothing() -> None:
    data = lines(rows=[["a", None, 2, 5], ["b", None, 1, 1, 77]])

    assert "a 2 2 5 10.00" in pdf_text(data)
    assert [cell.value for cell in book(data).worksheets[0]["E"]][1:] == ["=C2*D2", "=C3*D3", None]
    assert "15.4" in pdf_text(data)


def test_an_error_is_told_or_refused() -> None:
    table = {"type": "table", "columns": [{"key": "a", "formula": "=1/0"}], "rows": [[]]}

    assert rendered(source(table), "pdf")[1].losses.counts["formula_error"] == 1
    assert "#DIV/0!" in pdf_text(source(table))
    assert book(source(table)).worksheets[0]["A1"].value == "=1/0"
    with pytest.raises(Unwritable, match="formula_error"):
        rendered(source(table, strictness="error"), "xlsx")


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [
        ([{"formula": "=[@x]"}], "/body/0/columns/0/formula"),
        ([{"formula": "=1+"}], "/body/0/columns/0/formula"),
        ([{"formula": "=YEAR(1)"}], "/body/0/columns/0/formula"),
        ([{"formula": "=A1"}], "/body/0/columns/0/formula"),
        ([{"formula": "={{x}}"}], "/body/0/columns/0/formula"),
        ([{"key": "a", "formula": "=[@b]"}, {"key": "b", "formula": "=[@a]"}], "/body/0/columns"),
        ([{"key": "a"}, {"key": "a"}], "/body/0/columns/1/key"),
    ],
)
def test_formulas_are_checked_without_data(columns: list[dict[str, Any]], wrong: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(source({"type": "table", "columns": columns, "rows": []}))

    assert [problem.pointer for problem in refused.value.problems] == [wrong]
