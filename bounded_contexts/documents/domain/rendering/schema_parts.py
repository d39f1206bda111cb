"""Pieces that the JSON Schema of documents is made of: texts, lengths, names, and how objects and lists are said."""

from typing import Any, Final

Schema = dict[str, Any]
TEXTS: Final = 100_000  # characters of a text as it is written
COLOR: Final = {"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$"}
NAME: Final = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"}
LENGTH: Final = {
    "type": ["number", "string"],
    "description": "points, or a number with mm, cm, in or pt",
    "minimum": 0,
    "maximum": 14_400,
    "pattern": "^[0-9]{1,5}(\\.[0-9]{1,4})?(mm|cm|in|pt)$",
}
WIDTH: Final = {
    "type": ["number", "string"],
    "description": "a length, a share such as 1fr, or auto",
    "exclusiveMinimum": 0,
    "maximum": 14_400,
    "pattern": "^(auto|[0-9]{1,5}(\\.[0-9]{1,4})?(mm|cm|in|pt|fr))$",
}
ALIGN: Final = {"enum": ["left", "center", "right"]}
STRING: Final = {"type": "string", "maxLength": TEXTS}
EXPRESSION: Final = {
    "type": ["string", "number", "boolean", "null", "object"],
    "description": "a text with {{fields}}, a constant, or an object of one key: a path, an operation or a function",
    "minProperties": 1,
    "maxProperties": 1,
}
BOOLEAN: Final = {"type": "boolean"}


def ref(name: str) -> Schema:
    """A definition of the document's schema by its name."""
    return {"$ref": f"#/$defs/{name}"}


PROPERTIES: Final[Schema] = {
    "type": "object",
    "maxProperties": 100,
    "propertyNames": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"},
    "additionalProperties": ref("expression"),
}


def an_object(properties: Schema, *required: str, **more: Any) -> Schema:
    """An object that knows its properties; a name that begins with x- is anybody's."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "patternProperties": {"^x-": True},
        "additionalProperties": False,
        **more,
    }


def integer(least: int, most: int) -> Schema:
    """A whole number between two."""
    return {"type": "integer", "minimum": least, "maximum": most}


def a_list(of: Schema, most: int, least: int = 0) -> Schema:
    """A list of so many."""
    return {"type": "array", "items": of, "minItems": least, "maxItems": most}
