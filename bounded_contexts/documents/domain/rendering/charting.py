"""Charts of a document become charts that can be drawn: data filled in, scales worked out."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import Style
from bounded_contexts.documents.domain.rendering.charts import (
    COLORS,
    ROUND,
    Chart,
    Legend,
    Scale,
    Series,
    SeriesKind,
    ends,
    marks,
)
from bounded_contexts.documents.domain.rendering.expressions import each_of, expression, path_of
from bounded_contexts.documents.domain.rendering.functions import number_of, plain
from bounded_contexts.documents.domain.rendering.styles import number_format_of, points
from bounded_contexts.documents.domain.rendering.texts import Texts
from bounded_contexts.documents.domain.values import Value

POINTS: Final = 10_000  # values of a chart
WIDTH: Final = 425.2  # points: 150 mm
HEIGHT: Final = 226.8  # 80 mm
LEAST: Final = 60.0
_SERIES: Final[dict[str, SeriesKind]] = {"line": "line", "area": "area"}
FARTHEST: Final = Decimal("1e15")  # beyond that a scale has no marks that people read


class Charts:
    """Makes charts."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def chart(self, block: Mapping[str, Any], pointer: str) -> Chart:
        """Return the chart. Raise `TooLarge` for more points than one has."""
        kind, given = block["kind"], block["series"]
        is_scatter = kind == "scatter"
        rows = list(self._rows(block, pointer))
        style = Style(number_format=number_format_of(block.get("yAxis", {}).get("numberFormat")))
        series = tuple(
            self._series(number, each, [row[number] for row in rows], style, kind) for number, each in enumerate(given)
        )
        stacked = block.get("stacked", False)
        title, alt = self._texts.filled(block.get("title", "")), self._texts.filled(block["alt"])
        return Chart(
            kind,
            title,
            alt,
            () if is_scatter else tuple([row[-1] for row in rows]),
            series,
            self._scale(
                block.get("yAxis", {}), _heights(series, stacked), style, with_zero=_is_from_zero(kind, series)
            ),
            max(points(block.get("width", WIDTH)), LEAST),
            max(points(block.get("height", HEIGHT)), LEAST),
            x_title=self._texts.filled(block.get("xAxis", {}).get("title", "")),
            across=self._across(block, series) if is_scatter else None,
            legend=block.get("legend", _legend(kind, len(series))),
            labels=block.get("labels", False),
            stacked=stacked,
            align=block.get("align", "left"),
        )

    def _rows(self, block: Mapping[str, Any], pointer: str) -> Iterator[list[Any]]:
        """Yield for each row a pair of numbers for each series, and the category behind them."""
        context = self._texts.context
        given, series = block["rows"], block["series"]
        count = 0
        if isinstance(given, dict):
            values = [expression(each["value"]) for each in series]
            across = [expression(each["x"]) if "x" in each else None for each in series]
            category = expression(block.get("category"))
            for _ in each_of(context, path_of(given["each"]), given["each"], given["as"]):
                count = self._counted(count + len(series))
                found = [(x(context) if x else None, value(context)) for x, value in zip(across, values, strict=True)]
                yield [*found, self._texts.of_value(category(context), Style())]
            return
        for row in given:
            count = self._counted(count + len(series))
            first, *rest = [expression(cell)(context) for cell in row] or [None]
            rest += [None] * (len(series) - len(rest))
            yield [*[(first, value) for value in rest], self._texts.of_value(first, Style())]

    def _counted(self, count: int) -> int:
        self._texts.context.step()
        if count > POINTS:
            raise TooLarge("chart_points", POINTS)
        return count

    def _series(
        self, number: int, given: Mapping[str, Any], pairs: list[tuple[Value, Value]], style: Style, kind: str
    ) -> Series:
        values = [self._number(value) for _, value in pairs]
        return Series(
            self._texts.filled(given.get("name", "")) or f"{number + 1}",
            tuple(values),
            tuple(["" if value is None else self._texts.of_value(_plain(value), style) for value in values]),
            given.get("color", COLORS[number % len(COLORS)]),
            given.get("kind", _SERIES.get(kind, "column")),
            tuple([self._number(x) for x, _ in pairs]) if kind == "scatter" else (),
        )

    def _number(self, value: Value) -> float | None:
        number = number_of(value)
        if number is None or abs(number) > FARTHEST:
            self._texts.context.warn("not_a_number", "a point of a chart is a number up to 1e15")
            return None
        return float(number)

    def _across(self, block: Mapping[str, Any], series: tuple[Series, ...]) -> Scale:
        given = block.get("xAxis", {})
        style = Style(number_format=number_format_of(given.get("numberFormat")))
        return self._scale(given, [x for each in series for x in each.across if x is not None], style, with_zero=False)

    def _scale(self, given: Mapping[str, Any], values: list[float], style: Style, *, with_zero: bool) -> Scale:
        lower, upper = [None if name not in given else number_of(given[name]) for name in ("min", "max")]
        least, most = ends(values, with_zero)
        if lower is not None and most <= lower:
            most = lower + 1
        if upper is not None and least >= upper:
            least = upper - 1
        found = marks(least, most, lower, upper)
        low, high = lower if lower is not None else found[0], upper if upper is not None else found[-1]
        return Scale(
            self._texts.filled(given.get("title", "")),
            float(low),
            float(high),
            tuple([(float(mark), self._texts.of_value(plain(mark.normalize()), style)) for mark in found]),
            given.get("gridLines", True),
            style.number_format,
            lower is not None or upper is not None,
        )


def _plain(value: float) -> Value:
    return plain(Decimal(repr(value)))


def _legend(kind: str, series: int) -> Legend:
    return "right" if kind in ROUND else "bottom" if series > 1 else "none"


def _is_from_zero(kind: str, series: tuple[Series, ...]) -> bool:
    return kind not in ("line", "scatter") and (kind != "combined" or any(each.kind != "line" for each in series))


def _heights(series: tuple[Series, ...], stacked: bool) -> list[float]:
    """Return what the scale must reach: sums, where series stand on each other."""
    if not stacked:
        return [value for each in series for value in each.values if value is not None]
    heights = []
    for values in zip(*[each.values for each in series], strict=True):
        known = [value for value in values if value is not None]
        heights += [sum([each for each in known if each > 0]), sum([each for each in known if each < 0])]
    return heights
