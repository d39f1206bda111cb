"""YAML in parts that are parsed by themselves: items of a list that is not indented, or documents. What is neither is one part.

What a text is made of shows at its end only, so it waits: in a file without a name, where it is more than a little."""

import re
import tempfile
from collections.abc import Iterator
from typing import IO, Final, Literal, NamedTuple

from bounded_contexts.documents.domain.errors import TooLarge

SPOOLED: Final = 4 << 20  # bytes of text that wait in memory
PART: Final = 64 * 1024  # bytes, at least
_NOTHING: Final = rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*"
_FIRST = re.compile(_NOTHING + rb"(?:---[ \t]*(?:#[^\n]*)?\r?\n" + _NOTHING + rb")?")  # before what a document is
# Lines that begin or end documents, or say something of those that follow.
_MARK = re.compile(rb"\n(?:(?:---|\.\.\.)(?=\s)|%)")
_BEGINS: Final = {"items": re.compile(rb"\n(?=- )"), "documents": re.compile(rb"\n(?=---\s)")}


class Part(NamedTuple):
    """Some of the text: whole lines. `line` is how many are before it."""

    text: bytes
    line: int
    is_last: bool


class Parts:
    """Holds a text, whose pieces are read here, until it has been read as a whole or part by part."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 – closed when all has been read
        self._head = b""
        try:
            begun, has_other_marks = self._gather(pieces)
        except BaseException:
            self._spool.close()
            raise
        self._size = self._spool.tell()
        match = _FIRST.match(self._head)
        self._begin = match.end() if match else 0
        is_list = self._head.startswith(b"- ", self._begin)
        self.kind: Literal["items", "documents", "whole"] = "whole"
        if self._size > PART and not has_other_marks:
            if begun > (b"---" in self._head[: self._begin]):
                self.kind = "documents"
            elif is_list:
                self.kind = "items"

    def _gather(self, pieces: Iterator[bytes]) -> tuple[int, bool]:
        """Return how many documents are said to begin, and whether other marks are there."""
        begun, has_others, before = 0, False, b"\n"
        for piece in pieces:
            self._spool.write(piece)
            if len(self._head) < PART:
                self._head += piece
            for mark in _MARK.findall(before + piece):
                begun += mark == b"\n---"
                has_others = has_others or mark != b"\n---"
            before = (before + piece)[-4:]  # too little for a mark that has been counted
        return begun, has_others

    def whole(self, limit: int) -> bytes:
        """Return the text. Raise `TooLarge` past the limit in bytes."""
        with self._spool as spool:
            if self._size > limit:
                raise TooLarge("item_bytes", limit)
            spool.seek(0)
            return spool.read()

    def each(self, limit: int) -> Iterator[Part]:
        """Yield the parts. Raise `TooLarge` for one past the limit in bytes."""
        begins = _BEGINS[self.kind]
        begin = self._begin if self.kind == "items" else 0
        line, waiting, enough = self._head.count(b"\n", 0, begin), bytearray(), PART
        with self._spool as spool:
            spool.seek(begin)
            while piece := spool.read(PART):
                waiting += piece
                while len(waiting) >= enough:
                    match = begins.search(waiting, PART // 2)
                    if match is None:
                        enough = 2 * len(waiting)
                        break
                    text = bytes(memoryview(waiting)[: match.end()])
                    del waiting[: match.end()]
                    enough = PART
                    yield Part(text, line, is_last=False)
                    line += text.count(b"\n")
                if len(waiting) > limit:
                    raise TooLarge("item_bytes", limit)
            yield Part(bytes(waiting), line, is_last=True)
