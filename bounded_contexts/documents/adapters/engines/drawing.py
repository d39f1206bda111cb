"""Drawings: areas, lines and texts in points, from the lower left corner, which each engine draws in its own way."""

from dataclasses import dataclass
from typing import Literal

Anchor = Literal["left", "center", "right"]
Step = tuple[float, float] | tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of one colour."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True, slots=True)
class Path:
    """From point to point: straight to two numbers, along a Bézier curve to six. It is filled, or a line of a width, or both."""

    steps: tuple[Step, ...]
    fill: str | None = None
    line: str | None = None
    width: float = 1.0
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text whose base line begins, has its middle or ends at x, y; `angle` in degrees against the clock."""

    text: str
    x: float
    y: float
    size: float
    color: str = "#000000"
    anchor: Anchor = "left"
    bold: bool = False
    angle: int = 0


Shape = Area | Path | Label


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes, the later ones above the earlier."""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    alt: str = ""
