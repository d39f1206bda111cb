"""What JSON Schema cannot say of what is drawn."""

from collections.abc import Iterator
from typing import Any

from bounded_contexts.documents.domain.rendering.barcodes import SYMBOLOGIES, complete
from bounded_contexts.documents.domain.rendering.problems import Problem


def barcode_problems(block: dict[str, Any], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with a barcode; a value out of the data is looked at when it is rendered."""
    symbology = block["symbology"]
    kind = SYMBOLOGIES[symbology]
    if block.get("errorCorrection", "") not in ("", *kind.levels):
        said = f"{symbology} has {', '.join(kind.levels)}" if kind.levels else f"{symbology} has no levels of it"
        yield Problem(f"{pointer}/errorCorrection", "not_allowed", said)
    if block.get("showText") and not kind.is_linear:
        yield Problem(f"{pointer}/showText", "not_allowed", "a code of areas has no readable text")
    if "size" in block and ("width" in block or "height" in block):
        yield Problem(f"{pointer}/size", "not_allowed", "a code has either a size or width and height")
    if "{{" not in block["value"]:
        try:
            complete(symbology, block["value"])
        except ValueError as error:
            yield Problem(f"{pointer}/value", "bad_barcode", str(error))
