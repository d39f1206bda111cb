"""Where each consumer group stands, stored with its effects (docs/consumers.md)."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from infra.memory_database import MemoryDatabase, MemoryTable
from infra.postgres import Database
from infra.watermark import Stretch
from shared_kernel.events import Position
from shared_kernel.records import Partition

LOOK_AGAIN_S = (0.01, 0.25)  # read models are mostly a few milliseconds behind; who waits longer asks less often


async def comes_true(look: Callable[[], Awaitable[object]], within_s: float) -> bool:
    """Look once, then again and again, more and more seldom, until there is something; return whether there was within so many
    seconds."""
    now = asyncio.get_running_loop().time
    until = now() + within_s
    pause, longest = LOOK_AGAIN_S
    while not await look():
        if now() >= until:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, longest)
    return True


class Fenced(Exception):
    """Another member has taken the partition over, or the position was moved."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a group is in one partition, and whose claim that is."""

    next: int  # everything before it is done
    beyond: tuple[Stretch, ...] = ()  # done after it
    claim: int = 0  # rises with every member that takes the partition

    def lag(self, end: int) -> int:
        """Return how many records before `end` are not done."""
        return max(end - self.next - sum(last - first for first, last in self.beyond), 0)


class Positions(Protocol):
    """One context's positions. Topic names are those on the broker."""

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Return the block in which effects and `advance` commit together."""
        ...

    async def load(self, group: str) -> dict[Partition, int]:
        """Return the offset of the next record for every partition the group has ever claimed."""
        ...

    async def claim(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, Progress]:
        """Take the partitions over and return how far they are; whoever had them before is fenced from now on."""
        ...

    async def advance(self, group: str, moved: Mapping[Partition, Progress]) -> None:
        """Move to these places, all or none. Raise `Fenced` if one of the claims is not the newest."""
        ...


LOAD = 'select topic, partition, next from {schema}."position" where consumer = $1'
# In one order for everybody, so that two claims cannot wait for each other.
CLAIM = """insert into {schema}."position" as p (consumer, topic, partition, next, claim)
           select $1, topic, partition, 0, 1 from unnest($2::text[], $3::int[]) as t(topic, partition) order by 2, 3
           on conflict (consumer, topic, partition) do update set claim = p.claim + 1
           returning topic, partition, next, beyond, claim"""
ADVANCE = """update {schema}."position" set next = $4, beyond = $5, moved_at = now()
             where consumer = $1 and topic = $2 and partition = $3 and claim = $6 returning next"""


STANDING = """select topic, partition, next, beyond, claim, moved_at from {schema}."position"
              where consumer = $1 order by topic, partition"""
MOVE = """update {schema}."position" set next = $4, beyond = $5, moved_at = now(), claim = claim + 1
          where consumer = $1 and topic = $2 and partition = $3 and claim = $6 returning next"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a group stands in one partition and since when, UTC."""

    topic: str
    partition: int
    next: int
    beyond: tuple[Stretch, ...]
    claim: int
    moved_at: datetime


