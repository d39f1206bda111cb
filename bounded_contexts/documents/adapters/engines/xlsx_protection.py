"""Sheets whose cells nobody changes by mistake."""

from typing import Any, Final

from bounded_contexts.documents.domain.rendering.sheets import PROTECTED, Protection

_NAMES: Final = {
    "formatCells": "format_cells",
    "formatColumns": "format_columns",
    "formatRows": "format_rows",
    "insertColumns": "insert_columns",
    "insertRows": "insert_rows",
    "insertLinks": "insert_hyperlinks",
    "deleteColumns": "delete_columns",
    "deleteRows": "delete_rows",
    "sort": "sort",
    "filter": "autofilter",
    "objects": "objects",
}


def protect(sheet: Any, given: Protection | None) -> None:
    """Protect a sheet. Where several tables of one sheet say so, it allows what all of them do."""
    if given is None:
        return
    before = sheet.protect_options or dict.fromkeys(_NAMES.values(), True)
    allowed = {_NAMES[name]: name in given.allowed and before[_NAMES[name]] for name in PROTECTED}
    sheet.protect("", {**allowed, "scenarios": allowed["objects"]})
