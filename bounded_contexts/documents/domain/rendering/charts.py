"""Charts with all that is in them worked out: series, scales and the texts along them."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Final, Literal

from bounded_contexts.documents.domain.rendering.functions import DIVISION

if TYPE_CHECKING:
    from bounded_contexts.documents.domain.rendering.blocks import NumberFormat

ChartKind = Literal["bar", "column", "line", "area", "pie", "doughnut", "scatter", "combined"]
SeriesKind = Literal["column", "line", "area"]
Legend = Literal["bottom", "right", "none"]
KINDS: Final[tuple[ChartKind, ...]] = ("bar", "column", "line", "area", "pie", "doughnut", "scatter", "combined")
ROUND: Final = ("pie", "doughnut")
STACKED: Final = ("bar", "column", "area")
TICKS: Final = 7  # marks of a scale, at most
COLORS: Final = (
    "#4E79A7",
    "#F28E2B",
    "#59A14F",
    "#E15759",
    "#B07AA1",
    "#76B7B2",
    "#C9A227",
    "#D37295",
    "#9C755F",
    "#79706E",
)


@dataclass(frozen=True, slots=True)
class Series:
    """One series: as many values as there are categories, None where there is none. `labels` are the values as people read
    them; `across` has the places of a scatter's points."""

    name: str
    values: tuple[float | None, ...]
    labels: tuple[str, ...]
    color: str
    kind: SeriesKind = "column"
    across: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis of numbers: from where to where, with marks and their texts."""

    title: str = ""
    least: float = 0.0
    most: float = 1.0
    marks: tuple[tuple[float, str], ...] = ()
    has_lines: bool = True
    format: "NumberFormat | None" = None
    is_fixed: bool = False  # its ends are the document's


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in a box of points. Categories go along `x_title`'s axis; of a scatter, `across` is the scale there."""

    kind: ChartKind
    title: str
    alt: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    scale: Scale
    width: float
    height: float
    x_title: str = ""
    across: Scale | None = None
    legend: Legend = "none"
    labels: bool = False
    stacked: bool = False
    align: Literal["left", "center", "right", "justify"] = "left"

    def color_of(self, series: int, point: int) -> str:
        """Return the colour of a point: pieces of a pie have one each."""
        return COLORS[point % len(COLORS)] if self.kind in ROUND else self.series[series].color


def ends(values: Iterable[float], with_zero: bool) -> tuple[Decimal, Decimal]:
    """Return the least and the greatest value, 0 among them where bars begin there; 0 and 1 where there is none."""
    found = [Decimal(repr(value)) for value in values] or [Decimal(0), Decimal(1)]
    least, most = min(found), max(found)
    if with_zero:
        least, most = min(least, Decimal(0)), max(most, Decimal(0))
    if least == most:
        least, most = least - (0 if least == 0 else abs(least) / 2), most + (1 if most == 0 else abs(most) / 2)
    return least, most


def marks(least: Decimal, most: Decimal, lower: Decimal | None, upper: Decimal | None) -> list[Decimal]:
    """Return the marks of a scale over these values, 1, 2 or 5 times a power of ten apart, the first below the least and the
    last above the most, unless its ends are said."""
    least = least if lower is None else lower
    most = most if upper is None else upper
    step = _step(DIVISION.subtract(most, least))
    first = DIVISION.divide(least, step).to_integral_value(ROUND_CEILING if lower is not None else ROUND_FLOOR)
    last = DIVISION.divide(most, step).to_integral_value(ROUND_FLOOR if upper is not None else ROUND_CEILING)
    return [DIVISION.multiply(Decimal(at), step) for at in range(int(first), int(last) + 1)]


def _step(span: Decimal) -> Decimal:
    rough = DIVISION.divide(span, Decimal(TICKS - 1))
    power = Decimal(1).scaleb(rough.adjusted())
    for times in (1, 2, 5, 10):
        step = power * times
        if step >= rough:
            return step
    return power * 10
