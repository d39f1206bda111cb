"""What a document calls its assets: with their content in it, or stored ones, whose content is given along with it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.images import decoded
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.schema_parts import NAME, Schema, an_object
from bounded_contexts.documents.domain.template import REFERENCE
from bounded_contexts.documents.domain.values import escaped

CONTENT: Final = "content"  # of a stored asset, once it is there; no document can say it
ASSETS: Final[Schema] = {
    "type": "object",
    "maxProperties": 1_000,
    "propertyNames": NAME,
    "additionalProperties": an_object(
        {
            "mediaType": {"enum": ["image/png", "image/jpeg", "image/webp", "image/svg+xml"]},
            "data": {"type": "string"},
            "stored": {"type": "string", "pattern": f"^{REFERENCE}$", "description": "logo@3, or logo for the newest"},
        },
        **{"if": {"required": ["stored"]}, "else": {"required": ["mediaType", "data"]}},
    ),
}


def equipped(document: dict[str, Any], stored: Mapping[str, bytes] | None) -> dict[str, Any]:
    """Return the document with the content of its stored assets, by reference; None where they are not known yet, as while a
    template is looked over."""
    if "assets" not in document:
        return document
    return {**document, "assets": {name: _equipped(asset, stored) for name, asset in document["assets"].items()}}


def _equipped(asset: dict[str, Any], stored: Mapping[str, bytes] | None) -> dict[str, Any]:
    if "stored" not in asset or (stored is not None and asset["stored"] not in stored):
        return asset
    return {**asset, CONTENT: None if stored is None else stored[asset["stored"]]}


def asset_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the assets of a document that is equipped, whatever it uses them for."""
    for name, asset in document.get("assets", {}).items():
        pointer = f"/assets/{escaped(name)}"
        if "stored" not in asset:
            continue
        if "data" in asset or "mediaType" in asset:
            yield Problem(pointer, "not_allowed", "an asset is stored or has its data here")
        elif CONTENT not in asset:
            yield Problem(
                f"{pointer}/stored", "unknown_asset", "no asset is stored under this name, or in this version"
            )


def content_of(asset: Mapping[str, Any], limits: RenderLimits) -> bytes:
    """Return what an asset is. Raise `Unwritable`, `TooLarge`."""
    return asset[CONTENT] if CONTENT in asset else decoded(asset["data"], limits)
