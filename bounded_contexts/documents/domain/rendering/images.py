"""How large a PNG or JPEG is, read from its first bytes without decoding anything."""

import base64
import binascii
import struct

from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.limits import RenderLimits


def decoded(text: str, limits: RenderLimits) -> bytes:
    """Return the bytes of base64, with or without a data URI before it. Raise `Unwritable`, `TooLarge`."""
    text = text.partition(",")[2] if text.startswith("data:") else text
    if len(text) // 4 * 3 > limits.image_bytes:
        raise TooLarge("image_bytes", limits.image_bytes)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unwritable("bad_image", "an image's data is base64") from None


def pixels(data: bytes, limits: RenderLimits) -> tuple[str, int, int]:
    """Return media type, width and height. Raise `Unwritable` for what is neither PNG nor JPEG, `TooLarge`."""
    found = _png(data) or _jpeg(data)
    if found is None or not found[1] or not found[2]:
        raise Unwritable("bad_image", "an image is a PNG or a JPEG")
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
