"""Charts of every kind in every target, as independent readers see them."""

import io
import zipfile
from typing import Any

import openpyxl
import pytest
from lxml import etree
from PIL import ImageOps

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.charts import KINDS
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import page, pdf, pdf_text, rendered, source

NAMES = {
    "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
    "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
}
MONTHS = [
    {"m": "=January", "a": 12, "b": -3, "c": {"$decimal": "4.5"}},
    {"m": "February", "a": 17.5, "b": 5, "c": 7},
    {"m": "March", "a": None, "b": 8, "c": 3},
]
POINTS = [[1, 2, 3], [2, 4.5, 1], [3.5, 5, None]]
ELEMENTS = {
    "bar": "barChart",
    "column": "barChart",
    "line": "lineChart",
    "area": "areaChart",
    "pie": "pieChart",
    "doughnut": "doughnutChart",
    "scatter": "scatterChart",
    "combined": "lineChart",
}


def chart(kind: str, count: int = 1, **more: Any) -> dict[str, Any]:
    given = [{"name": f"Series {name}", "value": {"path": f"r.{name}"}} for name in "abc"[:count]]
    if kind == "combined":
        given[-1]["kind"] = "line"
    found = {
        "type": "chart",
        "kind": kind,
        "alt": "Sales & more",
        "rows": {"each": "months", "as": "r"},
        "series": given,
    }
    return {**found, "category": {"path": "r.m"}, **more}


def scatter(**more: Any) -> dict[str, Any]:
    series = [{"name": "p"}, {"name": "q"}]
    return {"type": "chart", "kind": "scatter", "alt": "Points", "rows": POINTS, "series": series, **more}


def of_kind(kind: str, **more: Any) -> bytes:
    block = scatter(**more) if kind == "scatter" else chart(kind, 1 if kind in ("pie", "doughnut") else 2, **more)
    return source(block, data={"months": MONTHS}, locale="en-GB")


def parts(data: bytes, target: Target) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(rendered(data, target)[0])) as package:
        return {name: package.read(name) for name in package.namelist()}


def drawn(data: bytes, target: Target) -> Any:
    found = parts(data, target)
    return etree.fromstring(next(found[name] for name in found if name.endswith("charts/chart1.xml")))


def cached(tree: Any, what: str) -> list[list[str]]:
    series = tree.findall(".//c:ser", NAMES)
    return [[each.text for each in one.findall(f"c:{what}//c:pt/c:v", NAMES)] for one in series]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["docx", "xlsx"])
def test_packages_have_native_charts_with_their_values(kind: str, target: Target) -> None:
    tree = drawn(
        of_kind(kind, title="Sales", yAxis={"title": "k€", "numberFormat": {"type": "number", "digits": 1}}), target
    )

    assert tree.find(f".//c:{ELEMENTS[kind]}", NAMES) is not None
    assert tree.findtext(".//c:title//c:v", namespaces=NAMES) == "Sales"
    if kind == "scatter":
        assert (cached(tree, "xVal"), cached(tree, "yVal")) == (
            [["1", "2", "3.5"]] * 2,
            [["2", "4.5", "5"], ["3", "1"]],
        )
    else:
        assert cached(tree, "cat")[0] == ["=January", "February", "March"]
        assert cached(tree, "val") == [["12", "17.5"], ["-3", "5", "8"]][: len(cached(tree, "val"))]
        assert cached(tree, "tx") == [["Series a"], ["Series b"]][: len(cached(tree, "tx"))]
    if kind not in ("pie", "doughnut"):
        assert [each.get("formatCode") for each in tree.findall(".//c:valAx[last()]/c:numFmt", NAMES)] == ["#,##0.0"]


