"""Charts as drawings: title, legend and axes round a plot (`chart_plots.py`)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bounded_contexts.documents.adapters.engines import chart_plots
from bounded_contexts.documents.adapters.engines.chart_plots import TEXT, Box, Plot
from bounded_contexts.documents.adapters.engines.drawing import Area, Drawing, Label, Path, Shape
from bounded_contexts.documents.domain.rendering.charts import ROUND, Chart, Scale

Measure = Callable[[str, float], float]  # how wide a text of a size is, in points
PAD: Final = 6.0
TITLE: Final = 11.0
ROW: Final = 12.0  # of a legend
MARK: Final = 7.0
NARROW: Final = 30.0  # points of a category whose name is left out rather than cut
GREY: Final = "#595959"
GRID: Final = "#D9D9D9"
AXIS: Final = "#8C8C8C"


def drawing(chart: Chart, measure: Measure) -> Drawing:
    """Return the chart as shapes."""
    frame = _Frame(chart, measure, Box(PAD, PAD, chart.width - PAD, chart.height - PAD))
    frame.title()
    frame.legend()
    if chart.kind in ROUND:
        frame.shapes += chart_plots.pie(chart, frame.box)
    elif chart.kind == "bar":
        frame.lying()
    else:
        frame.standing()
    return Drawing(chart.width, chart.height, tuple(frame.shapes), chart.alt)


@dataclass(slots=True)
class _Frame:
    """What is drawn already, and the box that is left."""

    chart: Chart
    measure: Measure
    box: Box
    shapes: list[Shape] = field(default_factory=list)

    def _cut(self, text: str, room: float, size: float = TEXT) -> str:
        text = " ".join(text.split())
        if self.measure(text, size) <= room:
            return text
        while text and self.measure(text + "…", size) > room:
            text = text[:-1]
        return text + "…"

    def title(self) -> None:
        """Write the title above everything."""
        if self.chart.title:
            text = self._cut(self.chart.title, self.box.width * 0.9, TITLE)
            x = (self.box.left + self.box.right) / 2
            self.shapes.append(Label(text, x, self.box.top - TITLE, TITLE, anchor="center", bold=True))
            self.box.top -= TITLE * 1.7

    def legend(self) -> None:
        """Say which colour is what."""
        chart = self.chart
        if chart.legend == "none":
            return
        names = chart.categories if chart.kind in ROUND else tuple([each.name for each in chart.series])
        most = self.box.width * (0.3 if chart.legend == "right" else 0.45)
        entries = [
            (self._cut(name, most), chart.color_of(0 if chart.kind in ROUND else at, at))
            for at, name in enumerate(names)
        ]
        if chart.legend == "right":
            self._legend_right(entries)
        else:
            self._legend_below(entries)

    def _legend_right(self, entries: list[tuple[str, str]]) -> None:
        entries = entries[: max(int(self.box.height / ROW), 1)]
        wide = max([self.measure(name, TEXT) for name, _ in entries], default=0.0) + MARK + 6
        top = (self.box.top + self.box.bottom + len(entries) * ROW) / 2
        for number, (name, color) in enumerate(entries):
            self._entry(name, color, self.box.right - wide, top - (number + 1) * ROW)
        self.box.right -= wide + PAD

    def _legend_below(self, entries: list[tuple[str, str]]) -> None:
        rows: list[list[tuple[str, str]]] = [[]]
        used = 0.0
        for entry in entries:
            wide = self._wide(entry)
            if rows[-1] and used + wide > self.box.width:
                rows.append([])
                used = 0.0
            rows[-1].append(entry)
            used += wide
        rows = rows[: max(int(self.box.height / 3 / ROW), 1)]
        for number, row in enumerate(rows):
            x = (self.box.left + self.box.right - sum(map(self._wide, row))) / 2
            for entry in row:
                self._entry(*entry, x, self.box.bottom + (len(rows) - 1 - number) * ROW)
                x += self._wide(entry)
        self.box.bottom += len(rows) * ROW + PAD / 2

    def _wide(self, entry: tuple[str, str]) -> float:
        return self.measure(entry[0], TEXT) + MARK + 14

    def _entry(self, name: str, color: str, x: float, y: float) -> None:
        self.shapes.append(Area(x, y + 2, MARK, MARK, color))
        self.shapes.append(Label(name, x + MARK + 4, y + 3, TEXT, GREY))

    def standing(self) -> None:
        """Draw axes with the scale on the left, and the plot."""
        chart, scale = self.chart, self.chart.scale
        self._name_left(scale.title)
        self._name_below(chart.x_title if chart.across is None else chart.across.title)
        self.box.bottom += TEXT * 1.7
        self.box.left += self._widest(scale) + 4
        self.box.top -= TEXT / 2
        plot = Plot(chart, self.box)
        for value, text in scale.marks:
            y = plot.at(value)
            if scale.has_lines:
                self._line(self.box.left, y, self.box.right, y, GRID)
            self.shapes.append(Label(text, self.box.left - 4, y - TEXT / 3, TEXT, GREY, "right"))
        if chart.across is not None:
            self._marks_below(chart.across, plot.along)
        else:
            self._categories_below(plot)
        self.shapes += chart_plots.standing(plot)
        zero = plot.at(0.0)
        self._line(self.box.left, zero, self.box.right, zero, AXIS)

    def lying(self) -> None:
        """Draw axes with the categories on the left, the first on top, and the plot."""
        chart, scale = self.chart, self.chart.scale
        self._name_left(chart.x_title)
        self._name_below(scale.title)
        self.box.bottom += TEXT * 1.7
        names = [self._cut(name, self.box.width * 0.3) for name in chart.categories]
        self.box.left += max([self.measure(name, TEXT) for name in names], default=0.0) + 4
        self.box.right -= self._behind_bars()
        plot = Plot(chart, self.box, is_lying=True)
        self._marks_below(scale, plot.at)
        stride = max(1, -int(-(TEXT * 1.2) // plot.band))
        for number, name in list(enumerate(names))[::stride]:
            self.shapes.append(Label(name, self.box.left - 4, plot.middle(number) - TEXT / 3, TEXT, GREY, "right"))
        self.shapes += chart_plots.lying(plot)
        zero = plot.at(0.0)
        self._line(zero, self.box.bottom, zero, self.box.top, AXIS)

    def _behind_bars(self) -> float:
        """Return the room that labels take behind the longest bars, up to half of what is left."""
        chart, scale = self.chart, self.chart.scale
        if not chart.labels or chart.stacked:
            return 0.0
        most = 0.0
        for series in chart.series:
            for value, label in zip(series.values, series.labels, strict=True):
                if value is not None and value >= 0:
                    part = chart_plots.part_of(value, scale)
                    # behind a bar that is a part of what is left there is the rest of that, and this room
                    behind = self.measure(label, TEXT) + 2 - self.box.width * (1 - part)
                    most = max(most, behind / part if part else 0.0)
        return min(most, self.box.width / 2)

    def _widest(self, scale: Scale) -> float:
        return max([self.measure(text, TEXT) for _, text in scale.marks], default=0.0)

    def _name_left(self, name: str) -> None:
        if name:
            text = self._cut(name, self.box.height)
            y = (self.box.bottom + self.box.top) / 2
            self.shapes.append(Label(text, self.box.left + TEXT, y, TEXT, GREY, "center", angle=90))
            self.box.left += TEXT * 1.7

    def _name_below(self, name: str) -> None:
        if name:
            text = self._cut(name, self.box.width)
            x = (self.box.left + self.box.right) / 2
            self.shapes.append(Label(text, x, self.box.bottom + 2, TEXT, GREY, "center"))
            self.box.bottom += TEXT * 1.5

    def _marks_below(self, scale: Scale, at: Callable[[float], float]) -> None:
        last = float("-inf")
        for value, text in scale.marks:
            x, half = at(value), self.measure(text, TEXT) / 2
            if scale.has_lines:
                self._line(x, self.box.bottom, x, self.box.top, GRID)
            if x - half > last + 3:  # texts never stand on each other
                self.shapes.append(Label(text, x, self.box.bottom - TEXT * 1.3, TEXT, GREY, "center"))
                last = x + half

    def _categories_below(self, plot: Plot) -> None:
        most = plot.band - 4 if plot.band >= NARROW else min(2 * NARROW, self.box.width)
        names = [self._cut(name, most) for name in self.chart.categories]
        widest = max([self.measure(name, TEXT) for name in names], default=0.0) + 4
        stride = max(1, -int(-widest // plot.band))
        for number, name in list(enumerate(names))[::stride]:
            self.shapes.append(Label(name, plot.middle(number), self.box.bottom - TEXT * 1.3, TEXT, GREY, "center"))

    def _line(self, x: float, y: float, to_x: float, to_y: float, color: str) -> None:
        self.shapes.append(Path(((x, y), (to_x, to_y)), line=color, width=0.6))
