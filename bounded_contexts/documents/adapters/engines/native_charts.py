"""Charts as spreadsheet programs hold them: values on a sheet, and beside it what they look like.

Every text of a chart refers to a cell: XlsxWriter takes a text that looks like `name!A1` for a reference.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import xlsxwriter

from bounded_contexts.documents.adapters.engines.xlsx_cells import code_of
from bounded_contexts.documents.domain.rendering.charts import ROUND, Chart, Scale, Series

PIXELS: Final = 96 / 72  # of a point
SIZE: Final = {"size": 8, "bold": False}  # of texts, in points
GRID: Final = {"color": "#D9D9D9", "width": 0.75}
LONG_AGO: Final = datetime(2000, 1, 1)  # noqa: DTZ001  of a workbook that has no date of its own
_KINDS: Final = {"bar": "bar", "column": "column", "line": "line", "area": "area", "pie": "pie", "doughnut": "doughnut"}
_ORDER: Final = ("area", "column", "line")  # of the kinds in one chart, as they are drawn
# what Excel takes for granted of its own workbooks, and Word does not: there, what is missing is true (ECMA-376-1, 21.2)
_SAID: Final = (
    (r"(<c:lang [^>]*>)", r'\1<c:roundedCorners val="0"/>'),
    (r"(<c:(?:grouping|scatterStyle) [^>]*>)", r'\1<c:varyColors val="0"/>'),
    (r"(?<!<c:plotArea>)<c:layout/>", '<c:layout/><c:overlay val="0"/>'),
    (r"</c:scaling>", r'\g<0><c:delete val="0"/>'),
    (r"(<c:lineChart>.*?</c:lineChart>|<c:scatterChart>.*?</c:scatterChart>)", lambda found: _straight(found[0])),
    (
        r'<c:showVal val="1"/>',
        '<c:showLegendKey val="0"/><c:showVal val="1"/><c:showCatName val="0"/><c:showSerName val="0"/>'
        '<c:showPercent val="0"/><c:showBubbleSize val="0"/>',
    ),
    (r"(<c:plotVisOnly [^>]*>)", r'\1<c:dispBlanksAs val="gap"/>'),
)
Place = tuple[str, int]  # a sheet, and the row on it where a chart's values begin


def write_values(sheet: Any, row: int, chart: Chart) -> int:
    """Write what a chart shows, from this row on; return the first row behind it."""
    texts = (chart.title, chart.across.title if chart.across else chart.x_title, chart.scale.title)
    for column, text in enumerate(texts):
        sheet.write_string(row, column, text)
    for number, series in enumerate(chart.series):
        sheet.write_string(row + 1, _column(chart, number), series.name)
    for point, cells in enumerate(_rows(chart), row + 2):
        for column, value in enumerate(cells):
            if isinstance(value, str):
                sheet.write_string(point, column, value)
            elif value is not None:
                sheet.write_number(point, column, value)
    return row + 2 + len(chart.series[0].values)


def _column(chart: Chart, series: int) -> int:
    return 2 * series + 1 if chart.across else series + 1


def _rows(chart: Chart) -> Iterator[list[str | float | None]]:
    for point in range(len(chart.series[0].values)):
        if chart.across:
            yield [value for each in chart.series for value in (each.across[point], each.values[point])]
        else:
            yield [chart.categories[point], *[each.values[point] for each in chart.series]]


def native(book: Any, chart: Chart, place: Place) -> Any:
    """Return the chart over the values that stand at a place of the workbook."""
    if chart.across:
        made = book.add_chart({"type": "scatter"})
        _add(made, chart, range(len(chart.series)), place)
    elif chart.kind == "combined":
        made = _combined(book, chart, place)
    else:
        made = _plain(book, chart, _KINDS[chart.kind], range(len(chart.series)), place)
    made.set_title(_named(place, 0, chart.title, {"size": 11}) if chart.title else {"none": True})
    made.set_legend({"none": True} if chart.legend == "none" else {"position": chart.legend, "font": SIZE})
    made.set_size({"width": round(chart.width * PIXELS), "height": round(chart.height * PIXELS)})
    if chart.kind not in ROUND:
        _set_axes(made, chart, place)
    return made


def _combined(book: Any, chart: Chart, place: Place) -> Any:
    kinds = [kind for kind in _ORDER if any(each.kind == kind for each in chart.series)]
    made = [
        _plain(book, chart, kind, [at for at, each in enumerate(chart.series) if each.kind == kind], place)
        for kind in kinds
    ]
    for other in made[1:]:
        made[0].combine(other)
    return made[0]


def _plain(book: Any, chart: Chart, kind: str, numbers: Any, place: Place) -> Any:
    made = book.add_chart({"type": kind, "subtype": "stacked"} if chart.stacked else {"type": kind})
    _add(made, chart, numbers, place)
    return made


def _add(made: Any, chart: Chart, numbers: Any, place: Place) -> None:
    for number in numbers:
        made.add_series(_series(chart, number, chart.series[number], place))


def _series(chart: Chart, number: int, series: Series, place: Place) -> dict[str, Any]:
    sheet, row = place
    column = _column(chart, number)
    last = row + 1 + max(len(series.values), 1)
    across = column - 1 if chart.across else 0
    found: dict[str, Any] = {
        "name": [sheet, row + 1, column],
        "name_data": [series.name],
        "categories": [sheet, row + 2, across, last, across],
        "categories_data": _cached(series.across) if chart.across else list(chart.categories),
        "values": [sheet, row + 2, column, last, column],
        "values_data": _cached(series.values),
    }
    if chart.kind in ROUND:
        colors = [chart.color_of(0, point) for point in range(len(series.values))]
        found["points"] = [{"fill": {"color": color}} for color in colors]
    elif chart.across:
        found["marker"] = {"type": "square", "size": 5, "fill": {"color": series.color}, "border": {"none": True}}
    elif series.kind == "line":
        found |= {"line": {"color": series.color, "width": 1.5}, "marker": {"type": "none"}}
    else:
        found["fill"] = {"color": series.color}
    if chart.labels:
        code = code_of(chart.scale.format)
        found["data_labels"] = {"value": True, "font": SIZE} | ({"num_format": code} if code else {})
    return found


def _cached(values: tuple[float | None, ...]) -> list[float | None]:
    """Return the values as cells have them: whole ones without a point."""
    return [int(value) if value is not None and value.is_integer() else value for value in values]


def _named(place: Place, column: int, text: str, font: dict[str, Any]) -> dict[str, Any]:
    return {"name": [place[0], place[1], column], "data": [text], "name_font": font}


def _set_axes(made: Any, chart: Chart, place: Place) -> None:
    values = _scale(chart.scale, 2, place)
    along = _scale(chart.across, 1, place) if chart.across else {"num_font": SIZE, "label_position": "low"}
    if chart.x_title:
        along |= _named(place, 1, chart.x_title, SIZE)
    if chart.kind == "bar":  # the first category on top, and the scale below all the same
        along |= {"reverse": True, "crossing": "max"}
        along, values = values, along
    made.set_x_axis(along)
    made.set_y_axis(values)


def _scale(scale: Scale, column: int, place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {"num_font": SIZE, "major_gridlines": {"visible": scale.has_lines, "line": GRID}}
    if scale.title:
        found |= _named(place, column, scale.title, SIZE)
    if scale.is_fixed:
        found |= {"min": scale.least, "max": scale.most}
    if code := code_of(scale.format):
        found["num_format"] = code
    return found


def part(chart: Chart) -> tuple[str, bytes]:
    """Return the part of a package that is the chart, and the workbook that it is edited in."""
    with zipfile.ZipFile(io.BytesIO(_workbook(chart, shown=True))) as package:
        xml = package.read("xl/charts/chart1.xml").decode()
    before, _, _ = xml.partition("<c:printSettings>")
    for pattern, replacement in _SAID:
        before = re.sub(pattern, replacement, before)
    source = '<c:externalData r:id="rId1"><c:autoUpdate val="0"/></c:externalData>'
    return f"{before}{source}</c:chartSpace>", _workbook(chart, shown=False)


def _straight(xml: str) -> str:
    return xml.replace("</c:ser>", '<c:smooth val="0"/></c:ser>')


def _workbook(chart: Chart, *, shown: bool) -> bytes:
    out = io.BytesIO()
    book: Any = xlsxwriter.Workbook(out, {"in_memory": True})
    book.set_properties({"created": LONG_AGO})
    sheet = book.add_worksheet("Sheet1")
    write_values(sheet, 0, chart)
    if shown:
        sheet.insert_chart(0, 5, native(book, chart, ("Sheet1", 0)))
    book.close()
    return out.getvalue()
