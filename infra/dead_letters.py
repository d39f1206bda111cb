"""Records a group could not handle: kept in the context's database until they are redriven or discarded.

The group's dead-letter topic has them too, for everybody else; what is to be done about them is decided here, in the same
transactions as the effects, so that a redrive has its effect once (docs/consumers.md, docs/adr/0022).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from infra.envelope import event_type
from infra.handled import Place
from infra.memory_database import MemoryDatabase, MemoryTable
from infra.positions import Fenced, MemoryPositions
from infra.postgres import Database
from shared_kernel.errors import Refused
from shared_kernel.records import Partition, Record

LIST_LIMIT = 1000
LIST_BYTES = 8 << 20  # of values and headers, after which no further letter is fetched
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
    after: str | None = None  # only those behind the one with this id
    limit: int = LIST_LIMIT

    def __post_init__(self) -> None:
        for text in (self.id, self.key, self.type, self.after):
            if text and ("\0" in text or text != text.encode("utf-8", "replace").decode()):
                raise Refused("invalid_choice", "no letter is found by what is no text")
        if self.after:
            place_of(self.after)


def place_of(id_: str) -> Place:
    """Return the place a letter's id names. Raise `Refused`."""
    parts = id_.rsplit("/", 2)
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts[1:]):
        raise Refused("invalid_choice", "a letter's id is TOPIC/PARTITION/OFFSET")
    return parts[0], int(parts[1]), int(parts[2])


