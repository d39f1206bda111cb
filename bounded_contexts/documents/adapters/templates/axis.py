"""The rows, or the columns, of a sheet: which of a template's lines come how often, and where each of them goes.

A line is a row or a column by its number, from 1. What loops and conditions go round are spans of lines, in each other. With the
data they are laid out: then it is known for every line of the template where its copies are, so that references follow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bounded_contexts.documents.adapters.templates.pairs import Pair
from bounded_contexts.documents.adapters.templates.program import bad, evaluated
from bounded_contexts.documents.domain.rendering.expressions import each_of, truth
from bounded_contexts.documents.domain.rendering.functions import Context

FAR: Final = 1 << 30  # behind every line
Steps = Mapping[int, int]  # which time round each loop, by its number


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that stay beside each other."""

    first: int
    last: int


@dataclass(slots=True)
class Span:
    """What one loop or condition goes round. `keeps` says that a loop leaves its lines once, empty, for an empty list."""

    number: int
    pair: Pair
    first: int
    last: int
    then: "list[Node]" = field(default_factory=list)
    other: "list[Node]" = field(default_factory=list)
    blank: "list[Node]" = field(default_factory=list)
    keeps: bool = False

    @property
    def is_flat(self) -> bool:
        """Return whether it is a loop whose lines are the same number each time."""
        return self.pair.begin.marker.loop is not None and all(isinstance(each, Lines) for each in self.then)


Node = Lines | Span


@dataclass(slots=True)
class Placed:
    """Nodes from a place on: each with its place, and what a span has come to."""

    start: int
    size: int
    nodes: "list[tuple[Node, int, list[Placed] | _Even]]"


@dataclass(frozen=True, slots=True)
class _Even:
    """A flat loop: the n-th of its times is as long as each other."""

    start: int
    size: int
    times: int
    nodes: list[Node]

    def __getitem__(self, index: int) -> Placed:
        return _straight(self.nodes, self.start + index * self.size)

    def __len__(self) -> int:
        return self.times


class Axis:
    """One axis of one sheet, as its template has it. Raise `Unreadable` for spans that share lines and are not in each other."""

    def __init__(self, pairs: list[tuple[Pair, int, int, int]], gone: frozenset[int]) -> None:
        """`pairs` come with first line, last line and that of `{{else}}` (or 0), outer ones first; `gone` are lines that held
        markers only."""
        self.spans: list[Span] = []
        self._gone = gone
        self.nodes = self._between(1, FAR, pairs)

    @property
    def is_still(self) -> bool:
        """Return whether nothing moves on it."""
        return not self.spans and not self._gone

    def keep(self, first: int, last: int, at: int) -> None:
        """Note that something refers to these lines, from a line or, with 0, from nowhere on this axis: a loop that all of them
        are in, and that line is not, may not vanish."""
        for span in self.spans:
            if span.first <= first and last <= span.last and not span.first <= at <= span.last:
                span.keeps = True

    def _between(self, first: int, last: int, pairs: list[tuple[Pair, int, int, int]]) -> list[Node]:
        found: list[Node] = []
        at = first
        while pairs:
            pair, begin, end, middle = pairs.pop(0)
            if begin < at:
                raise bad(pair.begin.place, "it shares rows or columns with another one that it is not within")
            found += self._lines(at, begin - 1)
            inner = []
            while pairs and pairs[0][1] <= end and pairs[0][0].begin.number < pair.end.number:
                inner.append(pairs.pop(0))
            if any(each[2] > end for each in inner):
                raise bad(pair.begin.place, "it shares rows or columns with another one that it is not within")
            span = Span(len(self.spans), pair, begin, end)
            self.spans.append(span)
            split = middle or end + 1
            span.then = self._between(begin, split - 1, [each for each in inner if each[1] < split])
            span.other = self._between(split, end, [each for each in inner if each[1] >= split])
            span.blank = self._lines(begin, end)
            found.append(span)
            at = end + 1
        return found + self._lines(at, last)

    def _lines(self, first: int, last: int) -> list[Node]:
        found: list[Node] = []
        for gone in sorted(each for each in self._gone if first <= each <= last):
            if first < gone:
                found.append(Lines(first, gone - 1))
            first = gone + 1
        if first <= last:
            found.append(Lines(first, last))
        return found

    def laid(self, context: Context) -> Placed:
        """Return where everything goes. Nothing is told: that is for when it is written."""
        warn = context.warn
        context.warn = lambda code, detail: None
        try:
            return _laid(self.nodes, 1, context)
        finally:
            context.warn = warn

    def lines(self, context: Context, most: int) -> Iterator[tuple[int, dict[int, int], bool]]:
        """Yield line after line up to `most` of the template's: its number there, the times round, and whether it is to be
        empty. The names of loops mean what they do there, until the next one is taken. The dict is the same each time."""
        steps: dict[int, int] = {}
        return _walk(self.nodes, context, steps, most, is_blank=False)


