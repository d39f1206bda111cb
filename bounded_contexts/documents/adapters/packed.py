"""Zip files that are written piece by piece, the same bytes each time."""

import zipfile
from typing import Final

LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # of every part, so that the same document is the same bytes


def entry(name: str) -> zipfile.ZipInfo:
    """Return the head of a part."""
    head = zipfile.ZipInfo(name, LONG_AGO)
    head.compress_type = zipfile.ZIP_DEFLATED
    return head


class Sink:
    """Where the packed file goes: what has been written is taken and forgotten."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        """Return what has been written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
