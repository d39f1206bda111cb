"""Instructions that are a document and the rows that follow it, with stored assets before both: they are written, kept and
read as they come, whatever their length (docs/adr/0065)."""

from collections.abc import Mapping
from typing import Final

from bounded_contexts.documents.adapters import asset_instructions
from bounded_contexts.documents.adapters.engines.streaming import Joined
from infra.worker_frames import Source

MAGIC: Final = b"\0headwater lines 1\n"  # begins no JSON
_LENGTH: Final = 8  # bytes of the number that says how long the assets are


def head(assets: Mapping[str, bytes]) -> bytes:
    """Return what stands before the document's line."""
    packed = asset_instructions.packed(b"", assets)
    return b"".join([MAGIC, len(packed).to_bytes(_LENGTH, "big"), packed])


def begun(source: Source) -> tuple[bool, Joined]:
    """Return whether instructions are of this kind, and all of them, the part that says so left out."""
    first = _read(source, len(MAGIC))
    return first == MAGIC, Joined(b"" if first == MAGIC else first, source)


def assets_of(source: Source) -> dict[str, bytes]:
    """Take the assets of instructions of this kind; what is left are the lines."""
    length = int.from_bytes(_read(source, _LENGTH), "big")
    return asset_instructions.unpacked(_read(source, length))[1]


def _read(source: Source, size: int) -> bytes:
    """Return so many bytes, fewer at the end only."""
    found = bytearray()
    while len(found) < size and (piece := source.read(size - len(found))):
        found += piece
    return bytes(found)
