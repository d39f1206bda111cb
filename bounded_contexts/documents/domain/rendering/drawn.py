"""What is drawn rather than written: barcodes, with their values filled in."""

from collections.abc import Mapping
from typing import Any, Final

from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.barcodes import SYMBOLOGIES, complete
from bounded_contexts.documents.domain.rendering.blocks import Barcode
from bounded_contexts.documents.domain.rendering.styles import points
from bounded_contexts.documents.domain.rendering.texts import Texts

LEAST: Final = 8.0  # points that a code is wide and high


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
