"""Deadlines that are all equally far away: one timer for however many."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class Wheel(Generic[Member]):
    """Calls `due` with each member, `delay_s` after it was put on."""

    def __init__(self, delay_s: float, due: Callable[[Member], None]) -> None:
        self._delay_s, self._due = delay_s, due
        self._at: OrderedDict[Member, float] = OrderedDict()  # in order, because the delay is always the same
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._at)

    def put(self, member: Member) -> None:
        """Begin its time, anew if it has begun."""
        loop = asyncio.get_running_loop()
        self._at[member] = at = loop.time() + self._delay_s
        self._at.move_to_end(member)
        if self._timer is None:
            self._timer = loop.call_at(at, self._turn)

    def remove(self, member: Member) -> bool:
        """Forget it. Return whether it was on."""
        return self._at.pop(member, None) is not None

    def stop(self) -> None:
        """Forget all."""
        self._at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        now, self._timer = loop.time(), None
        while self._at:
            member, at = next(iter(self._at.items()))
            if at > now:
                break
            del self._at[member]
            self._due(member)
        if self._at and self._timer is None:
            self._timer = loop.call_at(next(iter(self._at.values())), self._turn)
