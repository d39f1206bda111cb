"""Stamps of text, in their frames."""

from typing import Final

from bounded_contexts.documents.adapters.engines.drawing import Drawing, Label, Path, Shape
from bounded_contexts.documents.adapters.engines.lines import Breaker
from bounded_contexts.documents.domain.rendering.blocks import Run, Style
from bounded_contexts.documents.domain.rendering.marks import Mark

LINE: Final = 1.5  # points of a frame
PADDING: Final = 0.45  # of the text's size, round it
HEIGHT: Final = 0.72  # of the text's size: its capitals


def size_of(mark: Mark, breaker: Breaker) -> tuple[float, float]:
    """Return how wide and high a mark is by itself, in points."""
    if mark.image is not None:
        return mark.image.width, mark.image.height
    if not mark.text:
        return 1.0, 1.0  # a colour: whatever it fills
    around = 2 * (PADDING * mark.size + LINE)
    run = Run(mark.text, Style(size=mark.size, bold=True))
    return breaker.natural((run,)) + around, HEIGHT * mark.size + around


def stamp(mark: Mark, breaker: Breaker, text: str) -> Drawing:
    """Return a stamp whose text may be other than it says: as fonts can show it."""
    width, height = size_of(mark, breaker)
    base = PADDING * mark.size + LINE
    shapes: list[Shape] = [Label(text, width / 2, base, mark.size, mark.color, "center", bold=True)]
    if mark.has_border:
        near, right, top = LINE / 2, width - LINE / 2, height - LINE / 2
        corners = ((near, near), (right, near), (right, top), (near, top))
        shapes.append(Path(corners, None, mark.color, LINE, closed=True))
    return Drawing(width, height, tuple(shapes))
