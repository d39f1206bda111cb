"""The JSON Schema of what is drawn: barcodes."""

from typing import Final

from bounded_contexts.documents.domain.rendering.barcodes import SYMBOLOGIES
from bounded_contexts.documents.domain.rendering.schema_parts import (
    ALIGN,
    BOOLEAN,
    LENGTH,
    STRING,
    Schema,
    an_object,
    integer,
)

BARCODE: Final[Schema] = an_object(
    {
        "symbology": {"enum": list(SYMBOLOGIES)},
        "value": {"type": "string", "minLength": 1, "maxLength": 4_000},
        "errorCorrection": {
            "enum": ["L", "M", "Q", "H", *map(str, range(9))],
            "description": "L, M, Q or H of qr, 0 to 8 of pdf417",
        },
        "size": LENGTH,
        "width": LENGTH,
        "height": LENGTH,
        "quietZone": integer(0, 50),
        "showText": BOOLEAN,
        "alt": STRING,
        "align": ALIGN,
    },
    "symbology",
    "value",
    "alt",
)
