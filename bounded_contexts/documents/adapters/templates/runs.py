"""Markers in texts that are cut into runs: programs cut one word into several, so markers are looked for in the whole text of a
paragraph, and each is given a place of its own in the format of the run in which it begins."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape

from lxml import etree

from bounded_contexts.documents.adapters.templates.pairs import Control
from bounded_contexts.documents.adapters.templates.program import Field, Filling, Marks, Medium, bad
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.rendering.functions import text_of
from bounded_contexts.documents.domain.rendering.markers import Marker, markers
from bounded_contexts.documents.domain.rendering.problems import BadExpression
from bounded_contexts.documents.domain.rendering.texts import clean
from bounded_contexts.documents.domain.values import Value

WORD: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
DRAWING: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
SHEET: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
CONTROL: Final = "hw-control"  # stands for a marker that is no field, until it is known what it goes round
CHARACTERS: Final = 100_000  # of a paragraph with markers
_ESCAPE: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_SPACE: Final = "{http://www.w3.org/XML/1998/namespace}space"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a language calls paragraphs, runs and texts."""

    paragraph: str
    run: str
    text: str
    properties: str
    breaks: bool = False  # whether a run holds line breaks and tabs

    @classmethod
    def of(cls, namespace: str, paragraph: str = "p", *, breaks: bool = False) -> "Dialect":
        """Return the dialect of a namespace."""
        return cls(f"{namespace}{paragraph}", f"{namespace}r", f"{namespace}t", f"{namespace}rPr", breaks)


WORDS: Final = Dialect.of(WORD, breaks=True)
DRAWN: Final = Dialect.of(DRAWING)
INLINE: Final = Dialect.of(SHEET, "is")


Writing = Callable[[Marker, Any], Callable[[Filling, Value], str]]  # of a marker and the run that it begins in


class Isolating:
    """Gives markers places of their own."""

    def __init__(self, dialect: Dialect, marks: Marks, medium: Writing | None = None) -> None:
        """`medium` says how images and links are written, where there may be any."""
        self._dialect, self._marks, self._medium = dialect, marks, medium
        self.controls: dict[str, Control] = {}

    def paragraph(self, paragraph: Any, place: str) -> bool:
        """Isolate a paragraph's markers. Return whether it has any. Raise `Unreadable`, `TooLarge`."""
        texts = [each for each in paragraph.iter(self._dialect.text) if self._is_own(each, paragraph)]
        whole = "".join([each.text or "" for each in texts])
        if "{{" not in whole:
            return False
        if len(whole) > CHARACTERS:
            raise TooLarge("paragraph_characters", CHARACTERS)
        try:
            found = list(markers(whole, has_media=self._medium is not None))
        except BadExpression as error:
            raise bad(place, str(error)) from None
        cuts = _cuts(found, len(whole))
        at, of_runs = 0, dict[Any, dict[Any, tuple[int, int]]]()
        for text in texts:
            end = at + len(text.text or "")
            of_runs.setdefault(text.getparent(), {})[text] = (at, end)
            at = end
        for run, spans in of_runs.items():
            self._run(run, spans, cuts, paragraph, place)
        return bool(found)

    def _is_own(self, text: Any, paragraph: Any) -> bool:
        run = text.getparent()
        if run.tag != self._dialect.run:
            return False
        return next(run.iterancestors(self._dialect.paragraph), None) is paragraph

    def _run(
        self,
        run: Any,
        spans: dict[Any, tuple[int, int]],
        cuts: "list[tuple[int, int, Marker | None]]",
        paragraph: Any,
        place: str,
    ) -> None:
        begin, end = min(start for start, _ in spans.values()), max(end for _, end in spans.values())
        if not any(marker and first < end and begin < last for first, last, marker in cuts):
            return
        made: list[Any] = [_like(run, self._dialect)]
        for child in list(run):
            if child in spans:
                for piece in _pieces(child.text or "", spans[child], cuts):
                    self._piece(piece, run, made, paragraph, place)
            elif child.tag != self._dialect.properties:
                made[-1].append(child)
        for each in made:
            if each.tag != self._dialect.run or any(child.tag != self._dialect.properties for child in each):
                run.addprevious(each)
        run.getparent().remove(run)

    def _piece(self, piece: "str | Marker", run: Any, made: list[Any], paragraph: Any, place: str) -> None:
        if not self._dialect.breaks and any(child.tag != self._dialect.properties for child in made[-1]):
            made.append(_like(run, self._dialect))  # such a run holds one text
        if isinstance(piece, str):
            text = etree.SubElement(made[-1], self._dialect.text)
            text.text = piece
            if self._dialect is not DRAWN:
                text.set(_SPACE, "preserve")
        elif piece.kind == "field":
            made[-1].append(self._marks.new("node", Field(piece, _writing(run.prefix, self._dialect), place)))
        elif piece.kind in ("image", "link") and self._medium is not None:
            made[-1].append(self._marks.new("node", Medium(piece, self._medium(piece, run), place)))
        else:
            node = etree.Element(CONTROL)
            node.set("n", str(len(self.controls)))
            self.controls[node.get("n")] = Control(piece, node, paragraph, place)
            made += [node, _like(run, self._dialect)]


def _cuts(found: list[Marker], length: int) -> list[tuple[int, int, Marker | None]]:
    cuts: list[tuple[int, int, Marker | None]] = []
    at = 0
    for marker in found:
        cuts.append((at, marker.start, None))
        cuts.append((marker.start, marker.end, marker))
        at = marker.end
    return [*cuts, (at, length, None)]


def _pieces(text: str, span: tuple[int, int], cuts: list[tuple[int, int, Marker | None]]) -> Iterator[str | Marker]:
    start, end = span
    for first, last, marker in cuts:
        if marker is None:
            if piece := text[max(first - start, 0) : max(last - start, 0)]:
                yield piece
        elif start <= first < end:
            yield "{{" if marker.kind == "brace" else marker


def _like(run: Any, dialect: Dialect) -> Any:
    made = etree.Element(run.tag, attrib=run.attrib, nsmap=run.nsmap)
    properties = run.find(dialect.properties)
    if properties is not None:
        made.append(deepcopy(properties))
    return made


def _writing(prefix: str | None, dialect: Dialect) -> Callable[[Value], str]:
    named = f"{prefix}:" if prefix else ""
    tag = f"<{named}t" + (' xml:space="preserve">' if dialect is not DRAWN else ">")

    def write(value: Value) -> str:
        text = clean(text_of(value))
        if not dialect.breaks:
            return f"{tag}{safe(text) if dialect is INLINE else escape(text)}</{named}t>"
        lines = text.split("\n")
        written = []
        for number, line in enumerate(lines):
            cells = f"<{named}tab/>".join([f"{tag}{escape(cell)}</{named}t>" for cell in line.split("\t")])
            written.append(f"<{named}br/>{cells}" if number else cells)
        return "".join(written)

    return write


def safe(text: str) -> str:
    """Return the text as sheets hold it: `_x0041_` in it is none of their escapes."""
    return escape(_ESCAPE.sub("_x005F_", text))


def whole(text: str | None, default: int = 0) -> int:
    """Return a number of a file, the default where it says none. Raise `Unreadable` for what is no number."""
    if text is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,10}", text.strip(), re.ASCII):
        raise Unreadable("bad_template", f"{text[:20]!r} is no number")
    return int(text)
