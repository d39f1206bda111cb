"""Instructions with the stored assets that they name, as these were when they were asked for: no document waits for, or is
changed by, what becomes of an asset (docs/adr/0067)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bounded_contexts.documents.domain.errors import TooLarge

MAGIC: Final = b"\0headwater assets 1\n"  # begins no JSON
REFERENCES: Final = 50  # of stored assets in one document
_LENGTH: Final = 8  # bytes of the number that says how long the assets are


class _Asset(msgspec.Struct, frozen=True):
    stored: str | None = None


class _Declared(msgspec.Struct, frozen=True):
    """The part of a document that says what is stored: all else is skipped, not read. A template with its data is within."""

    assets: dict[str, _Asset] = {}
    template: "_Declared | None" = None


_declared = msgspec.json.Decoder(_Declared).decode
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode: Any = msgspec.msgpack.Decoder(dict[str, bytes]).decode


def references(document: bytes) -> list[str]:
    """Return which stored assets a document names, each once. What is no document names none: whoever reads it says what is
    wrong. Raise `TooLarge` for too many."""
    try:
        declared = _declared(document)
    except (msgspec.MsgspecError, RecursionError):
        return []
    given = declared.template or declared
    found = sorted({each.stored for each in given.assets.values() if each.stored is not None})
    if len(found) > REFERENCES:
        raise TooLarge("stored_assets", REFERENCES)
    return found


def packed(instructions: bytes, assets: Mapping[str, bytes]) -> bytes:
    """Return the instructions with assets, by reference: the same bytes for the same; as they are where there are none."""
    if not assets:
        return instructions
    head = _encode(dict(assets))
    return b"".join([MAGIC, len(head).to_bytes(_LENGTH, "big"), head, instructions])


def unpacked(data: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Return what `packed` was given."""
    if not data.startswith(MAGIC):
        return data, {}
    begin = len(MAGIC) + _LENGTH
    end = begin + int.from_bytes(data[len(MAGIC) : begin], "big")
    return data[end:], _decode(memoryview(data)[begin:end])
