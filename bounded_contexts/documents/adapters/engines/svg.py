"""Drawings as SVG, for engines that take one."""

from collections.abc import Iterable
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape

from bounded_contexts.documents.adapters.engines.drawing import Area, Drawing, Label, Path, Shape, Step
from bounded_contexts.documents.adapters.engines.fonts import FAMILIES

ANCHORS: Final = {"left": "start", "center": "middle", "right": "end"}


def svg(drawn: Drawing) -> bytes:
    """Return the drawing; it refers to nothing outside."""
    parts = []
    for color, alike in groupby(drawn.shapes, lambda shape: shape.color if isinstance(shape, Area) else None):
        shapes = list(alike)
        parts += [_areas(shapes, color, drawn.height)] if color else [_shape(each, drawn.height) for each in shapes]
    box = f'width="{drawn.width:.3f}" height="{drawn.height:.3f}" viewBox="0 0 {drawn.width:.3f} {drawn.height:.3f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{"".join(parts)}</svg>'.encode()


def _shape(shape: Shape, height: float) -> str:
    return (
        _path(shape, height) if isinstance(shape, Path) else _label(shape, height) if isinstance(shape, Label) else ""
    )


def _areas(areas: Iterable[Shape], color: str, height: float) -> str:
    drawn = "".join(
        [
            f"M{each.x:.3f} {height - each.y - each.height:.3f}h{each.width:.3f}v{each.height:.3f}h{-each.width:.3f}z"
            for each in areas
            if isinstance(each, Area)
        ]
    )
    return f'<path fill="{color}" d="{drawn}"/>'


def _path(path: Path, height: float) -> str:
    drawn = "".join([_step(number, step, height) for number, step in enumerate(path.steps)])
    look = f'fill="{path.fill or "none"}" stroke="{path.line or "none"}" stroke-width="{path.width:.3g}"'
    return f'<path {look} stroke-linejoin="round" d="{drawn}{"z" if path.closed else ""}"/>'


def _step(number: int, step: Step, height: float) -> str:
    places = [f"{height - each if at % 2 else each:.3f}" for at, each in enumerate(step)]
    return f"{'C' if len(step) == 6 else 'L' if number else 'M'}{' '.join(places)}"


def _label(label: Label, height: float) -> str:
    x, y = label.x, height - label.y
    turned = f' transform="rotate({-label.angle} {x:.3f} {y:.3f})"' if label.angle else ""
    weight = ' font-weight="bold"' if label.bold else ""
    font = f'font-family="{FAMILIES["sans"]}" font-size="{label.size:.3f}"{weight} fill="{label.color}"'
    place = f'x="{x:.3f}" y="{y:.3f}" text-anchor="{ANCHORS[label.anchor]}"{turned}'
    return f"<text {place} {font}>{escape(label.text)}</text>"
