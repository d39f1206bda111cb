"""The JSON Schema of "Headwater Document" 1.0 (2020-12), as docs/schemas/document-1.0.json publishes it.

Blocks are told apart by `type` with if and then, so that a fault in one says what is wrong there and nothing of the others.
"""

from typing import Final

from bounded_contexts.documents.domain.rendering.assets import ASSETS
from bounded_contexts.documents.domain.rendering.fonts import FAMILY, FONTS
from bounded_contexts.documents.domain.rendering.letterheads import LETTERHEAD
from bounded_contexts.documents.domain.rendering.numbering import FORMATS
from bounded_contexts.documents.domain.rendering.schema_graphics import BARCODE, CHART
from bounded_contexts.documents.domain.rendering.schema_layout import (
    IMAGE,
    LAYOUT_BLOCKS,
    NAMED,
    PARTIALS,
    RUN,
    WITH_ID,
)
from bounded_contexts.documents.domain.rendering.schema_marks import BACKGROUND, STAMPS, WATERMARK
from bounded_contexts.documents.domain.rendering.schema_parts import (
    ALIGN,
    BOOLEAN,
    COLOR,
    EXPRESSION,
    LENGTH,
    NAME,
    PROPERTIES,
    STRING,
    TEXTS,
    Schema,
)
from bounded_contexts.documents.domain.rendering.schema_parts import a_list as _list
from bounded_contexts.documents.domain.rendering.schema_parts import an_object as _object
from bounded_contexts.documents.domain.rendering.schema_parts import integer as _integer
from bounded_contexts.documents.domain.rendering.schema_parts import ref as _ref
from bounded_contexts.documents.domain.rendering.schema_sheets import SHEET, XLSX_OUTPUT
from bounded_contexts.documents.domain.rendering.schema_tables import TABLE, TABLE_DEFS
from bounded_contexts.documents.domain.rendering.standards import PDF_OUTPUT

ID: Final = "urn:headwater:document:1.0"
SIZES: Final = {
    "A3": (841.89, 1190.55),
    "A4": (595.28, 841.89),
    "A5": (419.53, 595.28),
    "letter": (612.0, 792.0),
    "legal": (612.0, 1008.0),
}
_TEXT_STYLE: Final = {
    "font": FAMILY,
    "size": {"type": "number", "minimum": 1, "maximum": 400},
    "bold": BOOLEAN,
    "italic": BOOLEAN,
    "underline": BOOLEAN,
    "strike": BOOLEAN,
    "color": COLOR,
}
_STYLE: Final = {
    **_TEXT_STYLE,
    "background": COLOR,
    "align": {"enum": ["left", "center", "right", "justify"]},
    "spaceBefore": LENGTH,
    "spaceAfter": LENGTH,
    "lineHeight": {"type": "number", "minimum": 0.8, "maximum": 5},
    "indent": LENGTH,
    "keepWithNext": BOOLEAN,
    "numberFormat": _ref("numberFormat"),
    "locked": BOOLEAN,
}
_COUNTING: Final = {"ordered": BOOLEAN, "start": _integer(0, 1_000_000), "format": {"enum": list(FORMATS)}}
_BLOCKS: Final[dict[str, Schema]] = {
    "heading": _object({"level": _integer(1, 6), "text": _ref("text"), "style": _ref("style")}, "level", "text"),
    "paragraph": _object({"text": _ref("text"), "style": _ref("style")}, "text"),
    "quote": _object({"text": _ref("text"), "style": _ref("style")}, "text"),
    "code": _object({"text": STRING, "style": _ref("style")}, "text"),
    "list": _object(
        {
            **_COUNTING,
            "continue": BOOLEAN,
            "style": _ref("style"),
            "items": _list(_ref("item"), 100_000),
        },
        "items",
    ),
    "table": TABLE,
    "image": _object(
        {
            "asset": NAME,
            "data": {
                "type": "string",
                "description": "a data URI of a PNG, JPEG, WebP or SVG",
                "pattern": "^data:image/(png|jpeg|webp|svg\\+xml);base64,",
            },
            "width": LENGTH,
            "height": LENGTH,
            "fit": {"enum": ["fill", "contain"]},
            **IMAGE,
            "alt": STRING,
            "align": ALIGN,
        },
        "alt",
    ),
    "rule": _object({"color": COLOR, "thickness": LENGTH}),
    "spacer": _object({"height": LENGTH}, "height"),
    "pageBreak": _object({}),
    "toc": _object({"title": _ref("text"), "levels": _list(_integer(1, 6), 2, 2), "style": _ref("style")}),
    "barcode": BARCODE,
    "chart": CHART,
    "sheet": SHEET,
    **LAYOUT_BLOCKS,
    "if": _object({"test": _ref("expression"), "then": _ref("body"), "else": _ref("body")}, "test", "then"),
    "repeat": _object({"each": STRING, "as": NAME, "body": _ref("body")}, "each", "as", "body"),
}
for _named in WITH_ID:
    _BLOCKS[_named]["properties"]["id"] = NAMED
