"""Drawings as SVG, for engines that take one."""

from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape

from bounded_contexts.documents.adapters.engines.drawing import Area, Drawing, Label, Shape
from bounded_contexts.documents.adapters.engines.fonts import FAMILIES

ANCHORS: Final = {"left": "start", "center": "middle", "right": "end"}


def svg(drawn: Drawing) -> bytes:
    """Return the drawing; it refers to nothing outside."""
    parts = [
        _areas([each for each in shapes if isinstance(each, Area)], color, drawn.height)
        if color
        else "".join([_label(each, drawn.height) for each in shapes if isinstance(each, Label)])
        for color, shapes in ((color, list(shapes)) for color, shapes in groupby(drawn.shapes, _color))
    ]
    box = f'width="{drawn.width:.3f}" height="{drawn.height:.3f}" viewBox="0 0 {drawn.width:.3f} {drawn.height:.3f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{"".join(parts)}</svg>'.encode()


def _color(shape: Shape) -> str:
    return shape.color if isinstance(shape, Area) else ""


def _areas(areas: list[Area], color: str, height: float) -> str:
    drawn = "".join(
        [
            f"M{each.x:.3f} {height - each.y - each.height:.3f}h{each.width:.3f}v{each.height:.3f}h{-each.width:.3f}z"
            for each in areas
        ]
    )
    return f'<path fill="{color}" d="{drawn}"/>'


def _label(label: Label, height: float) -> str:
    x, y = label.x, height - label.y
    turned = f' transform="rotate({-label.angle} {x:.3f} {y:.3f})"' if label.angle else ""
    weight = ' font-weight="bold"' if label.bold else ""
    font = f'font-family="{FAMILIES["sans"]}" font-size="{label.size:.3f}"{weight} fill="{label.color}"'
    place = f'x="{x:.3f}" y="{y:.3f}" text-anchor="{ANCHORS[label.anchor]}"{turned}'
    return f"<text {place} {font}>{escape(label.text)}</text>"
