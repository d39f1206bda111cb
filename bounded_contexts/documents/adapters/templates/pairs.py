"""Loops and conditions from where they begin to where they end."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bounded_contexts.documents.adapters.templates.program import Marks, bad
from bounded_contexts.documents.domain.rendering.markers import Marker

DEPTH: Final = 32  # of loops and conditions in each other


@dataclass(slots=True)
class Control:
    """A marker that is no field, and what stands for it in the tree. `number` counts them in the order of the document."""

    marker: Marker
    node: Any
    paragraph: Any
    place: str
    number: int = 0


@dataclass(slots=True)
class Pair:
    """A loop or condition from its beginning to its end."""

    begin: Control
    end: Control
    other: Control | None = None
    outer: "Pair | None" = None

    @property
    def controls(self) -> Iterator[Control]:
        """Yield its markers in their order."""
        yield self.begin
        if self.other:
            yield self.other
        yield self.end


def paired(controls: list[Control]) -> list[Pair]:
    """Return the pairs of controls that come in the document's order, outer ones first. Raise `Unreadable`."""
    found: list[Pair] = []
    opened: list[Pair] = []
    for number, control in enumerate(controls):
        control.number = number
        kind = control.marker.kind
        if kind in ("each", "if"):
            pair = Pair(control, control, outer=opened[-1] if opened else None)
            found.append(pair)
            opened.append(pair)
            if len(opened) > DEPTH:
                raise bad(control.place, f"more than {DEPTH} loops and conditions in each other")
            continue
        wanted = "each" if kind == "/each" else "if"
        if not opened or opened[-1].begin.marker.kind != wanted or (kind == "else" and opened[-1].other):
            raise bad(control.place, f"{{{{{control.marker.text}}}}} ends nothing that was begun last")
        if kind == "else":
            opened[-1].other = control
        else:
            opened.pop().end = control
    if opened:
        raise bad(opened[-1].begin.place, f"{{{{{opened[-1].begin.marker.text[:60]}}}}} has no end")
    return found


def mark_within(pair: Pair, marks: Marks) -> None:
    """Put marks where the controls of a pair stand, which goes round what is between them. Raise `Unreadable`."""
    if len({each.node.getparent() for each in pair.controls}) > 1:
        raise bad(pair.begin.place, "a loop begins and ends within a link, or without")
    _replace(pair.begin.node, marks.new(pair.begin.marker.kind, (pair.begin.marker, pair.begin.place)))
    if pair.other:
        _replace(pair.other.node, marks.new("else"))
    _replace(pair.end.node, marks.new("end"))


def _replace(node: Any, by: Any) -> None:
    node.getparent().replace(node, by)
