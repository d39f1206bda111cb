"""Where each consumer group stands, stored with its effects (docs/consumers.md)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import Protocol

from infra.postgres import Database
from shared_kernel.events import Position

Partition = tuple[str, int]
LOOK_AGAIN_S = (0.01, 0.25)  # read models are mostly a few milliseconds behind; who waits longer asks less often


class Fenced(Exception):
    """The group has been past these records already: another member took over, or the position was moved."""


class Positions(Protocol):
    """One context's positions. Topic names are those on the broker."""

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Return the block in which effects and `advance` commit together."""
        ...

    async def load(self, group: str) -> dict[Partition, int]:
        """Return the offset of the next record for every partition the group has begun."""
        ...

    async def advance(self, group: str, partition: Partition, first: int, next_: int) -> None:
        """Move to `next_`, having handled from `first` on. Raise `Fenced` if the position is past `first`."""
        ...


LOAD = 'select topic, partition, next from {schema}."position" where consumer = $1'
ADVANCE = """insert into {schema}."position" as p (consumer, topic, partition, next) values ($1, $2, $3, $5)
             on conflict (consumer, topic, partition) do update set next = excluded.next, moved_at = now()
             where p.next <= $4 returning next"""


class PostgresPositions:
    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._load = LOAD.format(schema=schema)
        self._advance = ADVANCE.format(schema=schema)

    def transaction(self) -> AbstractAsyncContextManager[object]:
        return self._database.transaction()

    async def load(self, group: str) -> dict[Partition, int]:
        async with self._database.transaction() as connection:
            rows = await connection.exec_driver_sql(self._load, (group,))
            return {(row.topic, row.partition): row.next for row in rows}

    async def advance(self, group: str, partition: Partition, first: int, next_: int) -> None:
        async with self._database.transaction() as connection:
            moved = await connection.exec_driver_sql(self._advance, (group, *partition, first, next_))
            if moved.first() is None:
                raise Fenced(f"{group} is past {partition[0]}/{partition[1]}@{first}")


class MemoryPositions:
    """Twin without a database: effects are not undone when the block fails."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, Partition], int] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        before = dict(self._next)
        try:
            yield
        except BaseException:
            self._next = before
            raise

    async def load(self, group: str) -> dict[Partition, int]:
        return {partition: next_ for (owner, partition), next_ in self._next.items() if owner == group}

    async def advance(self, group: str, partition: Partition, first: int, next_: int) -> None:
        if self._next.get((group, partition), 0) > first:
            raise Fenced(f"{group} is past {partition[0]}/{partition[1]}@{first}")
        self._next[group, partition] = next_


class ReadModel:
    """What one group has stored, for reads that must see an earlier write."""

    def __init__(self, positions: Positions, group: str, prefix: str = "") -> None:
        self._positions = positions
        self._group = group
        self._prefix = prefix

    async def reached(self, position: Position, timeout_s: float) -> bool:
        """Wait until the group is past `position`; return False when it was not within `timeout_s` seconds."""
        partition = (self._prefix + position.topic, position.partition)
        until = monotonic() + timeout_s
        pause, longest = LOOK_AGAIN_S
        while (await self._positions.load(self._group)).get(partition, 0) <= position.offset:
            if monotonic() >= until:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)
        return True

    async def positions(self) -> dict[str, dict[int, int]]:
        """Return topic → partition → next offset of what is stored; a partition that is not there has not been begun."""
        stored: dict[str, dict[int, int]] = {}
        for (topic, number), next_ in (await self._positions.load(self._group)).items():
            stored.setdefault(topic.removeprefix(self._prefix), {})[number] = next_
        return stored