def test_a_chart_in_docx_is_edited_in_the_workbook_of_its_values() -> None:
    found = parts(of_kind("column"), "docx")
    book: Any = openpyxl.load_workbook(io.BytesIO(found["word/embeddings/chart1.xlsx"]))
    references = drawn(of_kind("column"), "docx").findall(".//c:f", NAMES)

    assert [[cell.value for cell in row] for row in book.active["A3:C5"]] == [
        ["=January", 12, -3],
        ["February", 17.5, 5],
        ["March", None, 8],
    ]
    assert book.active["A3"].data_type == "s"
    assert {each.text for each in references} >= {"Sheet1!$A$3:$A$5", "Sheet1!$B$3:$B$5", "Sheet1!$C$2"}
    assert b'Target="../embeddings/chart1.xlsx"' in found["word/charts/_rels/chart1.xml.rels"]
    assert b'PartName="/word/charts/chart1.xml"' in found["[Content_Types].xml"]
    assert b'descr="Sales &amp; more"' in found["word/document.xml"]


def test_a_chart_in_docx_leaves_nothing_to_defaults_that_programs_differ_in() -> None:
    tree = drawn(of_kind("line", title="Sales", labels=True), "docx")
    said = {
        name: {each.get("val") for each in tree.findall(f".//c:{name}", NAMES)}
        for name in ("smooth", "overlay", "delete")
    }

    assert said == {"smooth": {"0"}, "overlay": {"0"}, "delete": {"0"}}
    assert [each.get("val") for each in tree.findall(".//c:showSerName", NAMES)] == ["0", "0"]
    assert [each.tag.rpartition("}")[2] for each in tree][-2:] == ["chart", "externalData"]


def test_charts_of_a_workbook_have_their_values_on_a_hidden_sheet() -> None:
    data = source(chart("line"), {"type": "paragraph", "text": "x"}, scatter(), data={"months": MONTHS})
    book: Any = openpyxl.load_workbook(io.BytesIO(rendered(data, "xlsx")[0]))

    assert [(sheet.title, sheet.sheet_state) for sheet in book.worksheets] == [
        ("Sheet1", "visible"),
        ("Chart data", "hidden"),
    ]
    assert [cell.value for cell in book["Chart data"]["A"]][2:5] == ["=January", "February", "March"]
    assert len(book["Sheet1"]._charts) == 2
    assert b'descr="Sales &amp; more"' in parts(data, "xlsx")["xl/drawings/drawing1.xml"]


