"""Directories for what other libraries read as files. They go when they are closed, or when their process ends; what a process
that was killed has left goes when the next one wants a directory of this kind."""

import fcntl
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Final

LOCK: Final = ".lock"
YOUNG_S: Final = 60.0  # seconds in which a directory may not have been locked yet


class Scratch:
    """An empty directory of this process and of those that it forks."""

    def __init__(self, kind: str) -> None:
        prefix = f"headwater-{kind}-"
        _sweep(prefix)
        self._directory = TemporaryDirectory(prefix=prefix)
        self._lock = _locked(self.path / LOCK)

    @property
    def path(self) -> Path:
        """Return where it is."""
        return Path(self._directory.name)

    def close(self) -> None:
        """Remove it with all that is in it."""
        self._directory.cleanup()
        os.close(self._lock)


def _sweep(prefix: str) -> None:
    for path in Path(gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # another user's, or one that somebody else is removing
            found = path.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < YOUNG_S:
                continue
            lock = _locked(path / LOCK)
            try:
                shutil.rmtree(path)
            finally:
                os.close(lock)


def _locked(path: Path) -> int:
    """Return the lock file, which nobody else holds. Raise `OSError` where somebody does."""
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
