"""Whose turn it is to read the past: so many at once, one for a client, few for a user, and users one after the other."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.ports import Past, Stretch
from shared_kernel.module import Offsets

TURN_S = 3.0  # after so long a reader makes room for who waits, and waits again


class Crowded(Exception):
    """Too many readings of the user wait already."""


@dataclass(slots=True, eq=False)
class Turn:
    """One reading's time. It is another's as soon as `is_over`."""

    user: UUID
    client: Hashable
    given: asyncio.Future[None] = field(default_factory=asyncio.Future)
    began_at: float = 0.0


class PastInTurns:
    """The past of a node's clients, however many of them come back at once."""

    def __init__(self, past: Past, limits: Limits) -> None:
        self._past = past
        self._limits = limits
        self._reading: set[Turn] = set()
        self._waiting: OrderedDict[UUID, deque[Turn]] = OrderedDict()  # users in the order of their turns

    def read(self, start: Offsets) -> AsyncGenerator[Stretch, None]:
        """Yield what follows, as `Past` does, to who has a turn."""
        return self._past.read(start)

    @asynccontextmanager
    async def turn(self, user: UUID, client: Hashable) -> AsyncIterator[Turn]:
        """Wait for a turn and lend it. Raise `Crowded`."""
        others = self._waiting.setdefault(user, deque())
        if len(others) >= self._limits.past_waiting_per_user:
            raise Crowded
        turn = Turn(user, client)
        others.append(turn)
        self._give()
        try:
            await turn.given
            yield turn
        finally:
            self._end(turn)

    def is_over(self, turn: Turn) -> bool:
        """Return whether it has lasted and somebody waits for it."""
        lasted_s = asyncio.get_running_loop().time() - turn.began_at
        return lasted_s >= TURN_S and self._next() is not None

    def _give(self) -> None:
        while len(self._reading) < self._limits.past_readers and (turn := self._next()):
            self._leave(turn)
            if turn.user in self._waiting:
                self._waiting.move_to_end(turn.user)
            self._reading.add(turn)
            turn.began_at = asyncio.get_running_loop().time()
            turn.given.set_result(None)

    def _end(self, turn: Turn) -> None:
        if turn in self._reading:
            self._reading.remove(turn)
        else:
            self._leave(turn)
        self._give()

    def _leave(self, turn: Turn) -> None:
        others = self._waiting[turn.user]
        others.remove(turn)
        if not others:
            del self._waiting[turn.user]

    def _next(self) -> Turn | None:
        """Return who may read as soon as there is room: of the user who reads least, and of those whose turn is longest ago."""
        clients = {each.client for each in self._reading}
        of_users = Counter(each.user for each in self._reading)
        found = (
            next((each for each in turns if each.client not in clients and not each.given.done()), None)
            for user, turns in self._waiting.items()
            if of_users[user] < self._limits.past_readers_per_user
        )  # what is done already was cancelled just now
        return min(filter(None, found), key=lambda turn: of_users[turn.user], default=None)
