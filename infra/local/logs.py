"""Read the log files of child processes, once or as they grow."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PAUSE_S = 0.2


def last(logs: Mapping[str, Path], lines: int) -> Iterator[tuple[str, str]]:
    """Yield (name, line) of the last `lines` lines of each log, log by log."""
    for name, log in logs.items():
        for line in _text(log, 0).splitlines()[-lines:] if lines else ():
            yield name, line


def follow(logs: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield (name, line) of what is written from now on, without an end."""
    read = {name: _size(log) for name, log in logs.items()}
    while True:
        for name, log in logs.items():
            if _size(log) < read[name]:  # set aside when its process was started again
                read[name] = 0
            # A line that is not complete yet waits for the next round.
            text = _text(log, read[name]).rpartition("\n")[0]
            if text:
                read[name] += len(text.encode(errors="surrogateescape")) + 1
                yield from ((name, line) for line in text.split("\n"))
        time.sleep(PAUSE_S)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _text(log: Path, offset: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="surrogateescape")
