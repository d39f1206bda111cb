"""The twin in memory of `infra/blobs_directory.py`, for unit tests: the same contract suite, nothing survives."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from datetime import UTC, datetime

from shared_kernel.blobs import BlobName, BlobTooLarge, Stored
from shared_kernel.errors import NotFound

PIECE = 65_536  # bytes that are read at a time


class MemoryBlobs:
    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self.kept: dict[BlobName, tuple[bytes, datetime]] = {}

    async def put(self, name: BlobName, pieces: AsyncIterable[bytes], limit: int) -> Stored:
        buffer = bytearray()
        async for piece in pieces:
            buffer += piece
            if len(buffer) > limit:
                raise BlobTooLarge(limit)
        self.kept[name] = bytes(buffer), self._now()
        return Stored(len(buffer), hashlib.sha256(buffer).hexdigest())

    async def read(self, name: BlobName, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if name not in self.kept:
            raise NotFound("blob_not_found", "there is no such blob, or not any more")
        wanted = self.kept[name][0][start:end]
        for at in range(0, len(wanted), PIECE):
            yield wanted[at : at + PIECE]

    async def delete(self, name: BlobName) -> None:
        self.kept.pop(name, None)

    async def before(self, moment: datetime) -> AsyncIterator[BlobName]:
        for name, (_, at) in list(self.kept.items()):
            if at < moment:
                yield name
