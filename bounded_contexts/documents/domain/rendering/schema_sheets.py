"""The JSON Schema of what is for workbooks only."""

from typing import Final

from bounded_contexts.documents.domain.rendering.schema_parts import (
    BOOLEAN,
    COLOR,
    STRING,
    Schema,
    a_list,
    an_object,
    integer,
    ref,
)
from bounded_contexts.documents.domain.rendering.sheets import OPERATORS, SHEETS, VALIDATED

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
TABLE_ON_SHEET: Final[Schema] = an_object(
    {
        "sheet": STRING,
        "freeze": {**an_object({"header": BOOLEAN, "columns": integer(0, 50)}), "type": ["boolean", "object"]},
        "autofilter": BOOLEAN,
        "table": BOOLEAN,
        "name": NAMED,
        "hidden": BOOLEAN,
        "print": PRINT,
    }
)
COLUMN_ON_SHEET: Final[Schema] = an_object(
    {
        "hidden": BOOLEAN,
        "numberFormat": _CODE,
        "name": NAMED,
        "rules": a_list(_RULE, 50),
        "validation": _VALIDATION,
    }
)
XLSX_OUTPUT: Final[Schema] = an_object({"sheets": {"enum": list(SHEETS)}})
