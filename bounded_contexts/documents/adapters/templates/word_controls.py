"""Loops and conditions of a DOCX template: what each goes round follows from where it begins and ends.

In one paragraph: what stands between. In paragraphs of one place (the body, a cell, a header): these and what is between. In two
cells of a table: the rows. With `across`, in cells of one row: the columns."""

from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from bounded_contexts.documents.adapters.templates.pairs import Control, Pair, mark_within, paired
from bounded_contexts.documents.adapters.templates.program import Marks, bad
from bounded_contexts.documents.adapters.templates.runs import CONTROL, WORD

PARAGRAPH, ROW, TABLE, CELL = (f"{WORD}{name}" for name in ("p", "tr", "tbl", "tc"))
_HEADS: Final = frozenset(f"{WORD}{name}" for name in ("tcPr", "trPr", "tblPr", "tblPrEx", "tblGrid", "sdtPr"))
_UNSEEN: Final = frozenset(f"{WORD}{name}" for name in ("proofErr", "lastRenderedPageBreak", "pPr", "rPr", "r"))
_BOOKMARKS: Final = (f"{WORD}bookmarkStart", f"{WORD}bookmarkEnd")
_NEED: Final = frozenset(  # at least one paragraph
    f"{WORD}{name}" for name in ("tc", "txbxContent", "hdr", "ftr", "footnote", "endnote", "comment")
)
_TEXT: Final = f"{WORD}t"
_NEVER: Final = 1 << 60
# ElementTree calls a processing instruction's tag by its function.
_INSTRUCTION: Final = etree.ProcessingInstruction


def place_controls(root: Any, controls: dict[str, Control], marks: Marks) -> None:
    """Put marks round what the controls in the tree go round, and take away the paragraphs that held nothing else.
    Raise `Unreadable` for what is never ended, or goes round halves."""
    _split_lines(root, controls)
    pairs = paired([controls[node.get("n")] for node in root.iter(CONTROL)])
    placed = []
    for pair in pairs:
        if len({each.paragraph for each in pair.controls}) == 1:
            _place_within(pair, marks)
        else:
            placed.append((pair, _Units.of(pair)))
    _check_order(placed)
    _mark(placed, marks)
    touched = dict.fromkeys(units.begin.getparent() for _, units in placed)
    for pair, _ in placed:
        for control in pair.controls:
            _take_away(control)
    for container in touched:
        _keep_filled(container, marks)


def _mark(placed: "list[tuple[Pair, _Units]]", marks: Marks) -> None:
    for pair, units in placed:  # outer ones first: later marks are nearer to what they go round
        units.begin.addprevious(marks.new(pair.begin.marker.kind, (pair.begin.marker, pair.begin.place)))
        if units.other is not None:
            units.other.addprevious(marks.new("else"))
    for _, units in sorted(placed, key=lambda each: -each[0].end.number):
        units.end.addnext(marks.new("end"))
    for pair, units in placed:
        if units.is_across:
            _widen_grid(pair, units, marks)


def _place_within(pair: Pair, marks: Marks) -> None:
    begin = pair.begin
    kind = begin.marker.kind
    if begin.marker.loop and begin.marker.loop.is_across:
        if (cell := next(begin.node.iterancestors(CELL), None)) is None:
            raise bad(begin.place, "across repeats columns: it stands in cells")
        units = _Units(cell, None, cell, is_across=True)
        cell.addprevious(marks.new(kind, (begin.marker, begin.place)))
        cell.addnext(marks.new("end"))
        _widen_grid(pair, units, marks)
        row = cell.getparent()
        for control in pair.controls:
            control.node.getparent().remove(control.node)
        _keep_filled(row, marks)
        return
    mark_within(pair, marks)


@dataclass(slots=True)
class _Units:
    """What a pair goes round: elements side by side, from the first to the last."""

    begin: Any
    other: Any
    end: Any
    is_across: bool = False

    @classmethod
    def of(cls, pair: Pair) -> "_Units":
        lineages = [[each.paragraph, *each.paragraph.iterancestors()] for each in pair.controls]
        common = next(each for each in lineages[0] if all(each in lineage for lineage in lineages[1:]))
        if common.tag == PARAGRAPH:
            raise bad(pair.begin.place, "a loop that begins in a text box ends in it")
        loop = pair.begin.marker.loop
        is_across = loop is not None and loop.is_across
        if is_across != (common.tag == ROW) and is_across:
            raise bad(pair.begin.place, "across begins and ends in cells of one row")
        if common.tag == ROW and not is_across:
            common = common.getparent()
        units = [lineage[lineage.index(common) - 1] for lineage in lineages]
        found = cls(units[0], units[1] if pair.other else None, units[-1], is_across)
        if pair.other and units[1] is units[0]:
            raise bad(pair.other.place, "{{else}} stands in a row or paragraph behind that of its {{#if}}")
        if units[0].tag not in (ROW, CELL):
            _check_blocks(pair, found)
        return found


