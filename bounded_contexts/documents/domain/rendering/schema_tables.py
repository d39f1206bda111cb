"""The schema of tables: columns, rows, cells and groups of rows."""

from typing import Any, Final

from bounded_contexts.documents.domain.rendering.schema_parts import (
    BOOLEAN,
    EXPRESSION,
    NAME,
    STRING,
    TEXTS,
    WIDTH,
    a_list,
    an_object,
    integer,
    ref,
)
from bounded_contexts.documents.domain.rendering.schema_sheets import COLUMN_ON_SHEET, FORMULA, TABLE_ON_SHEET
from bounded_contexts.documents.domain.rendering.spans import OWN

COLUMNS: Final = 200
FUNCTIONS_OF_TOTALS: Final = ("sum", "avg", "min", "max", "count")
_CELLS: Final = a_list(ref("cell"), COLUMNS)
TABLE: Final = an_object(
    {
        "columns": a_list(ref("column"), COLUMNS, 1),
        "rows": ref("tableRows"),
        "headerRows": a_list(_CELLS, 20),
        "header": BOOLEAN,
        "repeatHeader": BOOLEAN,
        "footer": _CELLS,
        "repeatFooter": BOOLEAN,
        "breakRows": BOOLEAN,
        "groupBy": a_list(ref("rowGroup"), 3),
        "carried": an_object({"out": STRING, "in": STRING}, "out", "in"),
        "zebra": BOOLEAN,
        "borders": BOOLEAN,
        "caption": ref("text"),
        "style": ref("style"),
        "xlsx": TABLE_ON_SHEET,
    },
    "columns",
    "rows",
)
_ROWS: Final[dict[str, Any]] = {
    "type": ["object", "array"],
    "maxItems": 100_000,
    "items": _CELLS,
    "properties": {"each": STRING, "as": NAME},
    "required": ["each", "as"],
    "patternProperties": {"^x-": True},
    "additionalProperties": False,
}
TABLE_DEFS: Final[dict[str, Any]] = {
    "rows": _ROWS,
    "tableRows": {
        **_ROWS,
        "description": "lists of cells, a list of the data, or rows that follow the document",
        "properties": {**_ROWS["properties"], "$stream": NAME},
        "required": ["as"],
        "if": {"required": ["$stream"]},
        "else": {"required": ["each"]},
    },
    "cell": {
        "type": EXPRESSION["type"],
        "description": "an expression, or an object of what a cell is beside its value",
        "maxLength": TEXTS,
        "if": {"type": "object", "anyOf": [{"required": [name]} for name in OWN]},
        "then": ref("placedCell"),
        "else": EXPRESSION,
    },
    "placedCell": {
        **an_object(
            {
                "value": ref("expression"),
                "blocks": ref("nested"),
                "colSpan": integer(1, COLUMNS),
                "rowSpan": integer(1, 100),
                "style": ref("style"),
            }
        ),
        "type": EXPRESSION["type"],
    },
    "rowGroup": an_object({"value": ref("expression"), "header": STRING, "subtotal": STRING}, "value"),
    "column": an_object(
        {
            "key": NAME,
            "title": ref("text"),
            "width": WIDTH,
            "value": ref("expression"),
            "formula": FORMULA,
            "blocks": ref("nested"),
            "style": ref("style"),
            "titleStyle": ref("style"),
            "total": {"enum": list(FUNCTIONS_OF_TOTALS)},
            "totalText": STRING,
            "xlsx": COLUMN_ON_SHEET,
            "formats": a_list(an_object({"when": ref("expression"), "style": ref("style")}, "when", "style"), 50),
        },
    ),
}