class PostgresPositions:
    """`Positions`, and what operators do with them."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._standing = STANDING.format(schema=schema)
        self._move = MOVE.format(schema=schema)
        self._load = LOAD.format(schema=schema)
        self._claim = CLAIM.format(schema=schema)
        self._advance = ADVANCE.format(schema=schema)

    def transaction(self) -> AbstractAsyncContextManager[object]:
        return self._database.transaction()

    async def load(self, group: str) -> dict[Partition, int]:
        async with self._database.transaction() as connection:
            rows = await connection.exec_driver_sql(self._load, (group,))
            return {(row.topic, row.partition): row.next for row in rows}

    async def claim(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, Progress]:
        topics, numbers = [list(column) for column in zip(*partitions, strict=True)] or [[], []]
        async with self._database.transaction() as connection:
            rows = await connection.exec_driver_sql(self._claim, (group, topics, numbers))
            return {(row.topic, row.partition): Progress(row.next, unflattened(row.beyond), row.claim) for row in rows}

    async def advance(self, group: str, moved: Mapping[Partition, Progress]) -> None:
        async with self._database.transaction() as connection:
            for (topic, number), to in sorted(moved.items()):
                arguments = (group, topic, number, to.next, flattened(to.beyond), to.claim)
                if (await connection.exec_driver_sql(self._advance, arguments)).first() is None:
                    raise Fenced(f"{group} no longer has {topic}/{number}")

    async def standing(self, group: str) -> list[Standing]:
        """Return where the group stands in every partition it has ever claimed."""
        async with self._database.transaction() as connection:
            rows = await connection.exec_driver_sql(self._standing, (group,))
            return [
                Standing(row.topic, row.partition, row.next, unflattened(row.beyond), row.claim, row.moved_at)
                for row in rows
            ]

    async def move(self, group: str, targets: Mapping[Partition, Progress]) -> bool:
        """Put the group elsewhere, and fence whoever is at work. Return False, having moved nothing, if one of the claims
        is not the newest."""
        try:
            async with self._database.transaction() as connection:
                for (topic, number), to in sorted(targets.items()):
                    arguments = (group, topic, number, to.next, flattened(to.beyond), to.claim)
                    if (await connection.exec_driver_sql(self._move, arguments)).first() is None:
                        raise Fenced
        except Fenced:
            return False
        return True


class MemoryPositions:
    """Twin in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._progress: MemoryTable[tuple[str, Partition], Progress] = MemoryTable(database)

    def transaction(self) -> AbstractAsyncContextManager[object]:
        return self._database.transaction()

    async def load(self, group: str) -> dict[Partition, int]:
        rows = self._progress.rows().items()
        return {partition: progress.next for (owner, partition), progress in rows if owner == group}

    async def claim(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, Progress]:
        claimed = {}
        async with self.transaction():
            for partition in sorted(partitions):
                progress = await self._locked(group, partition)
                claimed[partition] = replace(progress, claim=progress.claim + 1)
                self._progress.write((group, partition), claimed[partition])
        return claimed

    async def advance(self, group: str, moved: Mapping[Partition, Progress]) -> None:
        async with self.transaction():
            for partition, to in sorted(moved.items()):
                if (await self._locked(group, partition)).claim != to.claim:
                    raise Fenced(f"{group} no longer has {partition[0]}/{partition[1]}")
                self._progress.write((group, partition), to)

    async def lock(self, partitions: Collection[Partition]) -> None:
        """Keep every group from moving in these partitions until the surrounding transaction ends."""
        for group, partition in sorted(self._progress.rows(), key=lambda row: (row[1], row[0])):
            if partition in partitions:
                await self._locked(group, partition)

    async def _locked(self, group: str, partition: Partition) -> Progress:
        await self._database.lock((self, group, partition))
        return self._progress.rows().get((group, partition), Progress(0))


def flattened(beyond: Iterable[Stretch]) -> list[int]:
    """Return the stretches as the database has them: from, to, from, to …"""
    return [offset for stretch in beyond for offset in stretch]


def unflattened(offsets: list[int]) -> tuple[Stretch, ...]:
    """Return the stretches from what the database has."""
    return tuple(zip(offsets[::2], offsets[1::2], strict=True))


class ReadModel:
    """What one group has stored, for reads that must see an earlier write."""

    def __init__(self, positions: Positions, group: str, prefix: str = "") -> None:
        self._positions = positions
        self._group = group
        self._prefix = prefix

    async def reached(self, position: Position, timeout_s: float) -> bool:
        """Wait until the group is past `position`; return False when it was not within `timeout_s` seconds."""
        partition = (self._prefix + position.topic, position.partition)

        async def is_past() -> bool:
            return (await self._positions.load(self._group)).get(partition, 0) > position.offset

        return await comes_true(is_past, timeout_s)

    async def positions(self) -> dict[str, dict[int, int]]:
        """Return topic → partition → next offset of what is stored; a partition that is not there has not been begun."""
        stored: dict[str, dict[int, int]] = {}
        for (topic, number), next_ in (await self._positions.load(self._group)).items():
            stored.setdefault(topic.removeprefix(self._prefix), {})[number] = next_
        return stored