class DeadLetters(Protocol):
    """What a member needs. Groups go by their names on the broker. Every call joins the transaction it is made in."""

    async def bury(self, group: str, letters: Sequence[Letter]) -> None:
        """Keep the letters. One that is there already failed again: attempts add up, it is no longer due. One with 0
        attempts is due if an earlier one of its key is: whoever redrives a key means what waits behind too."""
        ...

    async def put_back(self, group: str, letter: Letter) -> None:
        """Note that the letter failed again, with so many attempts more, and that nobody asks for it any longer. Does
        nothing if it was taken away meanwhile."""
        ...

    async def parked(self, group: str, partitions: Iterable[Partition]) -> set[Key]:
        """Return the keys of these partitions that have letters."""
        ...

    async def counts(self, group: str, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """Return how many letters these partitions have, of those that have any."""
        ...

    async def due(self, group: str, partitions: Iterable[Partition]) -> list[Letter]:
        """Return the first letters that somebody asked to redrive, at most `LIST_LIMIT` and few more bytes than
        `LIST_BYTES`, in the order of their partition."""
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
PUT_BACK = """
update {schema}.dead_letter set error = $5, stack = $6, attempts = attempts + $7, buried_at = $8, is_due = false
where consumer = $1 and topic = $2 and partition = $3 and place = $4"""
OF_PARTITIONS = "consumer = $1 and (topic, partition) in (select * from unnest($2::text[], $3::int[]))"
PARKED = "select distinct topic, partition, key from {schema}.dead_letter where key is not null and {of_partitions}"
COUNTS = """
select topic, partition, count(*) as letters from {schema}.dead_letter where {of_partitions} group by topic, partition"""
# None whose key has an earlier one that nobody asked for: order per key holds among the dead too.
DUE = """
with meant as (
    select * from {schema}.dead_letter l where is_due and {of_partitions}
    and not exists (select from {schema}.dead_letter e where e.consumer = l.consumer and e.topic = l.topic
                    and e.partition = l.partition and e.key = l.key and e.place < l.place and not e.is_due)
    order by topic, partition, place limit {limit})
{first}"""
RESOLVE = (
    "delete from {schema}.dead_letter where consumer = $1 and topic = $2 and partition = $3 and place = $4 returning 1"
)
# The rows of `position` are locked first: members move theirs in every transaction, so none is between its look at what is
# parked and its commit. Those of other groups come with them, since positions go by the group's name without prefix.
LOCK = """select from {schema}.position where (topic, partition) in
          (select topic, partition from {schema}.dead_letter where consumer = $1)
          order by topic, partition, consumer for update"""
# Null: does not matter.
CHOSEN = """consumer = $1 and ($2::text is null or topic || '/' || partition || '/' || place = $2)
            and ($3::bytea is null or key = $3) and ($4::text is null or type = $4)
            and ($5::text is null or (topic, partition, place) > ($5, $6::int, $7::bigint))"""
LIST = """
with meant as (select * from {schema}.dead_letter where {chosen} order by topic, partition, place limit $8)
{first}"""
# Of the letters that are meant those that begin before the limit of bytes.
FIRST = """select {columns} from (select *, sum(bytes) over (order by topic, partition, place) - bytes as before from (
    select *, coalesce(octet_length(value), 0) + pg_column_size(header_values) as bytes from meant) sized) summed
where before < {bytes} order by topic, partition, place"""
AT = """select {columns} from {schema}.dead_letter where consumer = $1
        and (topic, partition, place) in (select * from unnest($2::text[], $3::int[], $4::bigint[]))"""
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
        first = FIRST.format(columns=COLUMNS, bytes=LIST_BYTES)
        parts = {"schema": schema, "columns": COLUMNS, "first": first, "of_partitions": OF_PARTITIONS, "chosen": CHOSEN}
        self._sql = {
            name: text.format(limit=LIST_LIMIT, **parts)
            for name, text in {
                "bury": BURY, "put_back": PUT_BACK, "parked": PARKED, "counts": COUNTS, "due": DUE, "resolve": RESOLVE,
                "lock": LOCK, "list": LIST, "at": AT, "count": COUNT, "redrive": REDRIVE, "discard": DISCARD,
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

    async def put_back(self, group: str, letter: Letter) -> None:
        record = letter.record
        place = (record.topic, record.partition, record.offset)
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(
                self._sql["put_back"],
                (group, *place, letter.error, letter.stack, letter.attempts, letter.buried_at),
            )

    async def parked(self, group: str, partitions: Iterable[Partition]) -> set[Key]:
        rows = await self._rows("parked", group, *_columns(partitions))
        return {((row.topic, row.partition), row.key) for row in rows}

    async def counts(self, group: str, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        rows = await self._rows("counts", group, *_columns(partitions))
        return {(row.topic, row.partition): row.letters for row in rows}

    async def due(self, group: str, partitions: Iterable[Partition]) -> list[Letter]:
        return [_letter(row) for row in await self._rows("due", group, *_columns(partitions))]

    async def resolve(self, group: str, letter: Letter) -> None:
        record = letter.record
        if not await self._rows("resolve", group, record.topic, record.partition, record.offset):
            raise Fenced(f"{letter.id} is no dead letter of {group} any more")

    async def chosen(self, group: str, choice: Choice) -> list[Letter]:
        """Return the first letters, in the order of their partitions, as many as `due` would."""
        return [_letter(row) for row in await self._rows("list", group, *_meant(choice), choice.limit)]

    async def at(self, group: str, places: Sequence[Place]) -> dict[Place, Letter]:
        """Return those of the records that are dead letters."""
        columns = [list(column) for column in zip(*places, strict=True)] or [[], [], []]
        letters = [_letter(row) for row in await self._rows("at", group, *columns)]
        return {(*letter.record.home, letter.record.offset): letter for letter in letters}

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
    """Twin in memory; `positions` of the same database are what operators lock."""

    def __init__(self, database: MemoryDatabase, positions: MemoryPositions) -> None:
        self._database = database
        self._positions = positions
        self._letters: MemoryTable[tuple[str, Partition, int], Letter] = MemoryTable(database)

    async def bury(self, group: str, letters: Sequence[Letter]) -> None:
        async with self._database.transaction():
            for letter in letters:
                home, key, place = letter.record.home, letter.record.key, letter.record.offset
                former = self._letters.rows().get((group, home, place))
                attempts = letter.attempts + (former.attempts if former else 0)
                is_due = not (former or letter.attempts or key is None) and any(
                    other.is_due for other in self._of(group, [home]) if other.record.key == key
                )
                self._letters.write((group, home, place), replace(letter, attempts=attempts, is_due=is_due))

    async def put_back(self, group: str, letter: Letter) -> None:
        place = (group, letter.record.home, letter.record.offset)
        async with self._database.transaction():
            if former := self._letters.rows().get(place):
                self._letters.write(place, replace(letter, attempts=former.attempts + letter.attempts, is_due=False))

    async def parked(self, group: str, partitions: Iterable[Partition]) -> set[Key]:
        records = [letter.record for letter in self._of(group, partitions)]
        return {(record.home, record.key) for record in records if record.key is not None}

    async def counts(self, group: str, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        return Counter(letter.record.home for letter in self._of(group, partitions))

    async def due(self, group: str, partitions: Iterable[Partition]) -> list[Letter]:
        due: list[Letter] = []
        held: set[tuple[Partition, bytes | None]] = set()  # keys with an earlier letter that nobody asked for
        for letter in self._of(group, partitions):
            key = (letter.record.home, letter.record.key)
            if not letter.is_due:
                held |= {key} if letter.record.key is not None else set()
            elif key not in held:
                due.append(letter)
        return _first(due, LIST_LIMIT)

    async def resolve(self, group: str, letter: Letter) -> None:
        place = (group, letter.record.home, letter.record.offset)
        async with self._database.transaction():
            await self._database.lock((self, place))
            if place not in self._letters.rows():
                raise Fenced(f"{letter.id} is no dead letter of {group} any more")
            self._letters.write(place, None)

    async def chosen(self, group: str, choice: Choice) -> list[Letter]:
        """Return the first letters, in the order of their partitions, as many as `due` would."""
        return _first([letter for letter in self._of(group) if _is_meant(letter, choice)], choice.limit)

    async def count(self, group: str, choice: Choice) -> int:
        """Return how many letters there are, whatever the choice's limit."""
        return sum(_is_meant(letter, choice) for letter in self._of(group))

    async def redrive(self, group: str, choice: Choice) -> int:
        """Ask for another try of the letters and of all others with their keys."""
        async with self._database.transaction():
            await self._positions.lock({letter.record.home for letter in self._of(group)})
            meant = [letter for letter in self._of(group) if _is_meant(letter, choice)]
            keys = {(letter.record.home, letter.record.key) for letter in meant if letter.record.key is not None}
            asked = [
                letter
                for letter in self._of(group)
                if not letter.is_due and (letter in meant or (letter.record.home, letter.record.key) in keys)
            ]
            for letter in asked:
                place = (group, letter.record.home, letter.record.offset)
                self._letters.write(place, replace(letter, is_due=True))
        return len(asked)

    async def discard(self, group: str, choice: Choice) -> int:
        """Forget the letters. Return how many."""
        async with self._database.transaction():
            await self._positions.lock({letter.record.home for letter in self._of(group)})
            meant = [letter for letter in self._of(group) if _is_meant(letter, choice)]
            for letter in meant:
                self._letters.write((group, letter.record.home, letter.record.offset), None)
        return len(meant)

    def _of(self, group: str, partitions: Iterable[Partition] | None = None) -> list[Letter]:
        mine = None if partitions is None else set(partitions)
        rows = sorted(self._letters.rows().items(), key=lambda row: row[0])
        return [letter for (owner, home, _), letter in rows if owner == group and (mine is None or home in mine)]


def _is_meant(letter: Letter, choice: Choice) -> bool:
    key = choice.key.encode() if choice.key is not None else None
    return (
        choice.id in (None, letter.id)
        and (key is None or key == letter.record.key)
        and choice.type in (None, letter.type)
        and (choice.after is None or (*letter.record.home, letter.record.offset) > place_of(choice.after))
    )


def _first(letters: Sequence[Letter], limit: int) -> list[Letter]:
    first, size = [], 0
    for letter in letters[:limit]:
        if size >= LIST_BYTES:
            break
        first.append(letter)
        size += len(letter.record.value or b"") + sum(len(value or b"") for _, value in letter.record.headers)
    return first


def _columns(partitions: Iterable[Partition]) -> tuple[list[str], list[int]]:
    partitions = list(partitions)
    return [topic for topic, _ in partitions], [number for _, number in partitions]


def _meant(choice: Choice) -> tuple[object, ...]:
    after = place_of(choice.after) if choice.after else (None, None, None)
    return choice.id, choice.key.encode() if choice.key is not None else None, choice.type, *after


def _letter(row: Any) -> Letter:
    headers = list(zip(row.header_names, row.header_values, strict=True))
    record = Record(row.topic, row.partition, row.place, row.key, row.value, headers, row.produced_ms)
    return Letter(record, row.error, row.stack, row.attempts, row.buried_at, row.is_due)
