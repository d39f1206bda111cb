"""Files that only their owner may read, whatever the umask says."""

import os
from pathlib import Path


def opener(path: str, flags: int) -> int:
    """Open as `open` does, for its parameter of this name; a file that is made is closed to other accounts."""
    return os.open(path, flags, 0o600)


def write(path: Path, text: str) -> None:
    """Write a text file, closed to other accounts if it is made by this."""
    with open(path, "w", encoding="utf-8", opener=opener) as file:
        file.write(text)
