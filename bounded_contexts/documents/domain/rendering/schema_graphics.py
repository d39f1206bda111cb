"""The JSON Schema of what is drawn: barcodes and charts."""

from typing import Final

from bounded_contexts.documents.domain.rendering.barcodes import SYMBOLOGIES
from bounded_contexts.documents.domain.rendering.charts import KINDS
from bounded_contexts.documents.domain.rendering.schema_parts import (
    ALIGN,
    BOOLEAN,
    COLOR,
    EXPRESSION,
    LENGTH,
    STRING,
    Schema,
    a_list,
    an_object,
    integer,
    ref,
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
        "caption": ref("text"),
        "align": ALIGN,
    },
    "symbology",
    "value",
    "alt",
)
_END: Final = {"type": "number", "minimum": -1e15, "maximum": 1e15}
_AXIS: Final = {
    "title": STRING,
    "min": _END,
    "max": _END,
    "numberFormat": ref("numberFormat"),
    "gridLines": BOOLEAN,
}
CHART: Final[Schema] = an_object(
    {
        "kind": {"enum": list(KINDS)},
        "rows": ref("rows"),
        "category": ref("expression"),
        "series": a_list(
            an_object(
                {
                    "name": STRING,
                    "value": EXPRESSION,
                    "x": EXPRESSION,
                    "kind": {"enum": ["column", "line", "area"]},
                    "color": COLOR,
                }
            ),
            50,
            1,
        ),
        "title": STRING,
        "alt": STRING,
        "caption": ref("text"),
        "xAxis": an_object(_AXIS),
        "yAxis": an_object(_AXIS),
        "legend": {"enum": ["bottom", "right", "none"]},
        "labels": BOOLEAN,
        "stacked": BOOLEAN,
        "width": LENGTH,
        "height": LENGTH,
        "align": ALIGN,
    },
    "kind",
    "rows",
    "series",
    "alt",
)
