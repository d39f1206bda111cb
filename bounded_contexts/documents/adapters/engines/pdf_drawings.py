"""Drawings on pages of PDF, as vectors."""

from collections.abc import Iterator
from typing import Protocol

from bounded_contexts.documents.adapters.engines.canvas import Sheets, rgb
from bounded_contexts.documents.adapters.engines.drawing import Area, Drawing, Label, Path
from bounded_contexts.documents.adapters.engines.lines import Breaker
from bounded_contexts.documents.domain.rendering.blocks import Align, Run, Style


class Pages(Protocol):
    """What a drawing needs of the layout."""

    sheets: Sheets
    breaker: Breaker
    left: float
    width: float
    y: float

    @property
    def depth(self) -> float: ...

    @property
    def room(self) -> float: ...

    def need(self, height: float) -> None: ...


def place(pages: Pages, drawn: Drawing, align: Align) -> None:
    """Draw it where the next block stands, smaller where it would not fit on a page."""
    scale = min(1.0, pages.width / drawn.width, pages.depth / drawn.height)
    pages.need(drawn.height * scale)
    room = pages.width - drawn.width * scale
    x = pages.left + {"center": room / 2, "right": room}.get(align, 0.0)
    pages.y -= drawn.height * scale
    draw(drawn, pages.sheets, pages.breaker, x, pages.y, scale)
    pages.y -= min(4.0, max(pages.room, 0.0))


def draw(drawn: Drawing, sheets: Sheets, breaker: Breaker, x: float, y: float, scale: float = 1.0) -> None:
    """Draw it, its lower left corner at x, y."""
    sheets.draw(" ".join(_operators(drawn, x, y, scale)))
    for shape in drawn.shapes:
        if isinstance(shape, Label):
            _write(shape, sheets, breaker, x, y, scale)


def _operators(drawn: Drawing, x: float, y: float, scale: float) -> Iterator[str]:
    yield f"{scale:.6g} 0 0 {scale:.6g} {x:.3f} {y:.3f} cm 1 j"
    color = None
    for shape in drawn.shapes:
        if isinstance(shape, Area):
            if shape.color != color:
                color = shape.color
                yield f"{rgb(color)} rg"
            yield f"{shape.x:.3f} {shape.y:.3f} {shape.width:.3f} {shape.height:.3f} re f"
        elif isinstance(shape, Path):
            color = shape.fill or color
            yield from _path(shape)


def _path(path: Path) -> Iterator[str]:
    if path.fill:
        yield f"{rgb(path.fill)} rg"
    if path.line:
        yield f"{rgb(path.line)} RG {path.width:.3g} w"
    for number, step in enumerate(path.steps):
        yield f"{' '.join([f'{each:.3f}' for each in step])} {'c' if len(step) == 6 else 'l' if number else 'm'}"
    yield f"{'h ' if path.closed else ''}{'B' if path.fill and path.line else 'f' if path.fill else 'S'}"


def _write(label: Label, sheets: Sheets, breaker: Breaker, x: float, y: float, scale: float) -> None:
    style = Style(size=round(label.size * scale, 2), bold=label.bold, color=label.color)
    line = breaker.lines((Run(label.text, style),), float("inf"))[0]
    at = {"left": 0.0, "center": -line.width / 2, "right": -line.width}[label.anchor]
    x, y = x + label.x * scale, y + label.y * scale
    if not label.angle:
        sheets.line(line, x + at, y, line.width, "left")
        return
    with sheets.turned(x, y, label.angle):
        sheets.line(line, at, 0.0, line.width, "left")
