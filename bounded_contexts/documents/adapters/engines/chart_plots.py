"""What stands in a chart's axes: bars, lines, areas, points; and pies."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bounded_contexts.documents.adapters.engines.drawing import Anchor, Area, Label, Path, Shape, Step
from bounded_contexts.documents.domain.rendering.charts import Chart, Scale, Series

TEXT: Final = 8.0  # points
GREY: Final = "#404040"
FILLED: Final = 0.72  # of the room of a category
DOT: Final = 3.6
DOTS: Final = 60  # points of a line that are marked
HOLE: Final = 0.55  # of a doughnut's radius


@dataclass(slots=True)
class Box:
    """The room that is left."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        """Return how wide it is; it never vanishes."""
        return max(self.right - self.left, 1.0)

    @property
    def height(self) -> float:
        """Return how high it is; it never vanishes."""
        return max(self.top - self.bottom, 1.0)


@dataclass(slots=True)
class Plot:
    """Where values and categories stand in a box. In one that is lying the categories go down and the values to the right."""

    chart: Chart
    box: Box
    is_lying: bool = False

    @property
    def band(self) -> float:
        """Return the room of one category."""
        return (self.box.height if self.is_lying else self.box.width) / max(len(self.chart.categories), 1)

    def middle(self, category: int) -> float:
        """Return where the middle of a category is."""
        at = (category + 0.5) * self.band
        return self.box.top - at if self.is_lying else self.box.left + at

    def at(self, value: float) -> float:
        """Return where a value is, none beyond the scale."""
        part = part_of(value, self.chart.scale)
        if self.is_lying:
            return self.box.left + part * self.box.width
        return self.box.bottom + part * self.box.height

    def along(self, value: float) -> float:
        """Return where a value of a scatter's other scale is."""
        return self.box.left + part_of(value, self.chart.across or self.chart.scale) * self.box.width


def part_of(value: float, scale: Scale) -> float:
    """Return where on a scale a value is, from 0 to 1."""
    return min(max((value - scale.least) / (scale.most - scale.least), 0.0), 1.0)


def standing(plot: Plot) -> Iterator[Shape]:
    """Yield areas, columns and lines, each kind above the one before; or points."""
    chart = plot.chart
    if chart.across is not None:
        for series in chart.series:
            yield from _points(plot, series)
        return
    of_kind = {kind: [each for each in chart.series if each.kind == kind] for kind in ("area", "column", "line")}
    below = [0.0] * len(chart.categories)
    for series in of_kind["area"]:
        yield from _area(plot, series, below)
    yield from _bars(plot, of_kind["column"])
    for series in of_kind["line"]:
        yield from _line(plot, series)


def lying(plot: Plot) -> Iterator[Shape]:
    """Yield bars."""
    return _bars(plot, plot.chart.series)


def _bars(plot: Plot, series: Sequence[Series]) -> Iterator[Shape]:
    stacked = plot.chart.stacked
    room = plot.band * FILLED
    thick = room / max(1 if stacked else len(series), 1)
    above, below = ([0.0] * len(plot.chart.categories) for _ in range(2))
    for number, each in enumerate(series):
        for category, (value, label) in enumerate(zip(each.values, each.labels, strict=True)):
            if value is None:
                continue
            ends = above if value >= 0 else below
            begin = ends[category] if stacked else 0.0
            end = begin + value
            ends[category] = end
            offset = room / 2 - (0 if stacked else number) * thick
            middle = plot.middle(category) + (offset - thick / 2 if plot.is_lying else thick / 2 - offset)
            low, high = sorted((plot.at(begin), plot.at(end)))
            if plot.is_lying:
                yield Area(low, middle - thick / 2, high - low, thick, each.color)
            else:
                yield Area(middle - thick / 2, low, thick, high - low, each.color)
            if plot.chart.labels:
                yield _bar_label(plot, label, middle, low, high, value)


def _bar_label(plot: Plot, text: str, middle: float, low: float, high: float, value: float) -> Label:
    if plot.chart.stacked:
        x, y, anchor = (low + high) / 2, middle, "center"
    else:
        x, y, anchor = (high + 2, middle, "left") if value >= 0 else (low - 2, middle, "right")
    if plot.is_lying:
        return Label(text, x, y - TEXT / 3, TEXT, GREY, anchor)  # type: ignore[arg-type]
    if plot.chart.stacked:
        return Label(text, middle, x - TEXT / 3, TEXT, GREY, "center")
    return Label(text, middle, high + 2 if value >= 0 else low - TEXT, TEXT, GREY, "center")


