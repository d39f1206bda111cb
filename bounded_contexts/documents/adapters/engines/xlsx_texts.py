"""Texts of workbooks: blocks in one cell, headers and footers in their codes."""

from collections.abc import Iterable, Iterator
from itertools import chain

from bounded_contexts.documents.adapters.engines.xlsx_cells import fits
from bounded_contexts.documents.domain.rendering.blocks import (
    Block,
    Columns,
    Furniture,
    Group,
    Heading,
    ListItem,
    Paragraph,
    Run,
    Runs,
    Style,
)


def flat(blocks: Iterable[Block], style: Style) -> Runs:
    """Return the texts of blocks, one below the other."""
    runs: list[Run] = []
    for block in blocks:
        if isinstance(block, Group):
            own = flat(block.blocks, style)
        elif isinstance(block, Columns):
            own = flat(chain.from_iterable(block.items), style)
        elif isinstance(block, Heading | Paragraph):
            own = block.runs
        elif isinstance(block, ListItem):
            own = (Run(f"{block.mark} ", block.style), *block.runs)
        else:
            continue
        runs += [Run("\n", style)] if runs else []
        runs += own
    return tuple(runs)


def codes(furniture: Furniture, *, pictured: bool = False) -> str:
    """Return a header or footer in the codes of workbooks; one that is pictured has an image in its middle."""
    parts: dict[str, list[str]] = {"&C": []} if pictured else {}
    picture = {"&C": "&G"} if pictured else {}
    fields = {"page": "&P", "pages": "&N", None: ""}
    for side, block in _sided(furniture.get("default", ())):
        text = "".join([run.text.replace("&", "&&") + fields[run.field] for run in block.runs])
        parts.setdefault(side, []).append(text)
    return fits(
        "".join([side + picture.get(side, "") + "\n".join(parts[side]) for side in ("&L", "&C", "&R") if side in parts])
    )


def _sided(blocks: Iterable[Block], column: str | None = None) -> Iterator[tuple[str, Paragraph]]:
    """The paragraphs of a header with where they stand: as their column does, or as they are aligned."""
    for block in blocks:
        if isinstance(block, Paragraph):
            yield column or {"center": "&C", "right": "&R"}.get(block.style.align, "&L"), block
        elif isinstance(block, Columns):
            last = len(block.items) - 1
            for number, item in enumerate(block.items):
                yield from _sided(item, "&L" if number == 0 else "&R" if number == last else "&C")
