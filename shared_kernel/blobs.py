"""Large pieces of data outside of the database: named by whom they belong to, written once, read in parts."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from shared_kernel.errors import Refused


class BlobName(NamedTuple):
    """What a blob belongs to, and which of its blobs it is. Names are ids, never paths."""

    owner: UUID
    part: UUID


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that is there, whole."""

    size: int  # bytes
    sha256: str  # hex


class BlobTooLarge(Refused):
    """More was to be stored than was allowed; nothing is."""

    def __init__(self, allowed: int) -> None:
        super().__init__("payload_too_large", f"the limit is {allowed} bytes")
        self.more = {"limit": "bytes", "allowed": str(allowed)}


class Blobs(Protocol):
    """Where blobs are kept. Every method raises `Unavailable` when that cannot be reached or is full."""

    async def put(self, name: BlobName, pieces: AsyncIterable[bytes], limit: int) -> Stored:
        """Store what the pieces are together, at most `limit` bytes. It is there, whole and for good, when this returns, and not
        before; a former blob of the name is replaced. Raise `BlobTooLarge`; after that, and after what the pieces raise,
        everything is as before."""
        ...

    def read(self, name: BlobName, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `end`, not included, in pieces. Raise `NotFound`, also when it is deleted
        before the first piece; later it is read on."""
        ...

    async def delete(self, name: BlobName) -> None:
        """Have it there no more. Safe to repeat."""
        ...

    def before(self, moment: datetime) -> AsyncIterator[BlobName]:
        """Yield the names of what was stored before the moment, in no order; also of what was being stored then and was
        never finished, which `delete` removes as well."""
        ...
