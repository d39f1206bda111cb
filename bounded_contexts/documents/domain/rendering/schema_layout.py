"""The schema of blocks that hold others, of sections, of lists of what has a caption, and of what runs refer to."""

from typing import Any, Final

from bounded_contexts.documents.domain.rendering.schema_parts import (
    BOOLEAN,
    COLOR,
    LENGTH,
    NAME,
    WIDTH,
    a_list,
    an_object,
    integer,
    ref,
)

NAMED: Final = {
    "type": "string",
    "description": "what refers here says this name",
    "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,31}$",
}
CAPTIONED: Final = ("table", "image")
WITH_ID: Final = (
    "heading",
    "paragraph",
    "quote",
    "code",
    "list",
    "table",
    "image",
    "barcode",
    "chart",
    "group",
    "columns",
)
LAYOUT_BLOCKS: Final[dict[str, Any]] = {
    "group": an_object(
        {
            "body": ref("nested"),
            "keepTogether": BOOLEAN,
            "border": an_object({"color": COLOR, "thickness": LENGTH}),
            "background": COLOR,
            "padding": LENGTH,
        },
        "body",
    ),
    "columns": an_object(
        {"items": a_list(ref("nested"), 12, 1), "widths": a_list(WIDTH, 12, 1), "gap": LENGTH}, "items"
    ),
    "captions": an_object({"of": {"enum": list(CAPTIONED)}, "title": ref("text"), "style": ref("style")}, "of"),
    "include": an_object(
        {
            "partial": NAME,
            "with": {
                "type": "object",
                "maxProperties": 50,
                "propertyNames": NAME,
                "additionalProperties": ref("expression"),
            },
        },
        "partial",
    ),
    "section": an_object(
        {
            "page": ref("page"),
            "header": ref("furniture"),
            "footer": ref("furniture"),
            "columns": integer(1, 6),
            "gap": LENGTH,
            "restartPageNumbers": integer(1, 1_000_000),
            "body": ref("body"),
        },
        "body",
    ),
}
RUN: Final[dict[str, Any]] = {
    "ref": NAMED,
    "show": {"enum": ["page", "title"]},
    "footnote": ref("text"),
    "break": {"const": True},
    "sub": BOOLEAN,
    "sup": BOOLEAN,
}
PARTIALS: Final = {
    "type": "object",
    "maxProperties": 1_000,
    "propertyNames": NAME,
    "additionalProperties": ref("nested"),
}
IMAGE: Final = {"caption": ref("text")}
