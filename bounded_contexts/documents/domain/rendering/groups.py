"""Groups of a table's rows: where one ends and the next begins, and what the rows of each come to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.expressions import Compiled, expression
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.totals import Total
from bounded_contexts.documents.domain.values import Value

_NONE: Final = object()


@dataclass(slots=True)
class Level:
    """One level of groups, the outermost first."""

    depth: int  # groups round it
    value: Compiled
    header: Value  # a text, None for no row above a group
    subtotal: Value  # a text, None for no row below
    key: Any = _NONE  # of the group that rows are being added to
    totals: list[Total] = field(default_factory=list)


class Groups:
    """The groups that the last row is in. Rows are taken as they come: equal keys are a group where they are neighbours."""

    def __init__(self, given: Sequence[dict[str, Any]], functions: Sequence[str | None]) -> None:
        self._functions = functions
        self.levels = [
            Level(depth, expression(each["value"]), each.get("header"), each.get("subtotal"))
            for depth, each in enumerate(given)
        ]

    def ended(self, context: Context) -> int:
        """Return the outermost level that the next row begins a group of; their number where it begins none."""
        for number, level in enumerate(self.levels):
            if level.key is _NONE or level.value(context) != level.key:
                return number
        return len(self.levels)

    def closing(self, first: int) -> Iterator[Level]:
        """Yield the levels whose groups end, the innermost first; those that have begun only."""
        for level in reversed(self.levels[first:]):
            if level.key is not _NONE:
                yield level
                level.key = _NONE

    def opening(self, first: int, context: Context) -> Iterator[Level]:
        """Yield the levels whose groups begin, the outermost first."""
        for level in self.levels[first:]:
            level.key = level.value(context)
            level.totals = [Total(function) for function in self._functions]
            yield level

    def add(self, column: int, value: Value) -> None:
        """Count a value into its column's total of each level."""
        for level in self.levels:
            level.totals[column].add(value)
