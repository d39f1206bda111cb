"""What is drawn rather than written: barcodes and images, with their values filled in."""

from collections.abc import Mapping
from typing import Any, Final

from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.assets import content_of
from bounded_contexts.documents.domain.rendering.barcodes import SYMBOLOGIES, complete
from bounded_contexts.documents.domain.rendering.blocks import Barcode, Image
from bounded_contexts.documents.domain.rendering.images import SVG_TYPE, WEBP_TYPE, Pictures, decoded, pixels
from bounded_contexts.documents.domain.rendering.styles import points
from bounded_contexts.documents.domain.rendering.texts import Texts
from bounded_contexts.documents.domain.rendering.vectors import vector

LEAST: Final = 8.0  # points that a code is wide and high
DOTS: Final = 300 / 72  # of a point, in the image that an SVG becomes
SIDE: Final = 4_000.0  # dots of its sides, at most


def barcode(block: Mapping[str, Any], texts: Texts, pointer: str) -> Barcode:
    """Return a barcode. Raise `Unwritable` with the place for a value that its symbology cannot say."""
    symbology = block["symbology"]
    kind = SYMBOLOGIES[symbology]
    try:
        value = complete(symbology, texts.filled(block["value"]))
    except ValueError as error:
        raise Unwritable("bad_barcode", f"{pointer}/value: {error}") from None
    given = block.get("size")
    width = points(block.get("width", kind.width if given is None else given))
    height = points(block.get("height", kind.height if given is None else given))
    return Barcode(
        symbology,
        value,
        max(width, LEAST),
        max(height, LEAST),
        texts.filled(block["alt"]),
        block.get("errorCorrection", "M" if symbology == "qr" else None),
        int(block.get("quietZone", kind.quiet)),
        block.get("showText", kind.is_linear),
        block.get("align", "left"),
    )


def image(block: Mapping[str, Any], assets: Mapping[str, Any], texts: Texts, pictures: Pictures) -> Image:
    """Return an image as PNG or JPEG. Raise `Unwritable`, `TooLarge`."""
    limits = texts.context.limits
    data = decoded(block["data"], limits) if "data" in block else content_of(assets[block["asset"]], limits)
    media_type, across, down = pixels(data, limits)
    width, height = _sides(block, across, down)
    alt, align, drawn = texts.filled(block["alt"]), block.get("align", "left"), None
    if media_type == SVG_TYPE:
        drawn = vector(data)
        wide = min(width * DOTS, SIDE, SIDE * across / down)
        data, media_type = pictures.of_vector(drawn, max(round(wide), 1)), "image/png"
    elif media_type == WEBP_TYPE:
        data, media_type = pictures.of_webp(data), "image/png"
    else:
        pictures.look_at(data)
    return Image(data, media_type, width, height, alt, align, drawn)  # type: ignore[arg-type]


def _sides(block: Mapping[str, Any], across: float, down: float) -> tuple[float, float]:
    width = points(block["width"]) if "width" in block else None
    height = points(block["height"]) if "height" in block else None
    if width and height and block.get("fit") == "contain":
        scale = min(width / across, height / down)
        width, height = across * scale, down * scale
    if width is None and height is None:
        width = across * 0.75  # 96 pixels are an inch
    width = width if width is not None else (height or 0) * across / down
    height = height if height is not None else width * down / across
    return max(width, 1.0), max(height, 1.0)  # no image vanishes
