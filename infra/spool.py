"""Bytes on their way from one task to another: in memory while they are few, else in a file without a name."""

import asyncio
import os
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import IO

READ = 256 * 1024  # bytes that are read back at a time


class Spool:
    """One task puts, one gets, in order. What is put never waits for who gets; `emptied` is there to wait for."""

    def __init__(self, directory: Path | None, memory: int) -> None:
        """More than `memory` bytes go into a file in `directory`, which has no name and ends with the spool."""
        self._directory, self._memory = directory, memory
        self._pieces: deque[bytes] = deque()
        self._held = 0  # bytes of the pieces
        self._file: IO[bytes] | None = None
        self._got = self._put = 0  # places in the file
        self._using = threading.Lock()  # a thread whose task was cancelled works on
        self._changed = asyncio.Event()
        self._is_over = False
        self._error: BaseException | None = None
        self.size = 0  # bytes that were put so far

    async def put(self, piece: bytes) -> None:
        """Add a piece."""
        self.size += len(piece)
        if self._got == self._put and self._held < self._memory:
            self._pieces.append(piece)
            self._held += len(piece)
        else:
            await asyncio.to_thread(self._write, piece)
        self._changed.set()

    def end(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes, or why."""
        self._is_over, self._error = True, error
        self._changed.set()

    async def get(self) -> bytes:
        """Return a piece, none at the end. Raise what it ended with, once all before it was got."""
        while True:
            if self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                self._changed.set()
                return piece
            if self._got < self._put:
                piece = await asyncio.to_thread(self._read)
                self._changed.set()
                return piece
            if self._is_over:
                if self._error:
                    raise self._error
                return b""
            self._changed.clear()
            await self._changed.wait()

    async def emptied(self, to: int) -> None:
        """Return once no more than so many bytes wait in memory and none in the file."""
        while self._held > to or self._got < self._put:
            self._changed.clear()
            await self._changed.wait()

    async def over(self) -> None:
        """Return once nothing more comes. Raise what it ended with."""
        while not self._is_over:
            self._changed.clear()
            await self._changed.wait()
        if self._error:
            raise self._error

    def close(self) -> None:
        """Forget what is left. May be repeated."""
        self._pieces.clear()
        with self._using:
            if self._file:
                self._file.close()

    def _write(self, piece: bytes) -> None:
        with self._using:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 – `close` does
            elif self._got == self._put:  # nobody reads: begin again, so that the file does not grow
                self._file.truncate(0)
                self._got = self._put = 0
            written = 0
            while written < len(piece):
                written += os.pwrite(self._file.fileno(), piece[written:], self._put + written)
            self._put += written

    def _read(self) -> bytes:
        with self._using:
            assert self._file  # noqa: S101 – there are places in it
            piece = os.pread(self._file.fileno(), min(READ, self._put - self._got), self._got)
            self._got += len(piece)
            return piece
