"""The JSON Schema of what pages have beside their blocks: a background, a watermark, stamps."""

from typing import Final

from bounded_contexts.documents.domain.rendering.schema_parts import (
    BOOLEAN,
    COLOR,
    LENGTH,
    NAME,
    Schema,
    a_list,
    an_object,
    ref,
)

_IMAGE: Final[Schema] = {
    "asset": NAME,
    "data": {
        "type": "string",
        "description": "a data URI of a PNG, JPEG, WebP or SVG",
        "pattern": "^data:image/(png|jpeg|webp|svg\\+xml);base64,",
    },
}
_MARK: Final[Schema] = {
    "text": {"type": "string", "minLength": 1, "maxLength": 200},
    **_IMAGE,
    "width": LENGTH,
    "when": ref("expression"),
    "color": COLOR,
    "opacity": {"type": "number", "minimum": 0, "maximum": 1},
    "angle": {"type": "number", "minimum": -90, "maximum": 90},
}
WATERMARK: Final[Schema] = an_object(_MARK)
BACKGROUND: Final[Schema] = an_object({"color": COLOR, **_IMAGE, "when": ref("expression")})
STAMPS: Final[Schema] = a_list(
    an_object(
        {
            **_MARK,
            "pages": {"enum": ["all", "first", "last"]},
            "x": LENGTH,
            "right": LENGTH,
            "y": LENGTH,
            "bottom": LENGTH,
            "size": {"type": "number", "minimum": 1, "maximum": 400},
            "border": BOOLEAN,
        }
    ),
    20,
)
