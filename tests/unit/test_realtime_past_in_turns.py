"""Who reads the past when many want to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from bounded_contexts.realtime.adapters.past_in_turns import Crowded, PastInTurns
from bounded_contexts.realtime.application.limits import Limits
from tests.probes import eventually

ANN, BOB, CEM = (UUID(int=number) for number in range(1, 4))
LIMITS = Limits(past_readers=3, past_readers_per_user=2, past_waiting_per_user=4)


class Readers:
    """Readings that last until a test ends them."""

    def __init__(self) -> None:
        past: Any = None
        self.past = PastInTurns(past, LIMITS)
        self.reading: list[tuple[UUID, Hashable]] = []
        self.tasks: list[tuple[UUID, Hashable, asyncio.Task[None]]] = []

    def want(self, user: UUID, *clients: Hashable) -> None:
        self.tasks += [(user, client, asyncio.create_task(self._read(user, client))) for client in clients]

    async def end(self, user: UUID, client: Hashable) -> None:
        at = next(at for at, each in enumerate(self.tasks) if each[:2] == (user, client))
        _, _, task = self.tasks.pop(at)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def end_all(self) -> None:
        for user, client, _ in list(self.tasks):
            await self.end(user, client)

    def are(self, *wanted: tuple[UUID, Hashable]) -> Callable[[], Awaitable[bool]]:
        async def found() -> bool:
            return self.reading == list(wanted)

        return found

    async def _read(self, user: UUID, client: Hashable) -> None:
        async with self.past.turn(user, client):
            self.reading.append((user, client))
            try:
                await asyncio.Event().wait()
            finally:
                self.reading.remove((user, client))


@pytest.fixture
async def readers() -> AsyncIterator[Readers]:
    readers = Readers()
    yield readers
    await readers.end_all()


async def test_a_user_takes_some_places_and_leaves_the_others(readers: Readers) -> None:
    readers.want(ANN, 1, 2, 3)
    readers.want(BOB, 4)
    await eventually(readers.are((ANN, 1), (ANN, 2), (BOB, 4)))


async def test_users_take_turns_however_many_readings_each_has(readers: Readers) -> None:
    readers.want(ANN, 1, 2, 3)
    readers.want(BOB, 4, 5, 6)
    readers.want(CEM, 7)
    await eventually(readers.are((ANN, 1), (ANN, 2), (BOB, 4)))
    await readers.end(ANN, 1)
    await eventually(readers.are((ANN, 2), (BOB, 4), (CEM, 7)))
    await readers.end(BOB, 4)
    await eventually(readers.are((ANN, 2), (CEM, 7), (BOB, 5)))
    await readers.end(CEM, 7)
    await eventually(readers.are((ANN, 2), (BOB, 5), (ANN, 3)))


async def test_a_client_reads_once_at_a_time(readers: Readers) -> None:
    readers.want(ANN, 1, 1, 2)
    await eventually(readers.are((ANN, 1), (ANN, 2)))
    await readers.end(ANN, 1)
    await eventually(readers.are((ANN, 2), (ANN, 1)))


async def test_who_waits_and_goes_away_takes_nobodys_place(readers: Readers) -> None:
    readers.want(ANN, 1, 2, 3)
    await eventually(readers.are((ANN, 1), (ANN, 2)))
    await readers.end(ANN, 3)
    await readers.end(ANN, 1)
    readers.want(ANN, 4)
    readers.want(BOB, 5)
    await eventually(readers.are((ANN, 2), (ANN, 4), (BOB, 5)))
    await readers.end_all()
    readers.want(CEM, 6, 7)
    await eventually(readers.are((CEM, 6), (CEM, 7)))


async def test_of_one_user_only_so_many_wait(readers: Readers) -> None:
    readers.want(ANN, *range(2 + LIMITS.past_waiting_per_user))
    await eventually(readers.are((ANN, 0), (ANN, 1)))
    with pytest.raises(Crowded):
        async with readers.past.turn(ANN, "one more"):
            pass
    readers.want(BOB, "b")
    await eventually(readers.are((ANN, 0), (ANN, 1), (BOB, "b")))