def _laid(nodes: list[Node], start: int, context: Context) -> Placed:
    found: list[tuple[Node, int, list[Placed] | _Even]] = []
    at = start
    for node in nodes:
        if isinstance(node, Lines):
            found.append((node, at, []))
            at += node.last - node.first + 1
        else:
            times = _times(node, at, context)
            found.append((node, at, times))
            at = times.start + times.size * times.times if isinstance(times, _Even) else at + sum(t.size for t in times)
    return Placed(start, at - start, found)


def _times(span: Span, start: int, context: Context) -> "list[Placed] | _Even":
    loop = span.pair.begin.marker.loop
    if loop is None:
        is_so = truth(evaluated(span.pair.begin.marker, context))
        return [_laid(span.then if is_so else span.other, start, context)]
    rounds = each_of(context, loop.path, loop.told, loop.name)
    if span.is_flat:
        count = sum(1 for _ in rounds)
        if count or not span.keeps:
            return _Even(start, sum(node.last - node.first + 1 for node in span.then), count, span.then)
    found: list[Placed] = []
    for _ in rounds:
        found.append(_laid(span.then, start, context))
        start += found[-1].size
    return found or ([_straight(span.blank, start)] if span.keeps else [])


def _straight(nodes: list[Node], start: int) -> Placed:
    found: list[tuple[Node, int, list[Placed] | _Even]] = []
    at = start
    for node in nodes:
        found.append((node, at, []))
        at += node.last - node.first + 1
    return Placed(start, at - start, found)


def _walk(
    nodes: list[Node], context: Context, steps: dict[int, int], most: int, *, is_blank: bool
) -> Iterator[tuple[int, dict[int, int], bool]]:
    for node in nodes:
        if isinstance(node, Lines):
            for line in range(node.first, min(node.last, most) + 1):
                yield line, steps, is_blank
        else:
            yield from _rounds(node, context, steps, most)


def _rounds(
    span: Span, context: Context, steps: dict[int, int], most: int
) -> Iterator[tuple[int, dict[int, int], bool]]:
    loop = span.pair.begin.marker.loop
    if loop is None:
        steps[span.number] = 0
        is_so = truth(evaluated(span.pair.begin.marker, context))
        yield from _walk(span.then if is_so else span.other, context, steps, most, is_blank=False)
    else:
        count = 0
        for _ in each_of(context, loop.path, loop.told, loop.name):
            steps[span.number] = count
            count += 1
            yield from _walk(span.then, context, steps, most, is_blank=False)
        if not count and span.keeps:
            steps[span.number] = 0
            yield from _walk(span.blank, context, steps, most, is_blank=True)
    steps.pop(span.number, None)


def first_from(placed: Placed, line: int, steps: Steps) -> int | None:
    """Return where the first copy is of the line, or of the next one that has any: in this time round the loops of `steps`."""
    for node, start, times in placed.nodes:
        if node.last < line:
            continue
        if isinstance(node, Lines):
            return start + max(line - node.first, 0)
        for each in _rounds_of(node, times, steps):
            if (found := first_from(each, line, steps)) is not None:
                return found
    return None


def last_up_to(placed: Placed, line: int, steps: Steps) -> int | None:
    """Return where the last copy is of the line, or of the one before it that has any."""
    for node, start, times in reversed(placed.nodes):
        if node.first > line:
            continue
        if isinstance(node, Lines):
            return start + min(line, node.last) - node.first
        for each in reversed(_rounds_of(node, times, steps)):
            if (found := last_up_to(each, line, steps)) is not None:
                return found
    return None


def only(placed: Placed, line: int, steps: Steps) -> int | None:
    """Return where the first copy of the line is, None where there is none."""
    for node, start, times in placed.nodes:
        if node.first <= line <= node.last:
            if isinstance(node, Lines):
                return start + line - node.first
            for each in _rounds_of(node, times, steps)[:1]:
                return only(each, line, steps)
    return None


def _rounds_of(span: Span, times: "list[Placed] | _Even", steps: Steps) -> list[Placed]:
    if span.number in steps:
        return [times[steps[span.number]]] if steps[span.number] < len(times) else []
    if isinstance(times, _Even):
        return [times[0], times[len(times) - 1]] if len(times) > 1 else [times[0]] if len(times) else []
    return times


def copies(placed: Placed, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield where the copies are of lines, each from its first to its last: one for each time round the loops that all of these
    lines are in."""
    for node, _, times in placed.nodes:
        if isinstance(node, Span) and node.first <= first and last <= node.last:
            for index in range(len(times)):
                yield from copies(times[index], first, last)
            return
    begin, end = first_from(placed, first, {}), last_up_to(placed, last, {})
    if begin is not None and end is not None and begin <= end:
        yield begin, end