def _check_blocks(pair: Pair, units: _Units) -> None:
    for control, unit in ((pair.begin, units.begin), (pair.other, units.other), (pair.end, units.end)):
        if control is None:
            continue
        if unit.tag == TABLE:
            raise bad(control.place, "a loop that begins in a table ends in it")
        nodes = list(control.paragraph.iter())
        at = nodes.index(control.node)
        beside = nodes[at + 1 :] if control is pair.end else nodes[:at]
        if any(node.tag is _INSTRUCTION or (node.tag == _TEXT and (node.text or "").strip()) for node in beside):
            raise bad(control.place, "a loop goes round whole paragraphs, or stands in one paragraph")


def _check_order(placed: list[tuple[Pair, _Units]]) -> None:
    """Refuse what shares a row or paragraph without standing in each other."""
    ended: dict[Any, int] = {}
    for pair, units in placed:
        ended[units.end] = min(ended.get(units.end, _NEVER), pair.end.number)
    for pair, units in placed:
        for control, unit in ((pair.begin, units.begin), (pair.other, units.other)):
            if control is not None and control.number > ended.get(unit, _NEVER):
                raise bad(control.place, "it stands in the row or paragraph in which another one ends")


def _split_lines(root: Any, controls: dict[str, Control]) -> None:
    """Give each control a paragraph of its own where several stand in one and nothing else does."""
    by_paragraph: dict[Any, list[Control]] = {}
    for control in controls.values():
        by_paragraph.setdefault(control.paragraph, []).append(control)
    for paragraph, found in by_paragraph.items():
        if len(found) > 1 and not _is_seen(paragraph):
            for control in found[:-1]:
                own = etree.Element(PARAGRAPH, nsmap=paragraph.nsmap)
                own.append(control.node)
                paragraph.addprevious(own)
                control.paragraph = own


def _is_seen(paragraph: Any) -> bool:
    """Return whether anything but controls stands in it."""
    for node in paragraph.iterdescendants():
        if node.tag == f"{WORD}sectPr" or node.tag is _INSTRUCTION:
            return True
        if node.tag == _TEXT and not (node.text or "").strip():
            continue
        if node.tag in _UNSEEN or node.tag in (CONTROL, *_BOOKMARKS) or _is_property(node, paragraph):
            continue
        return True
    return False


def _is_property(node: Any, paragraph: Any) -> bool:
    for each in node.iterancestors():
        if each is paragraph:
            return False
        if each.tag in (f"{WORD}pPr", f"{WORD}rPr"):
            return True
    return False


def _take_away(control: Control) -> None:
    """Remove a control, and its paragraph where that held nothing else."""
    paragraph = control.paragraph
    control.node.getparent().remove(control.node)
    container = paragraph.getparent()
    if container is None or paragraph.find(f".//{CONTROL}") is not None or _is_seen(paragraph):
        return
    for each in list(paragraph.iter(*_BOOKMARKS)):
        paragraph.addprevious(each)
    container.remove(paragraph)
    if container.tag in _NEED and container.find(PARAGRAPH) is None and not _has_marks(container):
        etree.SubElement(container, PARAGRAPH)


def _has_marks(container: Any) -> bool:
    return any(each.tag is _INSTRUCTION for each in container)


def _keep_filled(container: Any, marks: Marks) -> None:
    """See to it that what may not be empty has something in it whatever the data says."""
    prefix = container.prefix or "w"
    paragraph = f"<{prefix}:p/>"
    cell = f"<{prefix}:tc>{paragraph}</{prefix}:tc>"
    instead = {TABLE: f"<{prefix}:tr>{cell}</{prefix}:tr>", ROW: cell}.get(container.tag)
    if instead is None and container.tag in _NEED:
        instead = paragraph
    if instead is None:
        return
    first = next((each for each in container if each.tag not in _HEADS), None)
    if first is not None:
        first.addprevious(marks.new("filled", instead))
        container.append(marks.new("end"))


def _widen_grid(pair: Pair, units: _Units, marks: Marks) -> None:
    """Have a table's grid repeated as the cells are, once for each place."""
    row = units.begin.getparent()
    grid = next(row.iterancestors(TABLE)).find(f"{WORD}tblGrid")
    loop, names = pair.begin.marker.loop, _names(pair.outer)
    if grid is None or loop is None or loop.path[0] in names:
        return
    columns = [each for each in grid if each.tag == f"{WORD}gridCol"]
    cells = [each for each in row if each.tag == CELL]
    spans = [_span(each) for each in cells]
    first = sum(spans[: cells.index(units.begin)])
    last = sum(spans[: cells.index(units.end) + 1]) - 1
    if last < len(columns) and not _is_instruction(columns[first].getprevious()):
        columns[first].addprevious(marks.new("each", (pair.begin.marker, pair.begin.place)))
        columns[last].addnext(marks.new("end"))


def _span(cell: Any) -> int:
    found = cell.find(f"{WORD}tcPr/{WORD}gridSpan")
    value = found.get(f"{WORD}val", "1") if found is not None else "1"
    return int(value) if value.isdecimal() else 1


def _names(pair: Pair | None) -> set[str | int]:
    found: set[str | int] = set()
    while pair is not None:
        if pair.begin.marker.loop:
            found.add(pair.begin.marker.loop.name)
        pair = pair.outer
    return found


def _is_instruction(node: Any) -> bool:
    return node is not None and node.tag is _INSTRUCTION
