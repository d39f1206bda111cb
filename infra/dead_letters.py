"""Records a group could not handle: kept in the context's database until they are redriven or discarded.

The group's dead-letter topic has them too, for everybody else; what is to be done about them is decided here, in the same
transactions as the effects, so that a redrive has its effect once (docs/consumers.md, docs/adr/0022).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from infra.envelope import event_type
from infra.positions import Fenced
from infra.postgres import Database
from infra.records import Partition, Record

LIST_LIMIT = 1000
Key = tuple[Partition, bytes]


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that could not be handled, and why."""

    record: Record
    error: str  # class and text, or what it waits behind
    stack: str
    attempts: int  # 0: it was never tried, it waits behind another of its key
    buried_at: datetime
    is_due: bool = False  # whether somebody asked for another try

    @property
    def id(self) -> str:
        """Return how people name it: `topic/partition/offset` on the broker."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def type(self) -> str:
        """Return the event's type as its header says, or nothing."""
        return event_type(self.record.headers) or ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters of a group are meant. What is not given does not matter."""

    id: str | None = None
    key: str | None = None
    type: str | None = None
    limit: int = LIST_LIMIT


class DeadLetters(Protocol):
    """What a member needs. Groups go by their names on the broker. Every call joins the transaction it is made in."""

    async def bury(self, group: str, letters: Sequence[Letter]) -> None:
        """Keep the letters. One that is there already failed again: attempts add up, it is no longer due. One with 0
        attempts is due if an earlier one of its key is: whoever redrives a key means what waits behind too."""
        ...

    async def parked(self, group: str, partitions: Iterable[Partition]) -> set[Key]:
        """Return the keys of these partitions that have letters."""
        ...

    async def due(self, group: str, partitions: Iterable[Partition]) -> list[Letter]:
        """Return letters that somebody asked to redrive, at most `LIST_LIMIT`, in the order of their partition."""
        ...

    async def resolve(self, group: str, letter: Letter) -> None:
        """Take the letter away, because it is being handled. Raise `Fenced` if somebody else did."""
        ...


COLUMNS = """topic, partition, place, key, value, header_names, header_values, produced_ms,
             error, stack, attempts, buried_at, is_due"""
BURY = """
insert into {schema}.dead_letter as l (consumer, type, {columns})
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
        $13 = 0 and exists (select from {schema}.dead_letter e
                            where e.consumer = $1 and e.topic = $3 and e.partition = $4 and e.key = $6 and e.is_due))
on conflict (consumer, topic, partition, place) do update
set error = excluded.error, stack = excluded.stack, attempts = l.attempts + excluded.attempts,
    buried_at = excluded.buried_at, is_due = false"""
OF_PARTITIONS = "consumer = $1 and (topic, partition) in (select * from unnest($2::text[], $3::int[]))"
PARKED = "select distinct topic, partition, key from {schema}.dead_letter where key is not null and {of_partitions}"
# None whose key has an earlier one that nobody asked for: order per key holds among the dead too.
DUE = """
select {columns} from {schema}.dead_letter l where is_due and {of_partitions}
and not exists (select from {schema}.dead_letter e where e.consumer = l.consumer and e.topic = l.topic
                and e.partition = l.partition and e.key = l.key and e.place < l.place and not e.is_due)
