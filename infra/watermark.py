"""Which records of one partition are done when they finish in any order: what an interrupted group must not do again.

Everything before `next` is done; `beyond` are the stretches after it that are done too. Both are stored together, so
that a member which takes over handles exactly the rest (compare the offset map of Confluent's Parallel Consumer).
"""

from collections import deque
from collections.abc import Iterable

Stretch = tuple[int, int]  # from the first offset to the one after the last


class Watermark:
    """Offsets begin in rising order, with gaps where the log has none, and finish in any."""

    def __init__(self, next_: int, beyond: Iterable[Stretch] = ()) -> None:
        self._next = next_
        self._known = deque(sorted(beyond))  # stretches that reading has not passed yet
        self._open: deque[int] = deque()  # begun, from the first that is not finished on
        self._finished: set[int] = set()  # of those

    @property
    def next(self) -> int:
        """Return the first offset that may not be done."""
        return self._next

    @property
    def span(self) -> int:
        """Return how many records have begun since the first that is not finished."""
        return len(self._open)

    @property
    def unfinished(self) -> int:
        """Return how many records have begun and are not finished."""
        return len(self._open) - len(self._finished)

    def begin(self, offset: int) -> bool:
        """Return whether the record is to be handled; if not, somebody finished it before."""
        while self._known and self._known[0][1] <= offset:
            self._known.popleft()
        done = bool(self._known) and self._known[0][0] <= offset
        self._open.append(offset)
        if done:
            self.finish(offset)
        return not done

    def finish(self, offset: int) -> None:
        """Note that a record which has begun is done."""
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            first = self._open.popleft()
            self._finished.remove(first)
            self._next = first + 1

    def beyond(self) -> tuple[Stretch, ...]:
        """Return the stretches after `next` that are done, in order. A gap of the log may lie within one."""
        stretches: list[Stretch] = []
        running = False
        for offset in self._open:
            finished = offset in self._finished
            if finished and running:
                stretches[-1] = (stretches[-1][0], offset + 1)
            elif finished:
                stretches.append((offset, offset + 1))
            running = finished
        seen = self._open[-1] + 1 if self._open else self._next
        return (*stretches, *((max(first, seen), last) for first, last in self._known if last > seen))
