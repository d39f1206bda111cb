"""Lists: items with their marks, which may go on counting where an earlier list has ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bounded_contexts.documents.domain.rendering.blocks import ListItem, Style
from bounded_contexts.documents.domain.rendering.numbering import NumberFormat
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.texts import Texts


@dataclass(frozen=True, slots=True)
class _Counting:
    """A list that counts: its number among the lists, what it began with and what would come next."""

    list_number: int
    form: NumberFormat
    first: int
    following: int


class Lists:
    """Makes the items of lists. It remembers the last numbered list of the outermost level until it begins anew."""

    def __init__(self, texts: Texts, base: Style) -> None:
        self._texts, self._base = texts, base
        self._count = 0
        self._last: _Counting | None = None

    def begin(self) -> None:
        """Forget what was counted."""
        self._count, self._last = 0, None

    def items(self, block: Mapping[str, Any], pointer: str) -> Iterator[ListItem]:
        """Yield the items of a list, each before those in it."""
        last = self._last
        counting = last if block.get("continue") and last is not None else self._new(block)
        if block.get("ordered", False) or block.get("continue"):
            self._last = replace(counting, following=counting.following + len(block["items"]))
            block = {**block, "ordered": True}
        yield from self._items(block, pointer, 0, counting)

    def _new(self, given: Mapping[str, Any]) -> _Counting:
        self._count += 1
        first = int(given.get("start", 1))
        return _Counting(self._count, given.get("format", "decimal"), first, first)

    def _items(self, given: Mapping[str, Any], pointer: str, level: int, counting: _Counting) -> Iterator[ListItem]:
        style = self._texts.styles.over(replace(self._base, space_after=2.0), given.get("style"))
        ordered = given.get("ordered", False)
        for index, item in enumerate(given["items"]):
            here = f"{pointer}/items/{index}"
            runs = self._texts.runs(item if isinstance(item, str) else item["text"], style, here)
            number = counting.following + index
            yield ListItem(counting.list_number, level, ordered, number, counting.first, runs, style, counting.form)
            if isinstance(item, dict) and item.get("items"):
                inner = {"style": given.get("style"), **item}
                yield from self._items(inner, here, level + 1, self._new(item))


def list_problems(block: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with how a list counts."""
    if not block.get("continue"):
        return
    for name in ("start", "format"):
        if name in block:
            yield Problem(f"{pointer}/{name}", "not_allowed", "a list that is continued counts as it began")
    if block.get("ordered") is False:
        yield Problem(f"{pointer}/ordered", "not_allowed", "a list that is continued counts")
