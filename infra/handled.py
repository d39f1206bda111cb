"""What groups have handled, when and in how many tries: a row a second and partition, whatever the traffic (docs/audit.md).

A member extends its row while that is less than `SPAN_S` old, in the transaction that moves the position: both are there or
neither. Rows are kept for `KEPT`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from infra.memory_database import MemoryDatabase, MemoryTable
from infra.postgres import Database
from infra.watermark import Stretch
from shared_kernel.records import Partition

SPAN_S = 1.0  # what is finished within it shares a row
STRETCHES = 200  # of one row, before another is begun
KEPT = timedelta(days=7)
PRUNED = 10_000  # rows deleted at once

Place = tuple[str, int, int]  # topic on the broker, partition, offset
Tries = tuple[int, int, int]  # a stretch, and how often its records were tried


@dataclass(frozen=True, slots=True)
class Handled:
    """What a member finished in one partition within about a second. Buried records are finished too."""

    stretches: tuple[Stretch, ...]  # in order
    since: datetime
    until: datetime  # everything in it was finished by then, UTC
    tries: tuple[Tries, ...] = ()  # of those that took more than one
    buried: tuple[int, ...] = ()

    @property
    def first(self) -> int:
        return self.stretches[0][0]

    @property
    def past(self) -> int:
        """Return the offset after the last."""
        return self.stretches[-1][1]

    def has(self, offset: int) -> bool:
        """Return whether the record is among them."""
        return any(first <= offset < past for first, past in self.stretches)

    def attempts(self, offset: int) -> int:
        """Return how often the record was tried."""
        return next((count for first, past, count in self.tries if first <= offset < past), 1)


def finished(stretches: Iterable[Stretch], tries: Iterable[Tries] = (), buried: Iterable[int] = ()) -> Handled:
    """Return what was finished just now."""
    now = datetime.now(UTC)
    return Handled(_joined(stretches), now, now, tuple(each for each in tries if each[2] > 1), tuple(buried))


def added(row: Handled | None, more: Handled) -> Handled:
    """Return the row with more in it, or a new row where that one is full, old or begins later."""
    if row is None or more.first < row.first or len(row.stretches) >= STRETCHES:
        return more
    if (more.until - row.since).total_seconds() > SPAN_S:
        return more
    stretches = _joined((*row.stretches, *more.stretches))
    return Handled(stretches, row.since, more.until, row.tries + more.tries, row.buried + more.buried)


def without(stretch: Stretch, done: Iterable[Stretch]) -> list[Stretch]:
    """Return what of the stretch is in none of those that are done, which are in order."""
    first, past = stretch
    left = []
    for begin, end in done:
        if begin < past and end > first:
            left += [(first, begin)] if begin > first else []
            first = max(first, end)
    return [*left, (first, past)] if first < past else left


def _joined(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    joined: list[Stretch] = []
    for first, past in sorted(stretches):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], past))
        else:
            joined.append((first, past))
    return tuple(joined)


class HandledLog(Protocol):
    """One context's rows. Topic names are those on the broker, groups' names without prefix, as with positions."""

    async def note(self, group: str, partition: Partition, row: Handled) -> None:
        """Store the row, in the surrounding transaction; one with the same beginning is replaced."""
        ...

    async def of(self, group: str, places: Sequence[Place]) -> dict[Place, Handled]:
        """Return the latest row each of the records is in; those in none are left out."""
        ...

    async def prune(self, before: datetime) -> None:
        """Delete rows from before the time, as many as one statement should."""
        ...


NOTE = """
insert into {schema}.handled (consumer, topic, partition, first, since, past, until, stretches, tries, buried)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (consumer, topic, partition, first, since) do update
set past = excluded.past, until = excluded.until, stretches = excluded.stretches, tries = excluded.tries,
    buried = excluded.buried"""
# The row a record is in is one of the last that begin before it: more than a few begin in between only where lanes or replays
# have it so. Reading further would be reading everything for each record that is in no row.
OF = """
select w.topic, w.partition, w.place, h.since, h.until, h.stretches, h.tries, h.buried
from unnest($2::text[], $3::int[], $4::bigint[]) as w(topic, partition, place) cross join lateral (
    select * from {schema}.handled h where h.consumer = $1 and h.topic = w.topic and h.partition = w.partition
    and h.first <= w.place order by h.first desc limit 100) h
where h.past > w.place order by h.until"""
PRUNE = """delete from {schema}.handled where (consumer, topic, partition, first, since) in
           (select consumer, topic, partition, first, since from {schema}.handled where since < $1 limit {limit})"""


class PostgresHandled:
    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._note = NOTE.format(schema=schema)
        self._of = OF.format(schema=schema)
        self._prune = PRUNE.format(schema=schema, limit=PRUNED)

    async def note(self, group: str, partition: Partition, row: Handled) -> None:
        stretches = [offset for stretch in row.stretches for offset in stretch]
        tries = [number for each in row.tries for number in each]
        figures = (row.first, row.since, row.past, row.until, stretches, tries, list(row.buried))
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(self._note, (group, *partition, *figures))

    async def of(self, group: str, places: Sequence[Place]) -> dict[Place, Handled]:
        columns = [list(column) for column in zip(*places, strict=True)] or [[], [], []]
        found: dict[Place, Handled] = {}
        async with self._database.transaction() as connection:
            for row in await connection.exec_driver_sql(self._of, (group, *columns)):
                stretches = tuple(zip(row.stretches[::2], row.stretches[1::2], strict=True))
                tries = tuple(zip(row.tries[::3], row.tries[1::3], row.tries[2::3], strict=True))
                handled = Handled(stretches, row.since, row.until, tries, tuple(row.buried))
                if handled.has(row.place):
                    found[row.topic, row.partition, row.place] = handled
        return found

    async def prune(self, before: datetime) -> None:
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(self._prune, (before,))


class MemoryHandled:
    """Twin in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._rows: MemoryTable[tuple[str, Partition, int, datetime], Handled] = MemoryTable(database)

    async def note(self, group: str, partition: Partition, row: Handled) -> None:
        async with self._database.transaction():
            self._rows.write((group, partition, row.first, row.since), row)

    async def of(self, group: str, places: Sequence[Place]) -> dict[Place, Handled]:
        found: dict[Place, Handled] = {}
        for (owner, home, _, _), row in sorted(self._rows.rows().items(), key=lambda each: each[1].until):
            found |= {place: row for place in places if owner == group and place[:2] == home and row.has(place[2])}
        return found

    async def prune(self, before: datetime) -> None:
        async with self._database.transaction():
            for key, row in self._rows.rows().items():
                if row.since < before:
                    self._rows.write(key, None)
