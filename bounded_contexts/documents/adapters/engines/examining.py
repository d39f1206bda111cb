"""Looks assets through before they are stored: what is not what it is said to be, or what no document may have, is refused."""

from collections.abc import Callable
from typing import Final

from bounded_contexts.documents.adapters.engines.pictures import Pictures
from bounded_contexts.documents.application.asset_ports import Facts
from bounded_contexts.documents.domain.asset import KINDS, Kind, MediaType
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.images import SVG_TYPE, WEBP_TYPE, pixels
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.vectors import vector


def examined(media_type: MediaType, data: bytes, limits: RenderLimits) -> Facts:
    """Return what is known of an asset. Raise `Unwritable`, `TooLarge`."""
    return _BY_KIND[KINDS[media_type]](media_type, data, limits)


def _image(media_type: str, data: bytes, limits: RenderLimits) -> Facts:
    if len(data) > limits.image_bytes:
        raise TooLarge("image_bytes", limits.image_bytes)
    found, width, height = pixels(data, limits)
    if found != media_type:
        raise Unwritable("bad_image", f"it is not {media_type}, but {found}")
    pictures = Pictures()
    if found == SVG_TYPE:
        pictures.of_vector(vector(data), 100)
    elif found == WEBP_TYPE:
        pictures.of_webp(data)
    else:
        pictures.look_at(data)
    return {"width": round(width), "height": round(height)}


_BY_KIND: Final[dict[Kind, Callable[[str, bytes, RenderLimits], Facts]]] = {"image": _image}
