"""Port `Blobs` in a directory: one file for each, under a name that is two ids.

A file is written under a name of its own, brought to the disk, then renamed: whoever is killed in between leaves a file that
`before` tells of, like any other that nobody needs. Several processes may use one directory, also over a network file system
whose renames are atomic.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar
from uuid import UUID, uuid4

from shared_kernel.blobs import BlobName, BlobTooLarge, Stored
from shared_kernel.errors import NotFound, Unavailable

PIECE = 1 << 20  # bytes that are read, or gathered before they are written, at a time: each is a thread's turn
UNFINISHED = ".part"

T = TypeVar("T")


class DirectoryBlobs:
    """The directory is made when something is first stored; nobody else may read in it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: BlobName, pieces: AsyncIterable[bytes], limit: int) -> Stored:
        path = self._path(name)
        # In the same directory: a rename between two might be a copy.
        waiting = path.with_name(f"{uuid4().hex}{UNFINISHED}")
        file = await _attempted(lambda: _created(waiting))
        digest, size = hashlib.sha256(), 0
        try:
            async for piece in _gathered(pieces):
                size += len(piece)
                if size > limit:
                    raise BlobTooLarge(limit)
                await _attempted(lambda piece=piece: _written(file, piece, digest.update))  # type: ignore[misc]
            await _attempted(lambda: _finished(file, waiting, path))
        finally:
            # Also when it is cancelled; a thread that still writes has the file open, not its name.
            with suppress(OSError):
                waiting.unlink(missing_ok=True)
            file.close()
        return Stored(size, digest.hexdigest())

    async def read(self, name: BlobName, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        file = await _attempted(lambda: _opened(self._path(name), start))
        at = start
        try:
            while end is None or at < end:
                size = PIECE if end is None else min(PIECE, end - at)
                piece = await _attempted(lambda size=size: file.read(size))  # type: ignore[misc]
                if not piece:
                    return
                at += len(piece)
                yield piece
        finally:
            file.close()

    async def delete(self, name: BlobName) -> None:
        path = self._path(name)
        await _attempted(lambda: _removed(path, path.with_name(name.part.hex + UNFINISHED)))

    async def before(self, moment: datetime) -> AsyncIterator[BlobName]:
        owners = await _attempted(lambda: _entries(self._root))
        for owner in owners:
            for name in await _attempted(lambda owner=owner: list(_old(owner, moment))):  # type: ignore[misc]
                yield name

    def _path(self, name: BlobName) -> Path:
        return self._root / name.owner.hex / name.part.hex


async def _attempted(work: Callable[[], T]) -> T:
    """Have a thread do it. Raise `NotFound` for a file that is not there, `Unavailable` for all else that is wrong."""
    try:
        return await asyncio.to_thread(work)
    except FileNotFoundError:
        raise NotFound("blob_not_found", "there is no such blob, or not any more") from None
    except OSError as error:
        raise Unavailable("storage_unavailable", error.strerror or type(error).__name__) from error


async def _gathered(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for piece in pieces:
        buffer += piece
        if len(buffer) >= PIECE:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


def _created(path: Path) -> IO[bytes]:
    path.parent.parent.mkdir(0o700, parents=True, exist_ok=True)
    for _ in range(3):
        path.parent.mkdir(0o700, exist_ok=True)
        with suppress(FileNotFoundError):  # somebody has just removed the empty directory
            return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", 0)
    raise OSError("the directory goes again and again")


def _written(file: IO[bytes], piece: bytes, digest: Callable[[bytes], None]) -> None:
    digest(piece)
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]


def _finished(file: IO[bytes], waiting: Path, path: Path) -> None:
    os.fsync(file.fileno())
    waiting.rename(path)
    for directory in (path.parent, path.parent.parent):  # the name has to survive as well
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _opened(path: Path, start: int) -> IO[bytes]:
    file = path.open("rb", 0)
    file.seek(start)
    return file


def _removed(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty, or gone already
        paths[0].parent.rmdir()


def _entries(root: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _old(owner: Path, moment: datetime) -> Iterator[BlobName]:
    with suppress(FileNotFoundError):
        for entry in os.scandir(owner):
            with suppress(ValueError, FileNotFoundError):  # no name of ours; gone meanwhile
                name = BlobName(UUID(hex=owner.name), UUID(hex=entry.name.removesuffix(UNFINISHED)))
                if datetime.fromtimestamp(entry.stat(follow_symlinks=False).st_mtime, UTC) < moment:
                    yield name
