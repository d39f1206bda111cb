"""What can be referred to: headings, what has a caption, and what has an id."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from bounded_contexts.documents.domain.rendering.blocks import Anchor, Block, Columns, Group, Heading, Runs, Table
from bounded_contexts.documents.domain.values import Value

FIGURES: Final = ("image", "chart", "barcode")
KINDS: dict[str, Literal["table", "image"]] = {"table": "table", "image": "image"}


class Anchors:
    """Makes anchors, counting them. A name is that of the first block that has it."""

    def __init__(self) -> None:
        self._number = 0
        self._names: set[str] = set()

    def of(self, given: Mapping[str, Value], block: Block) -> Iterator[Anchor]:
        """Yield the anchor of a block, if it has one."""
        name = given.get("id")
        name = None if name in self._names else name
        kind, level, text = _kind(given, block)
        if kind == "other" and name is None:
            return
        if name is not None:
            self._names.add(name)
        self._number += 1
        yield Anchor(self._number, kind, level, text, name)


def _kind(given: Mapping[str, Any], block: Block) -> tuple[Literal["heading", "table", "image", "other"], int, str]:
    if isinstance(block, Heading):
        return "heading", block.level, said(block.runs)
    if isinstance(block, Table):
        return ("table", 1, said(block.caption.runs)) if block.caption else ("other", 1, "")
    if isinstance(block, Group) and given.get("type") in FIGURES:
        return "image", 1, said(block.blocks[-1].runs)  # type: ignore[union-attr]
    return "other", 1, said(getattr(block, "runs", ()))


def said(runs: Runs) -> str:
    """Return the text of runs without the marks of their notes."""
    return "".join([run.text for run in runs if run.note is None])


def anchors(blocks: Iterable[Block]) -> Iterator[Anchor]:
    """Yield the anchors among blocks and in those that these hold, but for cells of tables."""
    for block in blocks:
        if isinstance(block, Anchor):
            yield block
        elif isinstance(block, Group):
            yield from anchors(block.blocks)
        elif isinstance(block, Columns):
            for item in block.items:
                yield from anchors(item)
