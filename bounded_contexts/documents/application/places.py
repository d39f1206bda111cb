"""Whose document is next, where a process works on so many at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

LARGE = 8 << 20  # bytes of input, from which on a document must not take the places of small ones


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    owner: UUID
    is_large: bool
    came: asyncio.Event


class Places:
    """How many documents a process works on at once. Large ones have half of the places at most, so that a small one never
    waits for minutes behind others'; a place that becomes free is for whose documents have the fewest, so that nobody waits
    behind all that another has asked for."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._free_for_large = max(count // 2, 1)
        self._taken: Counter[UUID] = Counter()  # by owner
        self._waiting: list[_Turn] = []  # in the order of asking

    @asynccontextmanager
    async def one(self, owner: UUID, size: int) -> AsyncIterator[None]:
        """Lend a place for an input of so many bytes, to those of an owner in the order of asking."""
        turn = _Turn(owner, size >= LARGE, asyncio.Event())
        self._waiting.append(turn)
        try:
            self._lend()
            await turn.came.wait()
            yield
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._move(turn, -1)
                self._lend()

    def _lend(self) -> None:
        while self._free and (waiting := [each for each in self._waiting if self._free_for_large or not each.is_large]):
            turn = min(waiting, key=lambda each: self._taken[each.owner])  # the first of these
            self._waiting.remove(turn)
            self._move(turn, 1)
            turn.came.set()

    def _move(self, turn: _Turn, places: int) -> None:
        self._free -= places
        self._free_for_large -= places * turn.is_large
        self._taken[turn.owner] += places
        if not self._taken[turn.owner]:
            del self._taken[turn.owner]
