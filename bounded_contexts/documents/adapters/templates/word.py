"""DOCX templates: every part with markers becomes a program; all others stay as they are, byte by byte."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any, Final

from lxml import etree

from bounded_contexts.documents.adapters.templates import word_fields
from bounded_contexts.documents.adapters.templates.package import CONTENT_TYPES, Package
from bounded_contexts.documents.adapters.templates.program import (
    DECLARED,
    UNIQUE,
    Filling,
    Marks,
    Note,
    Once,
    Program,
    bad,
    gather,
    run,
)
from bounded_contexts.documents.adapters.templates.runs import DRAWN, WORD, WORDS, Dialect, Isolating, whole
from bounded_contexts.documents.adapters.templates.word_controls import place_controls
from bounded_contexts.documents.adapters.templates.word_media import Media, linked, pictured, relations_of
from bounded_contexts.documents.domain.rendering.markers import Marker
from bounded_contexts.documents.domain.rendering.variables import Variables
from bounded_contexts.documents.domain.values import Value

_TYPES: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml."
_STORIES: Final = frozenset(
    f"{_TYPES}{name}+xml" for name in ("document.main", "header", "footer", "footnotes", "endnotes", "comments")
)
_READ: Final = (
    frozenset(  # kinds of relationships to parts whose fields programs read, whatever type these say they are of
        ("header", "footer", "footnotes", "endnotes", "comments", "glossaryDocument", "settings")
    )
)
_CHART: Final = "application/vnd.openxmlformats-officedocument.drawingml.chart+xml"
_NOTES: Final = {f"{WORD}footnoteReference": "footnotes", f"{WORD}endnoteReference": "endnotes"}
_IDS: Final = "{http://schemas.microsoft.com/office/word/2010/wordml}"
_DRAWING: Final = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
_NUMBER: Final = "hw:number"  # of a note, until it is referred to
_INSTRUCTION: Final = etree.ProcessingInstruction


class WordTemplate:
    """A compiled template. Raises `Unreadable` for what is wrong with it."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._written: dict[str, list[str]] = {}  # notes by their part, while a document is being filled in
        self._media = Media(package)  # of the document that is being filled in
        self._shown: set[str] = set()  # parts that may have images and links
        self._programs: dict[str, Program] = {}
        self._notes: dict[str, tuple[str, dict[str, Program], Any]] = {}  # by kind: part, programs by id, the tree
        kinds = {name: package.type_of(name) for name in package.names}
        for kind in ("footnotes", "endnotes"):
            for name in [name for name, type_ in kinds.items() if type_ == f"{_TYPES}{kind}+xml"]:
                self._find_notes(kind, name)
        kept = {part for part, _, _ in self._notes.values()}
        for name, type_ in kinds.items():
            if (type_ in _STORIES or type_ == _CHART) and name not in kept:
                self._compile(name, DRAWN if type_ == _CHART else WORDS)
        self._check_others({name for name, type_ in kinds.items() if type_ in _STORIES})

    def gather(self, variables: Variables) -> None:
        """Gather what it needs."""
        for name in sorted(self._programs, key=lambda name: name != self._package.main):
            gather(self._programs[name], variables)

    def parts(self, filling: Filling) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield every part by name, with its pieces. Notes come behind what refers to them."""
        self._written = {part: [] for part, _, _ in self._notes.values()}
        self._media = Media(self._package)
        later = {CONTENT_TYPES, *[relations_of(part) for part in self._shown]} if self._shown else set()
        for name in self._package.names:
            if name in self._programs:
                yield name, self._pieces(name, filling)
            elif name not in self._written and name not in later:
                yield name, iter((self._package.read(name),))
        for part, _, root in self._notes.values():
            yield part, self._noted(part, root)
        if self._shown:
            for part in sorted(self._shown):
                yield relations_of(part), iter((self._media.relations(part),))
            yield from [(name, iter((data,))) for name, data in self._media.files.items()]
            yield CONTENT_TYPES, iter((self._media.content_types(),))

    def _pieces(self, name: str, filling: Filling) -> Iterator[bytes]:
        yield DECLARED.encode()
        for piece in run(self._programs[name], filling, set()):
            yield piece.encode()

    def _noted(self, part: str, root: Any) -> Iterator[bytes]:
        head, _, tail = etree.tostring(root, encoding="unicode").rpartition("</")
        yield f"{DECLARED}{head}{''.join(self._written[part])}</{tail}".encode()

    def _find_notes(self, kind: str, name: str) -> None:
        root = self._package.parsed(name)
        if not _has_markers(root, WORDS):
            return
        word_fields.check(root, name)
        programs = {}
        for note in list(root):
            if note.get(f"{WORD}type", "normal") == "normal":
                key = note.get(f"{WORD}id", "")
                root.remove(note)
                note.set(f"{WORD}id", _NUMBER)
                programs[key] = self._program(note, WORDS, f"{name}, note {key}")
        self._notes[kind] = (name, programs, root)

    def _compile(self, name: str, dialect: Dialect) -> None:
        root = self._package.parsed(name)
        if dialect is WORDS and not root.tag.startswith(WORD):
            raise bad(name, "it is no part of a DOCX file as programs write them (ECMA-376, transitional)")
        if dialect is WORDS:
            word_fields.check(root, name)
        if _has_markers(root, dialect):
            self._programs[name] = self._program(root, dialect, name)

    def _check_others(self, stories: set[str]) -> None:
        targets = {
            target
            for name in self._package.names
            for _, kind, target in self._package.relations(name)
            if kind in _READ and target not in stories
        }
        for name in sorted(targets):
            root = self._package.parsed(name)
            if not root.tag.startswith(WORD):
                raise bad(name, "it is no part of a DOCX file as programs write them (ECMA-376, transitional)")
            word_fields.check(root, name)

    def _program(self, root: Any, dialect: Dialect, place: str) -> Program:
        marks = Marks()
        part = place.partition(", note ")[0]
        isolating = Isolating(dialect, marks, partial(self._medium, part) if dialect is WORDS else None)
        for number, paragraph in enumerate(list(root.iter(dialect.paragraph)), 1):
            if isolating.paragraph(paragraph, f"{place}, paragraph {number}"):
                _unbind(paragraph)
        if dialect is DRAWN and isolating.controls:
            raise bad(place, "charts have fields only")
        place_controls(root, isolating.controls, marks)
        _part_copies(root, marks)
        if self._notes:
            self._refer(root, marks)
        return marks.program(root)

    def _medium(self, part: str, marker: Marker, run: Any) -> Callable[[Filling, Value], str]:
        self._shown.add(part)
        prefix = f"{run.prefix}:" if run.prefix else ""
        properties = run.find(f"{WORD}rPr")
        said = ""
        if properties is not None:
            properties = deepcopy(properties)
            etree.cleanup_namespaces(properties)  # else each link would declare all that the part does
            said = etree.tostring(properties, encoding="unicode", with_tail=False)

        def write(filling: Filling, value: Value) -> str:
            if marker.kind == "image":
                return pictured(marker, value, filling, part, self._media, prefix)
            return linked(marker, value, filling, part, self._media, (prefix, said))

        return write

    def _refer(self, root: Any, marks: Marks) -> None:
        for tag, kind in _NOTES.items():
            if kind in self._notes:
                part, programs, kept = self._notes[kind]
                for reference in list(root.iter(tag)):
                    body = programs.get(reference.get(f"{WORD}id", ""))
                    if body is None:
                        raise bad(part, "the document refers to a note that is not there")
                    note = marks.new("node", Note(self._noting(part, reference, kept), body))
                    reference.getparent().replace(reference, note)

    def _noting(self, part: str, reference: Any, kept: Any) -> Callable[[Filling, str], str]:
        first = max([0, *(whole(each.get(f"{WORD}id")) for each in kept)]) + 1
        named = f"{reference.prefix}:" if reference.prefix else ""
        tag = f"{named}{etree.QName(reference).localname}"

        def write(filling: Filling, note: str) -> str:
            number = first + len(self._written[part])
            self._written[part].append(
                note.replace(f'"{_NUMBER}"', f'"{number}"', 1)
            )  # the first is that of its element
            return f'<{tag} {named}id="{number}"/>'

        return write


def _has_markers(root: Any, dialect: Dialect) -> bool:
    return any(
        "{{" in "".join([each.text or "" for each in paragraph.iter(dialect.text)])
        for paragraph in root.iter(dialect.paragraph)
    )


def _unbind(paragraph: Any) -> None:
    """Free content controls from the store that programs would read their text from again."""
    for control in paragraph.iter(f"{WORD}sdt"):
        _free(control)
    for control in paragraph.iterancestors(f"{WORD}sdt"):
        _free(control)


def _free(control: Any) -> None:
    properties = control.find(f"{WORD}sdtPr")
    for each in list(properties) if properties is not None else ():
        if etree.QName(each).localname in ("dataBinding", "showingPlcHdr"):
            properties.remove(each)


def _part_copies(root: Any, marks: Marks) -> None:
    """See to it that the copies of what a loop repeats are told apart: drawings by other numbers, bookmarks by being in the
    first one only."""
    depth, found = 0, list[Any]()
    for node in root.iter():
        if node.tag is _INSTRUCTION:
            kind = marks.kind(node)
            depth += (kind in ("each", "if", "filled")) - (kind == "end")
        elif depth:
            found.append(node)
    for number, node in enumerate(found):
        if node.tag == _DRAWING:
            node.set("id", UNIQUE)
        elif node.tag in (f"{WORD}bookmarkStart", f"{WORD}bookmarkEnd"):
            node.tail = None
            once = Once(etree.tostring(node, encoding="unicode"), number)
            node.getparent().replace(node, marks.new("node", once))
        for name in ("paraId", "textId"):
            node.attrib.pop(f"{_IDS}{name}", None)