order by topic, partition, place limit {limit}"""
RESOLVE = (
    "delete from {schema}.dead_letter where consumer = $1 and topic = $2 and partition = $3 and place = $4 returning 1"
)
# Null: does not matter. The rows of `position` are locked first: members move theirs in every transaction, so none is
# between its look at what is parked and its commit.
LOCK = "select from {schema}.position where consumer = $1 order by topic, partition for update"
CHOSEN = """consumer = $1 and ($2::text is null or topic || '/' || partition || '/' || place = $2)
            and ($3::bytea is null or key = $3) and ($4::text is null or type = $4)"""
LIST = "select {columns} from {schema}.dead_letter where {chosen} order by topic, partition, place limit $5"
COUNT = "select count(*) from {schema}.dead_letter where {chosen}"
REDRIVE = """
update {schema}.dead_letter set is_due = true
where consumer = $1 and not is_due
  and ((topic, partition, place) in (select topic, partition, place from {schema}.dead_letter where {chosen})
       or (topic, partition, key) in (select topic, partition, key from {schema}.dead_letter where {chosen}))"""
DISCARD = "delete from {schema}.dead_letter where {chosen}"


class PostgresDeadLetters:
    """`DeadLetters`, and what operators do with them."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        parts = {"schema": schema, "columns": COLUMNS, "of_partitions": OF_PARTITIONS, "chosen": CHOSEN}
        self._sql = {
            name: text.format(limit=LIST_LIMIT, **parts)
            for name, text in {
                "bury": BURY, "parked": PARKED, "due": DUE, "resolve": RESOLVE, "lock": LOCK,
                "list": LIST, "count": COUNT, "redrive": REDRIVE, "discard": DISCARD,
            }.items()
        }  # fmt: skip

    async def bury(self, group: str, letters: Sequence[Letter]) -> None:
        async with self._database.transaction() as connection:
            for letter in letters:
                record = letter.record
                names = [name for name, _ in record.headers]
                values = [value for _, value in record.headers]
                await connection.exec_driver_sql(
                    self._sql["bury"],
                    (
                        group, letter.type, record.topic, record.partition, record.offset, record.key, record.value,
                        names, values, record.timestamp_ms, letter.error, letter.stack, letter.attempts, letter.buried_at,
                    ),
                )  # fmt: skip

    async def parked(self, group: str, partitions: Iterable[Partition]) -> set[Key]:
        rows = await self._rows("parked", group, *_columns(partitions))
        return {((row.topic, row.partition), row.key) for row in rows}

    async def due(self, group: str, partitions: Iterable[Partition]) -> list[Letter]:
        return [_letter(row) for row in await self._rows("due", group, *_columns(partitions))]

    async def resolve(self, group: str, letter: Letter) -> None:
        record = letter.record
        if not await self._rows("resolve", group, record.topic, record.partition, record.offset):
            raise Fenced(f"{letter.id} is no dead letter of {group} any more")

    async def chosen(self, group: str, choice: Choice) -> list[Letter]:
        """Return the letters, in the order of their partitions."""
        return [_letter(row) for row in await self._rows("list", group, *_meant(choice), choice.limit)]

    async def count(self, group: str, choice: Choice) -> int:
        """Return how many letters there are, whatever the choice's limit."""
        (row,) = await self._rows("count", group, *_meant(choice))
        return int(row[0])

    async def redrive(self, group: str, choice: Choice) -> int:
        """Ask for another try of the letters and of all others with their keys, since order per key holds; the group's
        members take them within seconds. Return how many were not asked for before."""
        return await self._change("redrive", group, choice)

    async def discard(self, group: str, choice: Choice) -> int:
        """Forget the letters. A key without any is no longer parked. Return how many."""
        return await self._change("discard", group, choice)

    async def _change(self, statement: str, group: str, choice: Choice) -> int:
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(self._sql["lock"], (group,))
            done = await connection.exec_driver_sql(self._sql[statement], (group, *_meant(choice)))
            return done.rowcount

    async def _rows(self, statement: str, *arguments: object) -> Sequence[Any]:
        async with self._database.transaction() as connection:
            return (await connection.exec_driver_sql(self._sql[statement], arguments)).all()


class MemoryDeadLetters:
    """Twin without a database."""

    def __init__(self) -> None:
        self._letters: dict[tuple[str, Partition, int], Letter] = {}

    async def bury(self, group: str, letters: Sequence[Letter]) -> None:
        for letter in letters:
            place = (group, letter.record.home, letter.record.offset)
            behind_due = letter.attempts == 0 and any(
                other.is_due
                for (owner, home, _), other in self._letters.items()
                if owner == group and home == letter.record.home and other.record.key == letter.record.key
            )
            former = self._letters.get(place)
            attempts = letter.attempts + (former.attempts if former else 0)
            self._letters[place] = replace(letter, attempts=attempts, is_due=behind_due and not former)

    async def parked(self, group: str, partitions: Iterable[Partition]) -> set[Key]:
        mine = set(partitions)
        return {
            (home, letter.record.key)
            for (owner, home, _), letter in self._letters.items()
            if owner == group and home in mine and letter.record.key is not None
        }

    async def due(self, group: str, partitions: Iterable[Partition]) -> list[Letter]:
        mine = set(partitions)
        return [
            letter
            for (owner, home, _), letter in sorted(self._letters.items(), key=lambda item: item[0])
            if owner == group and home in mine and letter.is_due and not self._waits(group, letter)
        ][:LIST_LIMIT]

    async def resolve(self, group: str, letter: Letter) -> None:
        if self._letters.pop((group, letter.record.home, letter.record.offset), None) is None:
            raise Fenced(f"{letter.id} is no dead letter of {group} any more")

    def _waits(self, group: str, letter: Letter) -> bool:
        return letter.record.key is not None and any(
            not other.is_due
            for (owner, home, offset), other in self._letters.items()
            if (owner, home, other.record.key) == (group, letter.record.home, letter.record.key)
            and offset < letter.record.offset
        )

    def redrive(self, group: str) -> None:
        """Ask for another try of all of them."""
        for place, letter in self._letters.items():
            if place[0] == group:
                self._letters[place] = replace(letter, is_due=True)


def _columns(partitions: Iterable[Partition]) -> tuple[list[str], list[int]]:
    partitions = list(partitions)
    return [topic for topic, _ in partitions], [number for _, number in partitions]


def _meant(choice: Choice) -> tuple[str | None, bytes | None, str | None]:
    return choice.id, choice.key.encode() if choice.key is not None else None, choice.type


def _letter(row: Any) -> Letter:
    headers = list(zip(row.header_names, row.header_values, strict=True))
    record = Record(row.topic, row.partition, row.place, row.key, row.value, headers, row.produced_ms)
    return Letter(record, row.error, row.stack, row.attempts, row.buried_at, row.is_due)
