"""How large an image is, read from its first bytes without decoding anything; an SVG is looked through."""

import base64
import binascii
import struct
from typing import Final, Protocol

from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.vectors import Vector, looks_like_svg, vector

SVG_TYPE: Final = "image/svg+xml"
WEBP_TYPE: Final = "image/webp"


class Pictures(Protocol):
    """Makes PNG of what not every target takes. The same image gives the same bytes."""

    def look_at(self, data: bytes) -> None:
        """Raise `Unwritable` for a PNG or JPEG that cannot be decoded: DOCX and XLSX would pass it on as it is."""

    def of_webp(self, data: bytes) -> bytes:
        """Return the image, of an animation the first one. Raise `Unwritable` for what cannot be decoded."""

    def faded(self, data: bytes, opacity: float) -> bytes:
        """Return an image of which so much shows, up to 1. Raise `Unwritable` for what cannot be decoded."""

    def of_vector(self, vector: Vector, width: int) -> bytes:
        """Return the drawing, so many pixels wide. Raise `Unwritable` for what cannot be drawn."""


def decoded(text: str, limits: RenderLimits) -> bytes:
    """Return the bytes of base64, with or without a data URI before it. Raise `Unwritable`, `TooLarge`."""
    text = text.partition(",")[2] if text.startswith("data:") else text
    if len(text) // 4 * 3 > limits.image_bytes:
        raise TooLarge("image_bytes", limits.image_bytes)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unwritable("bad_image", "an image's data is base64") from None


def pixels(data: bytes, limits: RenderLimits) -> tuple[str, float, float]:
    """Return media type, width and height. Raise `Unwritable` for what is no image, or an SVG that is not drawn, `TooLarge`."""
    if looks_like_svg(data):
        drawn = vector(data)
        return SVG_TYPE, drawn.width, drawn.height
    found = _png(data) or _jpeg(data) or _webp(data)
    if found is None or not found[1] or not found[2]:
        raise Unwritable("bad_image", "an image is a PNG, a JPEG, a WebP or an SVG")
    if found[1] * found[2] > limits.image_pixels:
        raise TooLarge("image_pixels", limits.image_pixels)
    return found


def _png(data: bytes) -> tuple[str, int, int] | None:
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return "image/png", width, height


def _jpeg(data: bytes) -> tuple[str, int, int] | None:
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return "image/jpeg", width, height
        at += 1 if kind == 0xFF else 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    return None


def _webp(data: bytes) -> tuple[str, int, int] | None:
    """The first chunk says it (RFC 9649), each kind in its own way."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            sides = [1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27)]
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            sides = [1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)]
        case _:
            sides = [int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28)]
    return WEBP_TYPE, sides[0], sides[1]