BLOCKS: Final = tuple(_BLOCKS)
NESTED_BLOCKS: Final = tuple(
    name for name in BLOCKS if name not in ("pageBreak", "section", "sheet", "toc", "captions")
)
FURNITURE_BLOCKS: Final = ("paragraph", "image", "rule", "spacer", "columns")


def _told_apart(names: tuple[str, ...]) -> Schema:
    """A block by its `type`."""
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(names)}},
        "allOf": [
            {"if": {"required": ["type"], "properties": {"type": {"const": name}}}, "then": _ref(f"block-{name}")}
            for name in names
        ],
    }


def _typed(name: str, block: Schema) -> Schema:
    return {
        **block,
        "properties": {"type": {"const": name}, **block["properties"]},
        "required": ["type", *block["required"]],
    }


_FURNITURE: Final = _list(_told_apart(FURNITURE_BLOCKS), 20)
_DEFS: Final[Schema] = {
    "text": {"type": ["string", "array"], "maxLength": TEXTS, "maxItems": 10_000, "items": _ref("run")},
    "run": _object(
        {
            "text": STRING,
            "link": STRING,
            "field": {"enum": ["page", "pages", "date"]},
            "format": {"type": "string", "maxLength": 40},
            **RUN,
            "style": _ref("style"),
            **_TEXT_STYLE,
        },
        type=["string", "object"],
        maxLength=TEXTS,
    ),
    "style": {**_object(_STYLE), "type": ["string", "object"], "description": "the name of a style, or one of its own"},
    "namedStyle": _object({**_STYLE, "extends": NAME}),
    "expression": EXPRESSION,
    "numberFormat": _object(
        {
            "type": {"enum": ["number", "currency", "percent", "date"]},
            "digits": _integer(0, 30),
            "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            "pattern": {"type": "string", "maxLength": 40},
        },
        "type",
    ),
    "item": _object(
        {
            "text": _ref("text"),
            "items": _list(_ref("item"), 100_000),
            **_COUNTING,
        },
        "text",
        type=["string", "object"],
        maxLength=TEXTS,
    ),
    **TABLE_DEFS,
    "page": _object(
        {
            "size": {"enum": list(SIZES)},
            "width": LENGTH,
            "height": LENGTH,
            "orientation": {"enum": ["portrait", "landscape"]},
            "margins": _object(dict.fromkeys(("top", "right", "bottom", "left"), LENGTH)),
        }
    ),
    "furniture": _object(dict.fromkeys(("default", "first", "even"), _FURNITURE)),
    "body": _list(_told_apart(BLOCKS), 100_000),
    "nested": _list(_told_apart(NESTED_BLOCKS), 10_000),
    **{f"block-{name}": _typed(name, block) for name, block in _BLOCKS.items()},
}
DOCUMENT: Final[Schema] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": ID,
    "title": "Headwater Document 1.0",
    **_object(
        {
            "$schema": STRING,
            "version": {"type": "string", "pattern": "^1\\.[0-9]{1,3}$"},
            "meta": _object(
                {
                    "title": STRING,
                    "author": STRING,
                    "subject": STRING,
                    "keywords": _list(STRING, 100),
                    "properties": PROPERTIES,
                    "language": {"type": "string", "pattern": "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"},
                    "created": {
                        "type": "string",
                        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(Z|[+-][0-9]{2}:[0-9]{2})$",
                    },
                }
            ),
            "locale": {"type": "string", "pattern": "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$"},
            "timeZone": {"type": "string", "maxLength": 64},
            "strictness": {"enum": ["error", "warn", "ignore"]},
            "assets": ASSETS,
            "fonts": FONTS,
            "styles": {
                "type": "object",
                "maxProperties": 1_000,
                "propertyNames": NAME,
                "additionalProperties": _ref("namedStyle"),
            },
            "output": _object({"pdf": _object(PDF_OUTPUT), "xlsx": XLSX_OUTPUT}),
            "page": _ref("page"),
            "header": _ref("furniture"),
            "footer": _ref("furniture"),
            "letterhead": LETTERHEAD,
            "background": BACKGROUND,
            "watermark": WATERMARK,
            "stamps": STAMPS,
            "data": {"type": "object", "description": "what paths lead into"},
            "partials": PARTIALS,
            "body": _ref("body"),
        },
        "version",
        "body",
    ),
    "$defs": _DEFS,
}
