"""The JSON Schema of what is for workbooks only."""

from typing import Final

from bounded_contexts.documents.domain.rendering.schema_parts import (
    BOOLEAN,
    COLOR,
    LENGTH,
    STRING,
    TEXTS,
    Schema,
    a_list,
    an_object,
    integer,
    ref,
)
from bounded_contexts.documents.domain.rendering.sheets import DEEPEST, OPERATORS, PROTECTED, SHEETS, VALIDATED

NAMED: Final = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"}
FORMULA: Final = {"type": "string", "pattern": "^=", "maxLength": 8_192}
_CODE: Final = {"type": "string", "minLength": 1, "maxLength": 255}
_COMPARED: Final = {"type": ["number", "string"], "maxLength": 255}
PRINT: Final[Schema] = an_object(
    {
        "area": BOOLEAN,
        "titleColumns": integer(0, 50),
        "fitWidth": integer(0, 100),
        "fitHeight": integer(0, 1_000),
        "gridLines": BOOLEAN,
    }
)
_RULE: Final = an_object(
    {
        "kind": {"enum": ["cell", "contains", "duplicate", "top", "bottom", "scale", "bar"]},
        "operator": {"enum": list(OPERATORS)},
        "value": _COMPARED,
        "values": a_list(_COMPARED, 2, 2),
        "colors": a_list(COLOR, 3, 1),
        "style": ref("style"),
    },
    "kind",
)
_VALIDATION: Final = an_object(
    {
        "kind": {"enum": list(VALIDATED)},
        "values": a_list({"type": "string", "minLength": 1, "maxLength": 255}, 100, 1),
        "min": _COMPARED,
        "max": _COMPARED,
        "message": {"type": "string", "maxLength": 255},
        "warning": BOOLEAN,
    },
    "kind",
)
_PROTECT: Final = {
    **an_object({"allow": a_list({"enum": list(PROTECTED)}, len(PROTECTED))}),
    "type": ["boolean", "object"],
    "description": "locks all cells but those whose style has locked false; there is no password",
}
TABLE_ON_SHEET: Final[Schema] = an_object(
    {
        "sheet": STRING,
        "freeze": {**an_object({"header": BOOLEAN, "columns": integer(0, 50)}), "type": ["boolean", "object"]},
        "autofilter": BOOLEAN,
        "table": BOOLEAN,
        "name": NAMED,
        "hidden": BOOLEAN,
        "print": PRINT,
        "protect": _PROTECT,
        "outline": {"enum": ["open", "collapsed"]},
    }
)
COLUMN_ON_SHEET: Final[Schema] = an_object(
    {
        "hidden": BOOLEAN,
        "numberFormat": _CODE,
        "name": NAMED,
        "rules": a_list(_RULE, 50),
        "validation": _VALIDATION,
        "comment": STRING,
        "outline": integer(1, DEEPEST),
    }
)
XLSX_OUTPUT: Final[Schema] = an_object({"sheets": {"enum": list(SHEETS)}})


def _of_area(given: Schema) -> Schema:
    """The same, for cells that it names."""
    return {**given, "properties": {"cells": _AREA, **given["properties"]}, "required": ["cells", *given["required"]]}


_CELL: Final = {"type": "string", "pattern": "^[A-Z]{1,3}[1-9][0-9]{0,6}$"}
_AREA: Final = {"type": "string", "pattern": "^[A-Z]{1,3}[1-9][0-9]{0,6}(:[A-Z]{1,3}[1-9][0-9]{0,6})?$"}
_LINES: Final = {
    "type": "string",
    "description": "rows such as 2:5, or columns such as B:D",
    "pattern": "^([1-9][0-9]{0,6}:[1-9][0-9]{0,6}|[A-Z]{1,3}:[A-Z]{1,3})$",
}
_ANY: Final = ["string", "number", "boolean", "null", "object"]
SHEET: Final[Schema] = an_object(
    {
        "name": {"type": "string", "minLength": 1, "maxLength": 255},
        "cells": {
            "type": "object",
            "maxProperties": 100_000,
            "propertyNames": _CELL,
            "additionalProperties": an_object(
                {"value": ref("expression"), "formula": FORMULA, "style": ref("style"), "comment": STRING},
                type=_ANY,
                maxLength=TEXTS,
            ),
        },
        "merges": a_list(_AREA, 10_000),
        "widths": {
            "type": "object",
            "maxProperties": 1_000,
            "propertyNames": {"type": "string", "pattern": "^[A-Z]{1,3}$"},
            "additionalProperties": LENGTH,
        },
        "names": {
            "type": "object",
            "maxProperties": 1_000,
            "propertyNames": NAMED,
            "additionalProperties": _AREA,
        },
        "freeze": _CELL,
        "hidden": BOOLEAN,
        "rules": a_list(_of_area(_RULE), 1_000),
        "validations": a_list(_of_area(_VALIDATION), 1_000),
        "print": PRINT,
        "protect": _PROTECT,
        "outline": a_list(an_object({"lines": _LINES, "collapsed": BOOLEAN}, "lines"), 1_000),
    },
    "cells",
)
