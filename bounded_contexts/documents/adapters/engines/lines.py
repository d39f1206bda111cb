"""Runs broken into lines of a width."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from bounded_contexts.documents.adapters.engines.fonts import Face, cuts, face_of
from bounded_contexts.documents.domain.rendering.blocks import Note, Run, Runs, Style

_PIECES: Final = re.compile(r"\n|[ \t]+|[^ \t\n]+")
TAB: Final = "    "
SMALLER: Final = 0.65  # of the size, where a text stands lower or higher


@dataclass(slots=True)
class Piece:
    """A stretch of one style and face on a line, which nobody changes. Width in points."""

    text: str
    style: Style
    face: Face
    width: float
    link: str | None
    note: Note | None = None


@dataclass(slots=True)
class Line:
    """What stands on one line; `ends` where a paragraph or a forced line does."""

    pieces: list[Piece] = field(default_factory=list)
    width: float = 0.0
    ends: bool = False

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.width += piece.width

    def trimmed(self) -> "Line":
        """Return it without white space at its end."""
        while self.pieces and not self.pieces[-1].text.strip():
            self.width -= self.pieces.pop().width
        return self


class Breaker:
    """Breaks runs. `fields` says what `page` and `pages` are; characters that no font has are collected in `missing`."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.fields: Callable[[str], str] = lambda name: ""
        self.ahead = 0  # rooms of boxes between the page and what is laid out: columns, or pages

    def text(self, run: Run) -> str:
        """Return what a run says here."""
        return self.fields(run.field) if run.field else run.text

    def natural(self, runs: Runs) -> float:
        """Return how wide the widest line is when nothing is broken."""
        return max(line.width for line in self.lines(runs, float("inf")))

    def lines(self, runs: Runs, width: float) -> list[Line]:
        """Return the lines, one at least. A word that is wider than a line is broken."""
        if len(runs) == 1 and (plain := self._plain(runs[0], width)) is not None:
            return plain
        lines = [Line()]
        for word in self._words(runs):
            if word == "\n":
                lines[-1].trimmed().ends = True
                lines.append(Line())
                continue
            self._place(word, lines, width)
        lines[-1].trimmed().ends = True
        return lines

    def _plain(self, run: Run, width: float) -> list[Line] | None:
        """The lines of one run of one face, in which every word fits; None for any other."""
        text, style, face = self.text(run), run.style, face_of(run.style)
        if run.note is not None or style.script != "normal":
            return None
        try:
            across = face.width(text, style.size)
        except KeyError:  # the face lacks a character, as all do line breaks and tabs
            return None
        if across <= width:
            return [Line([Piece(text, style, face, across, run.link)], across, True)]
        return None if style.align == "justify" else _wrapped(text, run, face, width)

    def _place(self, word: "list[Piece] | str", lines: list[Line], width: float) -> None:
        pieces = word if isinstance(word, list) else []
        across = sum([piece.width for piece in pieces])
        line = lines[-1]
        if line.width + across <= width:
            for piece in pieces:
                line.add(piece)
            return
        if not pieces[0].text.strip():  # white space at the end of a line is nowhere
            line.trimmed()
            lines.append(Line())
            return
        if line.pieces and across <= width:
            line.trimmed()
            lines.append(Line(pieces, across))
            return
        self._broken(pieces, lines, width)

    def _broken(self, pieces: list[Piece], lines: list[Line], width: float) -> None:
        for piece in pieces:
            rest = piece.text
            while rest:
                room = width - lines[-1].width
                count = _fitting(rest, piece, room)
                if not count and not lines[-1].pieces:
                    count = 1
                if count:
                    part = rest[:count]
                    across = piece.face.width(part, piece.style.size)
                    lines[-1].add(Piece(part, piece.style, piece.face, across, piece.link, piece.note))
                    rest = rest[count:]
                if rest:
                    lines.append(Line())

    def _words(self, runs: Runs) -> "Iterator[list[Piece] | str]":
        word: list[Piece] = []
        blank = False
        for run in runs:
            style = _drawn(run.style)
            size = style.size
            for text in _PIECES.findall(self.text(run)):
                is_blank = text[0] in " \t"
                if word and (text == "\n" or is_blank or blank):
                    yield word
                    word = []
                if text == "\n":
                    yield text
                    continue
                blank = is_blank
                for cut, face in cuts(text.replace("\t", TAB), run.style, self.missing):
                    word.append(Piece(cut, style, face, face.width(cut, size), run.link, run.note))
        if word:
            yield word


@lru_cache(maxsize=256)
def _drawn(style: Style) -> Style:
    """A style as it is drawn: what stands lower or higher is smaller."""
    return style if style.script == "normal" else replace(style, size=round(style.size * SMALLER, 2))


def _fitting(text: str, piece: Piece, room: float) -> int:
    widths, size = piece.face.widths, piece.style.size
    for count, each in enumerate(text):
        room -= widths[each] * size
        if room < 0:
            return count
    return len(text)


def _wrapped(text: str, run: Run, face: Face, width: float) -> list[Line] | None:
    size = run.style.size
    blank = face.widths[" "] * size
    lines: list[Line] = []
    words: list[str] = []
    used = -blank
    for word in text.split(" "):
        across = face.of_word(word) * size
        if across > width:
            return None
        if words and used + blank + across > width:
            lines.append(_line(words, run, face))
            words, used = [], -blank
        if word or words or not lines:  # white space at the begin of a later line is nowhere
            words.append(word)
            used += blank + across
    lines.append(_line(words, run, face))
    lines[-1].ends = True
    return lines


def _line(words: list[str], run: Run, face: Face) -> Line:
    text = " ".join(words).rstrip()
    across = face.width(text, run.style.size)
    return Line([Piece(text, run.style, face, across, run.link)], across)