def test_a_title_that_looks_like_a_reference_is_a_text() -> None:
    tree = drawn(of_kind("column", title="Secrets!A1", xAxis={"title": "=Other!$A$1"}), "xlsx")

    assert {each.text.partition("!")[0] for each in tree.findall(".//c:f", NAMES)} == {"'Chart data'"}
    assert [each.findtext(".//c:v", namespaces=NAMES) for each in tree.findall(".//c:title", NAMES)] == [
        "Secrets!A1",
        "=Other!$A$1",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_pdf_draws_charts_as_vectors_with_their_texts(kind: str) -> None:
    data = of_kind(kind, title="Sales of {{months.length}}", legend="right", labels=True)
    text = pdf_text(data)

    assert "Sales of 3" in text
    wanted = ("p", "q", "4.5") if kind == "scatter" else ("=January", "February", "17.5")
    assert [each for each in wanted if each not in text] == []
    assert not pdf(data).pages[0].images


def colors_down(data: bytes, x_mm: float) -> list[tuple[int, ...]]:
    """The colours that a line down the page meets, one after the other, without greys."""
    image = page(data, 72)
    x = round(x_mm * 72 / 25.4)
    found: list[tuple[int, ...]] = []
    for y in range(image.height):
        pixel = image.getpixel((x, y))
        assert isinstance(pixel, tuple)
        if max(pixel) - min(pixel) > 60 and (not found or found[-1] != pixel):
            found.append(pixel)
    return found


def test_stacked_columns_stand_on_each_other() -> None:
    rows = [["x", 1, 1, 2]]
    colors = ["#FF0000", "#00FF00", "#0000FF"]
    block = {
        "type": "chart",
        "kind": "column",
        "alt": "",
        "rows": rows,
        "series": [{"color": color} for color in colors],
    }

    stacked = colors_down(source({**block, "stacked": True, "legend": "none", "width": "100mm"}), 18 + 55)
    beside = colors_down(source({**block, "legend": "none", "width": "100mm"}), 18 + 55)

    assert stacked[0][2] == 255
    assert [
        (each[0] > 200, each[1] > 200, each[2] > 200) for each in stacked if max(each) == 255 and sum(each) == 255
    ] == [
        (False, False, True),
        (False, True, False),
        (True, False, False),
    ]
    assert all(each[1] == 255 for each in beside if sum(each) == 255)


@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        (chart("pie", 2), "/body/0/series"),
        (chart("line", 1, stacked=True), "/body/0/stacked"),
        ({**chart("line"), "category": {"nope": 1}}, "/body/0/category"),
        ({name: each for name, each in chart("line").items() if name != "category"}, "/body/0"),
        (chart("line", yAxis={"min": 3, "max": 3}), "/body/0/yAxis/max"),
        (chart("line", xAxis={"min": 3}), "/body/0/xAxis"),
        (chart("line", rows=[["a", 1, 2]], series=[{}]), "/body/0/rows/0"),
        (chart("line", rows=[["a", 1]], series=[{"value": 1}]), "/body/0/series/0/value"),
        (chart("line", series=[{"name": "x"}]), "/body/0/series/0"),
        (chart("line", series=[{"value": 1, "kind": "area"}]), "/body/0/series/0/kind"),
        (chart("line", yAxis={"numberFormat": {"type": "currency"}}), "/body/0/yAxis/numberFormat"),
        (
            chart("combined", rows=[], series=[{"kind": "area"}, {"kind": "line"}, {"kind": "column"}]),
            "/body/0/series",
        ),
    ],
)
def test_what_is_no_chart_is_refused_with_its_place(block: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(source(block))

    assert [problem.pointer for problem in refused.value.problems] == [wrong]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_of_nothing_or_of_what_is_no_number_is_a_file(kind: str, target: Target) -> None:
    series = [{"value": {"path": "r.v"}, "x": {"path": "r.v"}} if kind == "scatter" else {"value": {"path": "r.v"}}]
    block = {**chart(kind), "series": series}
    values = [None, "x", True, {"$decimal": "1e300"}, 0, -1e15, "-7"]

    for rows in ([], [{"v": value, "m": "m"} for value in values]):
        data = source(block, data={"months": rows})
        file, rendering = rendered(data, target)
        assert file == rendered(data, target)[0]
        assert bool(rendering.losses.counts["not_a_number"]) == bool(rows)


def test_points_of_a_chart_are_limited() -> None:
    with pytest.raises(TooLarge, match="chart points"):
        rendered(source(chart("line"), data={"months": [{"m": 1, "a": 1}] * 10_001}), "pdf")


@pytest.mark.parametrize("output", [{}, {"output": {"pdf": {"tagged": True}}}], ids=["quick", "tagged"])
def test_a_label_behind_the_longest_bar_is_on_the_page_whole(output: dict[str, Any]) -> None:
    number_format = {"type": "number", "digits": 6}
    block = chart("bar", labels=True, yAxis={"max": 100, "numberFormat": number_format}, width="60mm")
    data = source(block, data={"months": [{"m": "May", "a": 100}]}, meta={"language": "en"}, **output)
    found = ImageOps.invert(page(data).convert("L")).getbbox()

    assert "100.000000" in pdf_text(data)
    assert found
    assert found[2] / 300 * 25.4 <= 20 + 60  # millimetres: the margin and the chart


@pytest.mark.parametrize("target", TARGETS)
def test_a_value_that_is_null_is_a_gap_and_told(target: Target) -> None:
    made = rendered(of_kind("line"), target)[1]

    assert made.losses.counts["not_a_number"] == 1
