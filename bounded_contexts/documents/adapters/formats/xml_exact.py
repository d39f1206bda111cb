"""What was written as XML with `lossless`: each element says its kind, and its key where this is no name."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from bounded_contexts.documents.adapters.formats.xml_write import OWN
from bounded_contexts.documents.domain.errors import Unreadable, quoted
from bounded_contexts.documents.domain.values import Value

KIND: Final = f"{{{OWN}}}kind"
KEY: Final = f"{{{OWN}}}key"
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def exactly(element: Any) -> Value:
    """Return the value of the element. Raise `Unreadable` for what is none."""
    kind = element.get(KIND, "string")
    if kind == "map":
        return {_key(child): exactly(child) for child in element}
    if kind == "list":
        return [exactly(child) for child in element]
    text = element.text or ""
    return text if kind == "string" else _decoded(text, element)


def _decoded(text: str, element: Any) -> Value:
    try:
        value = _decode(text)
        msgspec.json.encode(value)  # which half of a surrogate pair cannot be
    except (msgspec.DecodeError, UnicodeEncodeError, ArithmeticError):
        raise Unreadable("bad_mark", f"{quoted(text)} is no value", line=element.sourceline) from None
    return value


def _key(element: Any) -> str:
    key = element.get(KEY)
    return local_name(element) if key is None else str(_decoded(key, element))


def local_name(element: Any) -> str:
    """Return the name without what stands before the colon."""
    return str(element.tag).rpartition("}")[2]
