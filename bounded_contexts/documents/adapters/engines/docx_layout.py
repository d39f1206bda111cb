"""Frames and columns in WordprocessingML: tables of one row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from bounded_contexts.documents.domain.rendering.blocks import Block, Columns, Group, Heading, ListItem, Paragraph

TWENTIETHS: Final = 20
BEHIND: Final = '<w:p><w:pPr><w:spacing w:before="0" w:after="0" w:line="120" w:lineRule="exact"/></w:pPr></w:p>'
Inner = Callable[[Iterable[Block]], str]


def is_framed(group: Group) -> bool:
    """Return whether a group is more than its blocks."""
    return group.border is not None or group.background is not None


def framed(group: Group, inner: Inner, room: float) -> str:
    """Return a group in its frame: a cell, which stays on one page where it is to."""
    edge = ""
    if group.border is not None:
        size, color = max(2, round(group.border.thickness * 8)), group.border.color[1:]
        edge = "".join(
            [
                f'<w:{side} w:val="single" w:sz="{size}" w:space="0" w:color="{color}"/>'
                for side in ("top", "left", "bottom", "right")
            ]
        )
    shade = f'<w:shd w:val="clear" w:color="auto" w:fill="{group.background[1:]}"/>' if group.background else ""
    whole = "<w:cantSplit/>" if group.keep_together else ""
    return _table([(room, group.padding, group.padding, inner(group.blocks))], whole, edge, shade, group.padding)


def side_by_side(columns: Columns, inner: Inner, room: float) -> str:
    """Return blocks in columns: a row of cells."""
    gaps = columns.gap * (len(columns.items) - 1)
    fixed = sum(width.amount for width in columns.widths if width.kind == "points")
    shares = sum({"points": 0.0, "auto": 1.0}.get(width.kind, width.amount) for width in columns.widths)
    share = max(room - gaps - fixed, 12.0) / shares if shares else 0.0
    cells = []
    for number, (width, blocks) in enumerate(zip(columns.widths, columns.items, strict=True)):
        across = {"points": width.amount, "auto": share}.get(width.kind, width.amount * share)
        gap = columns.gap if number < len(columns.items) - 1 else 0.0
        cells.append((across + gap, 0.0, gap, inner(blocks)))
    return _table(cells, "<w:cantSplit/>", "", "", 0.0)


def kept(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return blocks of which each is kept with its next."""
    return tuple(
        replace(block, style=replace(block.style, keep_with_next=True))
        if isinstance(block, Heading | Paragraph | ListItem) and number < len(blocks) - 1
        else block
        for number, block in enumerate(blocks)
    )


def _table(cells: list[tuple[float, float, float, str]], row: str, borders: str, shade: str, padding: float) -> str:
    grid = "".join([f'<w:gridCol w:w="{_twentieths(width)}"/>' for width, *_ in cells])
    above = _twentieths(padding)
    inner = "".join(
        [
            f'<w:tc><w:tcPr><w:tcW w:w="{_twentieths(width)}" w:type="dxa"/>{shade}<w:tcMar>'
            f'<w:top w:w="{above}" w:type="dxa"/><w:left w:w="{_twentieths(left)}" w:type="dxa"/>'
            f'<w:bottom w:w="{above}" w:type="dxa"/><w:right w:w="{_twentieths(right)}" w:type="dxa"/></w:tcMar></w:tcPr>'
            f"{xml if xml.endswith('</w:p>') else xml + '<w:p/>'}</w:tc>"
            for width, left, right, xml in cells
        ]
    )
    return (
        f'<w:tbl><w:tblPr><w:tblW w:w="0" w:type="auto"/><w:tblBorders>{borders}</w:tblBorders>'
        f'<w:tblLayout w:type="fixed"/></w:tblPr><w:tblGrid>{grid}</w:tblGrid><w:tr><w:trPr>{row}</w:trPr>{inner}</w:tr></w:tbl>'
        f"{BEHIND}"
    )


def _twentieths(length: float) -> int:
    return round(length * TWENTIETHS)
