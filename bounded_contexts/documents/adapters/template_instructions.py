"""Instructions that are a template and its data: both as they were, so that the document needs neither a second time."""

from typing import Final

import msgspec

from bounded_contexts.documents.domain.rendering.telling import Strictness

MAGIC: Final = b"\0headwater template 1\n"  # begins no JSON


class Templated(msgspec.Struct, frozen=True):
    """A template's content and a JSON object; nothing of the rest means as docs/templates.md says."""

    template: bytes
    data: bytes
    locale: str | None = None
    time_zone: str | None = None
    strictness: Strictness | None = None


_decode = msgspec.msgpack.Decoder(Templated).decode


def packed(templated: Templated) -> bytes:
    """Return it as instructions: the same bytes for the same."""
    return MAGIC + msgspec.msgpack.encode(templated)


def unpacked(instructions: bytes) -> Templated | None:
    """Return what `packed` was given, None for instructions of another kind."""
    return _decode(instructions[len(MAGIC) :]) if instructions.startswith(MAGIC) else None
