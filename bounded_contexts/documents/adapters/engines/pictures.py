"""Images of kinds that not every target takes, as PNG."""

import io
from functools import lru_cache

import resvg_py
from PIL import Image as Raster

from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.vectors import Vector

KEPT = 8  # images: a document that says its own page numbers is laid out several times
FAILURES = (OSError, ValueError, SyntaxError, Raster.DecompressionBombError)


class Pictures:
    """Makes PNG. The same image gives the same bytes."""

    def look_at(self, data: bytes) -> None:
        """Raise `Unwritable` for a PNG or JPEG that cannot be decoded."""
        _look_at(data)

    def of_webp(self, data: bytes) -> bytes:
        """Return the image, of an animation the first one. Raise `Unwritable` for what cannot be decoded."""
        return _of_webp(data)

    def faded(self, data: bytes, opacity: float) -> bytes:
        """Return an image of which so much shows. Raise `Unwritable` for what cannot be decoded."""
        return _faded(data, opacity)

    def of_vector(self, vector: Vector, width: int) -> bytes:
        """Return the drawing, so many pixels wide. Raise `Unwritable` for what cannot be drawn."""
        return _of_vector(vector.svg, width)


@lru_cache(maxsize=KEPT)
def _look_at(data: bytes) -> None:
    try:
        with Raster.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
            image.load()
    except FAILURES:
        raise Unwritable("bad_image", "an image cannot be decoded") from None


@lru_cache(maxsize=KEPT)
def _of_webp(data: bytes) -> bytes:
    out = io.BytesIO()
    try:
        with Raster.open(io.BytesIO(data), formats=["WEBP"]) as image:
            image.convert("RGBA" if image.has_transparency_data else "RGB").save(out, "PNG")
    except FAILURES:
        raise Unwritable("bad_image", "an image cannot be decoded") from None
    return out.getvalue()


@lru_cache(maxsize=KEPT)
def _faded(data: bytes, opacity: float) -> bytes:
    out = io.BytesIO()
    try:
        with Raster.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
            shown = image.convert("RGBA")
    except FAILURES:
        raise Unwritable("bad_image", "an image cannot be decoded") from None
    shown.putalpha(shown.getchannel("A").point(lambda each: round(each * opacity)))
    shown.save(out, "PNG")
    return out.getvalue()


@lru_cache(maxsize=KEPT)
def _of_vector(svg: bytes, width: int) -> bytes:
    try:
        made = resvg_py.svg_to_bytes(svg_string=svg.decode(), width=width, dpi=96.0, skip_system_fonts=True)
    except ValueError:
        raise Unwritable("bad_image", "an SVG cannot be drawn") from None
    return bytes(made)
