"""A part of a template as a program: what stays as it is, and what is filled in between. It is run piece by piece, and what
it writes is never looked at again, so that no data becomes a marker."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from lxml import etree

from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.rendering.expressions import each_of, truth
from bounded_contexts.documents.domain.rendering.functions import Context, told
from bounded_contexts.documents.domain.rendering.markers import Loop, Marker
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.rendering.variables import Variables
from bounded_contexts.documents.domain.values import Value

DECLARED: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
UNIQUE: Final = "hw:unique"  # an attribute's value that is another number each time
_MARK: Final = "hw"
_SPLIT = re.compile(rf"<\?{_MARK} (\d+)\?>")
_UNIQUE = re.compile(f'"{UNIQUE}"')


class Filling:
    """What is known while a template is filled in."""

    def __init__(self, context: Context, telling: Telling, zone: ZoneInfo) -> None:
        self.context, self.telling, self.zone = context, telling, zone
        self._blocks = 0
        self._unique = 1 << 20

    def repeated(self) -> None:
        """Count what is written once more. Raise `TooLarge` past the limit."""
        self._blocks += 1
        if self._blocks > self.context.limits.rows:
            raise TooLarge("rows", self.context.limits.rows)

    def unique(self) -> int:
        """Return a number that was not given before."""
        self._unique += 1
        return self._unique


@dataclass(frozen=True, slots=True)
class Field:
    """A value, and how it is written where it stands."""

    marker: Marker
    write: Callable[[Value], str]
    place: str


@dataclass(frozen=True, slots=True)
class Medium:
    """An image or a link, and how it is written where it stands."""

    marker: Marker
    write: Callable[[Filling, Value], str]
    place: str


@dataclass(frozen=True, slots=True)
class Each:
    loop: Loop
    body: "Program"
    place: str


@dataclass(frozen=True, slots=True)
class If:
    marker: Marker
    then: "Program"
    other: "Program"
    place: str


@dataclass(frozen=True, slots=True)
class Filled:
    """What may not be empty: `instead` stands where nothing came of it."""

    body: "Program"
    instead: str


@dataclass(frozen=True, slots=True)
class Once:
    """What stands in a file once, such as a bookmark of one name: `seen` is filled by the first run."""

    xml: str
    number: int


@dataclass(frozen=True, slots=True)
class Note:
    """A reference to a footnote, which is filled in where it is referred to: by its `body`."""

    write: Callable[[Filling, str], str]
    body: "Program"


@dataclass(frozen=True, slots=True)
class Numbered:
    """Text with numbers in it that are other ones each time."""

    pieces: tuple[str, ...]


Node = str | Field | Medium | Each | If | Filled | Once | Note | Numbered
Program = tuple[Node, ...]


def run(program: Program, filling: Filling, seen: set[int]) -> Iterator[str]:
    """Yield what the program writes. Raise `TooLarge`, and `Unwritable` where strictness is error."""
    for node in program:
        if isinstance(node, str):
            yield node
        elif isinstance(node, Field):
            filling.telling.pointer = node.place
            yield node.write(told(filling.context, evaluated(node.marker, filling.context)))
        elif isinstance(node, Each):
            yield from _each(node, filling, seen)
        elif isinstance(node, If):
            filling.telling.pointer = node.place
            yield from run(node.then if truth(evaluated(node.marker, filling.context)) else node.other, filling, seen)
        else:
            yield from _special(node, filling, seen)


def evaluated(marker: Marker, context: Context) -> Value:
    """Return what a field or a condition comes to."""
    return marker.value(context) if marker.value else None


def _each(node: Each, filling: Filling, seen: set[int]) -> Iterator[str]:
    filling.telling.pointer = node.place
    for _ in each_of(filling.context, node.loop.path, node.loop.told, node.loop.name):
        filling.repeated()
        yield from run(node.body, filling, seen)


def _special(node: Medium | Filled | Once | Note | Numbered, filling: Filling, seen: set[int]) -> Iterator[str]:
    if isinstance(node, Medium):
        filling.telling.pointer = node.place
        yield node.write(filling, evaluated(node.marker, filling.context))
    elif isinstance(node, Filled):
        is_empty = True
        for piece in run(node.body, filling, seen):
            is_empty = is_empty and not piece.strip()
            yield piece
        if is_empty:
            yield node.instead
    elif isinstance(node, Once):
        if node.number not in seen:
            seen.add(node.number)
            yield node.xml
    elif isinstance(node, Note):
        yield node.write(filling, "".join(run(node.body, filling, seen)))
    else:
        for number, piece in enumerate(node.pieces):
            yield f'"{filling.unique()}"{piece}' if number else piece


class Marks:
    """Where in a tree its program has something to do: processing instructions, of which a template has no others."""

    def __init__(self) -> None:
        self._meanings: list[tuple[str, Any]] = []

    def new(self, kind: str, meaning: Any = None) -> Any:
        """Return a mark. Kinds are each, if, else, filled and end, which go by pairs, and node: a piece of the program."""
        self._meanings.append((kind, meaning))
        return etree.ProcessingInstruction(_MARK, str(len(self._meanings) - 1))

    def kind(self, mark: Any) -> str:
        """Return the kind of a mark in a tree."""
        return self._meanings[int(mark.text)][0]

    def program(self, root: Any) -> Program:
        """Return the program of the tree."""
        pieces = _SPLIT.split(etree.tostring(root, encoding="unicode"))
        flat: list[tuple[str, Any]] = []
        for number, piece in enumerate(pieces):
            if number % 2:
                flat.append(self._meanings[int(piece)])
            elif piece:
                numbered = tuple(_UNIQUE.split(piece))
                flat.append(("node", Numbered(numbered) if len(numbered) > 1 else piece))
        flat.reverse()
        return _built(flat)[0]


def _built(flat: list[tuple[str, Any]]) -> tuple[Program, str]:
    """Return what stands before the end of this level, and what ended it."""
    found: list[Node] = []
    while flat:
        kind, meaning = flat.pop()
        if kind == "node":
            found.append(meaning)
        elif kind == "each":
            found.append(Each(meaning[0].loop, _built(flat)[0], meaning[1]))
        elif kind == "filled":
            found.append(Filled(_built(flat)[0], meaning))
        elif kind == "if":
            then, ended = _built(flat)
            other = _built(flat)[0] if ended == "else" else ()
            found.append(If(meaning[0], then, other, meaning[1]))
        else:
            return tuple(found), kind
    return tuple(found), ""


def gather(program: Program, variables: Variables) -> None:
    """Gather the variables that a program looks up."""
    for node in program:
        if isinstance(node, Field | Medium):
            variables.marker(node.marker)
        elif isinstance(node, Each):
            with variables.each(node.loop):
                gather(node.body, variables)
        elif isinstance(node, If):
            variables.marker(node.marker)
            gather(node.then, variables)
            gather(node.other, variables)
        elif isinstance(node, Filled | Note):
            gather(node.body, variables)


def bad(place: str, detail: str) -> Unreadable:
    """Return the refusal of a template, for what is wrong with it there."""
    return Unreadable("bad_template", f"{place}: {detail}", pointer=place)
