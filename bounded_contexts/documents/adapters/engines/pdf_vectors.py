"""SVG on pages of PDF, as vectors. What reads SVG takes 10 MB, which documents without any do without."""

import io
from typing import Any

from reportlab.pdfgen.canvas import Canvas

from bounded_contexts.documents.domain.rendering.vectors import Vector


def shapes_of(vector: Vector) -> Any | None:
    """Return what is drawn as vectors; None for what is an image in PDF: gradients, clips, and paths that are none."""
    if not vector.is_plain:
        return None
    from svglib.svglib import svg2rlg

    try:
        drawing = svg2rlg(io.BytesIO(vector.svg))
        if drawing is None or not (drawing.width > 0 and drawing.height > 0):
            return None
        draw(Canvas(io.BytesIO()), drawing, drawing.width, drawing.height)  # which is where endless numbers come out
    except Exception:  # paths and numbers have many ways to be wrong
        return None
    return drawing


def draw(canvas: Any, shapes: Any, width: float, height: float) -> None:
    """Draw shapes from the lower left corner, as wide and high as said."""
    from reportlab.graphics import renderPDF

    canvas.saveState()
    canvas.scale(width / shapes.width, height / shapes.height)
    renderPDF.draw(shapes, canvas, 0, 0)
    canvas.restoreState()