def _stretches(plot: Plot, series: Series) -> Iterator[list[tuple[int, float]]]:
    """Yield points that are one behind the other, up to each gap."""
    stretch: list[tuple[int, float]] = []
    for category, value in enumerate(series.values):
        if value is not None:
            stretch.append((category, value))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _line(plot: Plot, series: Series) -> Iterator[Shape]:
    for stretch in _stretches(plot, series):
        steps = tuple([(plot.middle(category), plot.at(value)) for category, value in stretch])
        if len(steps) > 1:
            yield Path(steps, line=series.color, width=1.6)
        for (category, _), (x, y) in zip(stretch, steps, strict=True):
            if len(series.values) <= DOTS or len(steps) == 1:
                yield Area(x - DOT / 2, y - DOT / 2, DOT, DOT, series.color)
            if plot.chart.labels:
                yield Label(series.labels[category], x, y + 4, TEXT, GREY, "center")


def _area(plot: Plot, series: Series, below: list[float]) -> Iterator[Shape]:
    """What has no value is at the bottom, as in programs."""
    above = [base + (value or 0.0) for base, value in zip(below, series.values, strict=True)]
    top: list[Step] = [(plot.middle(category), plot.at(value)) for category, value in enumerate(above)]
    base: list[Step] = [(plot.middle(category), plot.at(value)) for category, value in enumerate(below)]
    if len(top) > 1:
        yield Path((*top, *reversed(base)), fill=series.color, closed=True)
    for category, label in enumerate(series.labels) if plot.chart.labels else ():
        yield Label(label, plot.middle(category), plot.at(above[category]) + 3, TEXT, GREY, "center")
    if plot.chart.stacked:
        below[:] = above


def _points(plot: Plot, series: Series) -> Iterator[Shape]:
    for x, y, label in zip(series.across, series.values, series.labels, strict=True):
        if x is None or y is None:
            continue
        at, high = plot.along(x), plot.at(y)
        yield Area(at - DOT / 2, high - DOT / 2, DOT, DOT, series.color)
        if plot.chart.labels:
            yield Label(label, at, high + 4, TEXT, GREY, "center")


def pie(chart: Chart, box: Box) -> Iterator[Shape]:
    """Yield the pieces, clockwise from above; what is not above zero has none."""
    values = [max(value or 0.0, 0.0) for value in chart.series[0].values]
    total = sum(values)
    radius = max(min(box.width, box.height) / 2 - (TEXT * 2.5 if chart.labels else 0.0), 1.0)
    x, y = (box.left + box.right) / 2, (box.bottom + box.top) / 2
    turned = 0.0
    for number, value in enumerate(values):
        if not value:
            continue
        part = value / total
        begin, turned = turned, turned + part
        yield _piece(
            x, y, radius, radius * HOLE if chart.kind == "doughnut" else 0.0, (begin, turned), chart.color_of(0, number)
        )
        if chart.labels:
            angle = math.pi / 2 - (begin + turned) * math.pi
            at, high = x + math.cos(angle) * (radius + 5), y + math.sin(angle) * (radius + 5)
            anchor: Anchor = "center" if abs(math.cos(angle)) < 0.2 else "left" if math.cos(angle) > 0 else "right"
            yield Label(chart.series[0].labels[number], at, high - TEXT / 3, TEXT, GREY, anchor)


def _piece(x: float, y: float, outer: float, inner: float, turns: tuple[float, float], color: str) -> Path:
    begin, end = [math.pi / 2 - turn * 2 * math.pi for turn in turns]
    steps: list[Step] = [_on(x, y, outer, begin), *_arc(x, y, outer, begin, end)]
    if inner:
        steps += [_on(x, y, inner, end), *_arc(x, y, inner, end, begin)]
    elif turns != (0.0, 1.0):
        steps.append((x, y))
    return Path(tuple(steps), fill=color, line="#FFFFFF", width=0.8, closed=True)


def _on(x: float, y: float, radius: float, angle: float) -> tuple[float, float]:
    return x + radius * math.cos(angle), y + radius * math.sin(angle)


def _arc(x: float, y: float, radius: float, begin: float, end: float) -> Iterator[Step]:
    """Yield curves along a circle, a quarter at most each: farther they would leave it visibly."""
    count = max(1, math.ceil(abs(end - begin) / (math.pi / 2) - 1e-9))
    step = (end - begin) / count
    reach = 4 / 3 * math.tan(step / 4) * radius
    for number in range(count):
        first, last = begin + number * step, begin + (number + 1) * step
        (from_x, from_y), (to_x, to_y) = _on(x, y, radius, first), _on(x, y, radius, last)
        yield (
            from_x - reach * math.sin(first),
            from_y + reach * math.cos(first),
            to_x + reach * math.sin(last),
            to_y - reach * math.cos(last),
            to_x,
            to_y,
        )
