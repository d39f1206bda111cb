"""Blocks that hold others, headers and footers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bounded_contexts.documents.domain.rendering.blocks import (
    Barcode,
    Block,
    Columns,
    Furniture,
    Group,
    Image,
    Paragraph,
    Rule,
    Which,
)
from bounded_contexts.documents.domain.rendering.charts import Chart
from bounded_contexts.documents.domain.rendering.styles import points, width_of
from bounded_contexts.documents.domain.rendering.telling import Telling

Nested = Callable[[list[dict[str, Any]], str], tuple[Block, ...]]
WHICH: tuple[Which, ...] = ("default", "first", "even")
GAP = "5mm"


def group(given: Mapping[str, Any], nested: Nested, telling: Telling, pointer: str) -> Group:
    """Return a group; one with a border or background has room within, unless it says otherwise."""
    telling.uses("group")
    border = given.get("border")
    if border is not None or "background" in given:
        telling.uses("group.frame")
    if given.get("keepTogether"):
        telling.uses("group.keepTogether")
    line = None if border is None else Rule(border.get("color", "#808080"), points(border.get("thickness", 0.5)))
    framed = line is not None or "background" in given
    return Group(
        nested(given["body"], f"{pointer}/body"),
        given.get("keepTogether", False),
        line,
        given.get("background"),
        points(given["padding"]) if "padding" in given else (6.0 if framed else 0.0),
    )


def columns(given: Mapping[str, Any], nested: Nested, telling: Telling, pointer: str) -> Columns:
    """Return blocks side by side, of equal widths unless it says others."""
    telling.uses("columns")
    items = tuple(nested(item, f"{pointer}/items/{number}") for number, item in enumerate(given["items"]))
    widths = given.get("widths", ["1fr"] * len(items))
    return Columns(tuple(width_of(width) for width in widths), items, points(given.get("gap", GAP)))


def furniture(given: Mapping[str, Any], nested: Nested, telling: Telling, pointer: str) -> Furniture:
    """Return a header or footer."""
    found: dict[Which, tuple[Any, ...]] = {}
    for which in WHICH:
        if which not in given:
            continue
        found[which] = nested(given[which], f"{pointer}/{which}")
        if which != "default":
            telling.uses(f"{which} header or footer")
        for block in _flat(found[which]):
            kind = "image" if isinstance(block, Image) else "rule or spacer"
            telling.uses("header and footer text" if isinstance(block, Paragraph) else f"{kind} in header or footer")
    return found


def _flat(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Columns):
            for item in block.items:
                yield from _flat(item)
        else:
            yield block


def with_caption(image: Image | Chart | Barcode, caption: Paragraph) -> Group:
    """Return what is drawn and what stands below it."""
    style = replace(caption.style, keep_with_next=False, align=image.align)
    return Group((image, replace(caption, style=style, role="caption")), keep_together=True)
