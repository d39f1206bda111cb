"""What YAML's parser leaves to us: which documents a directive is for, and that nothing is printed."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TAG = re.compile(rb"%TAG[ \t]+(!(?:[\w-]*!)?)[ \t]+(\S+)")
_MARK = re.compile(rb"(---|\.\.\.)(?:\s|$)")
_NOTHING = re.compile(rb"\s*(?:#.*)?|%.*", re.DOTALL)
STDERR: Final = 2


def handles(text: bytes) -> list[dict[str, str]]:
    """Return handle → prefix of each document: directives are for the one that follows them, and stand at the beginning or
    behind the end of another. Elsewhere such lines are text."""
    found: list[dict[str, str]] = []
    if b"%TAG" not in text:
        return found
    said: dict[str, str] = {}
    is_within = False
    for line in text.split(b"\n"):
        if mark := _MARK.match(line):
            is_within = mark[1] == b"---"
            if is_within:
                found.append(said)
            said = {}
        elif is_within:
            continue
        elif tag := _TAG.match(line):
            said[tag[1].decode()] = tag[2].decode()
        elif not _NOTHING.fullmatch(line):
            is_within = True
            found.append({})  # a document without a mark
    return found


@contextmanager
def silent() -> Iterator[None]:
    """Have the process print nothing to its standard error: the parser prints the errors that it raises, and the input with
    them."""
    try:
        kept = os.dup(STDERR)
    except OSError:  # there is none
        yield
        return
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, STDERR)
        os.close(nothing)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
