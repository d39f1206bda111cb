"""Looks assets through before they are stored: what is not what it is said to be, or what no document may have, is refused."""

import io
from collections.abc import Callable
from typing import Final

import pypdfium2
from reportlab.pdfgen.canvas import Canvas

from bounded_contexts.documents.adapters.engines import font_files, pdf_pages
from bounded_contexts.documents.adapters.engines.fonts import own_face
from bounded_contexts.documents.adapters.engines.pictures import Pictures
from bounded_contexts.documents.application.asset_ports import Facts
from bounded_contexts.documents.domain.asset import KINDS, Kind, MediaType
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.images import SVG_TYPE, WEBP_TYPE, pixels
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.vectors import vector

TTF: Final = "font/ttf"
TRIED: Final = 1_000  # characters of a font that are set


def examined(media_type: MediaType, data: bytes, limits: RenderLimits) -> Facts:
    """Return what is known of an asset. Raise `Unwritable`, `TooLarge`."""
    return _BY_KIND[KINDS[media_type]](media_type, data, limits)


def _image(media_type: str, data: bytes, limits: RenderLimits) -> Facts:
    if len(data) > limits.image_bytes:
        raise TooLarge("image_bytes", limits.image_bytes)
    found, width, height = pixels(data, limits)
    if found != media_type:
        raise Unwritable("bad_image", f"it is not {media_type}, but {found}")
    pictures = Pictures()
    if found == SVG_TYPE:
        pictures.of_vector(vector(data), 100)
    elif found == WEBP_TYPE:
        pictures.of_webp(data)
    else:
        pictures.look_at(data)
    return {"width": round(width), "height": round(height)}


def _font(media_type: str, data: bytes, limits: RenderLimits) -> Facts:
    if len(data) > limits.font_bytes:
        raise TooLarge("font_bytes", limits.font_bytes)
    found = font_files.opened(data)
    if media_type == TTF and not found.is_quick:
        raise Unwritable("bad_font", "it has other outlines than those of TrueType: it is font/otf")
    _is_set(data)
    return {"family": found.family, "style": found.style, "glyphs": found.glyphs}


def _pdf(media_type: str, data: bytes, limits: RenderLimits) -> Facts:
    pages = pdf_pages.opened(data)
    try:
        with pypdfium2.PdfDocument(data) as pdf:
            for page in pdf:
                page.render(scale=0.2)
    except pypdfium2.PdfiumError:
        raise Unwritable("bad_pdf", "a PDF cannot be read") from None
    width, height = pages[0].sides
    return {"pages": len(pages), "width": round(width), "height": round(height)}


def _is_set(data: bytes) -> None:
    """Have the engines do what they would with it. Raise `Unwritable`."""
    font_files.renamed(data, "x", bold=False, italic=False)
    face = own_face(data)
    if face is None:
        return
    canvas = Canvas(io.BytesIO())
    try:
        canvas.setFont(face.font.fontName, 10)
        canvas.drawString(0, 0, "".join(sorted(face.widths)[:TRIED]))
        canvas.save()
    except Exception:  # the library has many ways to say no
        raise Unwritable("bad_font", "a font cannot be read") from None


_BY_KIND: Final[dict[Kind, Callable[[str, bytes, RenderLimits], Facts]]] = {"image": _image, "font": _font, "pdf": _pdf}
