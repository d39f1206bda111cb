"""Have processes of the suite take turns where they share a directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def taking_turns(directory: Path) -> Iterator[None]:
    """Have one process at a time work on the directory while the block lasts."""
    turn = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turn)
