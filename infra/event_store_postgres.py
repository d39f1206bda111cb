"""Port `EventStore` on PostgreSQL: one statement writes the events and their outbox rows for all who wait (docs/event-store.md).

Group commit: while one statement runs, further appends gather; the next statement carries them all. A row that did
not come back was not at the expected version: that append is a conflict, the others stand.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Generic, TypeVar, cast
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from infra.avro import Codec
from infra.crash_points import crash_point
from infra.envelope import seal
from infra.postgres import Database
from shared_kernel.errors import Conflict
from shared_kernel.events import Event, event_key

E = TypeVar("E", bound=Event)

GROUP_LIMIT = 500  # appends in one statement

LOAD = "select body, version from {schema}.event where stream = $1 order by version"
# Up to the first that came later: several writers' clocks may disagree, a stream's order may not.
LOAD_AS_OF = """
select body, version from {schema}.event where stream = $1 and version < coalesce(
    (select min(version) from {schema}.event where stream = $1 and recorded_at > $2), 2147483647)
order by version"""
# An event is stored only behind its predecessor; the unique (stream, version) lets one of two writers win. All writers take
# streams in one order, or two of them could wait for each other. Outbox rows are drawn in the order given, so the events
# of a stream leave in their order.
APPEND = """
with given as (
    select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::bytea[], $6::timestamptz[], $7::text[], $8::text[],
                         $9::text[], $10::int[])
           with ordinality as g(stream, version, id, type, body, recorded_at, topic, key, headers, first, place)
), stored as (
    insert into {schema}.event (stream, version, id, type, body, recorded_at, headers)
    select stream, version, id, type, body, recorded_at, headers::jsonb from given
    where first = 1 or exists (select from {schema}.event e where e.stream = given.stream and e.version = given.first - 1)
    order by stream, version, place
    on conflict (stream, version) do nothing
    returning id
), sent as (
    insert into {schema}.outbox (topic, key, body, headers)
    select topic, key, body, headers::jsonb from given where id in (select id from stored) order by place
)
select id from stored
"""

LOCK = """
select pg_advisory_xact_lock(hashtextextended(stream, 0)) from (select unnest($1::text[]) as stream order by 1) as ordered
"""


@dataclass(slots=True)
class _Append:
    """One caller's events, waiting for their turn."""

    rows: list[tuple[Any, ...]]
    ids: list[UUID]
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class PostgresEventStore(Generic[E]):
    """The streams of one context. Several processes may append; readers see a stream's events in order."""

    def __init__(self, database: Database, schema: str, codec: Codec, of: UnionType | None = None) -> None:
        """`of` are the events of the aggregate, where a context has several: the stream of another one is none of it."""
        self._database = database
        self._codec = codec
        self._of = of
        self._load = LOAD.format(schema=schema)
        self._load_as_of = LOAD_AS_OF.format(schema=schema)
        self._append = APPEND.format(schema=schema)
        self._gathered: ContextVar[list[_Append] | None] = ContextVar("gathered", default=None)
        self._waiting: list[_Append] = []
        self._flusher: asyncio.Task[None] | None = None

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[E], int]:
        statement, arguments = (self._load_as_of, (stream, as_of)) if as_of else (self._load, (stream,))
        async with self._database.transaction() as connection:
            rows = (await connection.exec_driver_sql(statement, arguments)).all()
        await self._codec.learn(row.body for row in rows)
        events = [cast("E", self._codec.decode(row.body)) for row in rows]
        if not events or not self._is_ours(events):
            return [], 0
        return events, rows[-1].version

    def _is_ours(self, events: Sequence[E]) -> bool:
        """Return whether a stream that begins like this is one of the aggregate."""
        return self._of is None or isinstance(events[0], self._of)

    async def append(self, stream: UUID, version: int, events: Sequence[E]) -> None:
        await self.append_all([(stream, version, events)])

    async def append_all(self, appends: Sequence[tuple[UUID, int, Sequence[E]]]) -> None:
        append = self._prepared(appends)
        if not append.ids:
            return
        if (gathered := self._gathered.get()) is not None:
            gathered.append(append)
            return
        if self._database.in_transaction:
            await self._join(append)
            return
        self._waiting.append(append)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await append.done

    async def lock(self, streams: Collection[UUID]) -> None:
        """Have the streams to oneself, among those who lock them, until the surrounding transaction ends. All take them in
        one order, so that nobody waits in a circle who locks once in a transaction."""
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(LOCK, ([str(stream) for stream in streams],))

    @asynccontextmanager
    async def gathering(self) -> AsyncIterator[None]:
        """Have what the block appends stored by one statement at its end, in the surrounding transaction, each event with the
        cause it was appended for. Raise `Conflict` then if a stream has moved on: the transaction is to be given up."""
        gathered: list[_Append] = []
        token = self._gathered.set(gathered)
        try:
            yield
        finally:
            self._gathered.reset(token)
        if gathered:
            await self._join(_merged(gathered))

    def _prepared(self, appends: Sequence[tuple[UUID, int, Sequence[E]]]) -> _Append:
        now = datetime.now(UTC)
        prepared = _Append([], [])
        for stream, version, events in appends:
            for number, event in enumerate(events, start=version + 1):
                id_ = uuid4()
                headers = json.dumps([[name, value.decode()] for name, value in seal(event, now, id_)])
                row = (
                    stream,
                    number,
                    id_,
                    event.NAME,
                    self._codec.encode(event),
                    now,
                    event.TOPIC,
                    event_key(event),
                    headers,
                )
                prepared.rows.append((*row, version + 1))
                prepared.ids.append(id_)
        return prepared

    async def _join(self, append: _Append) -> None:
        """Append within the caller's transaction. Whoever catches the conflict and goes on commits no half of it."""
        async with self._database.transaction() as connection:
            if len(append.ids) == 1:  # all or nothing by itself
                await self._stored(append, connection)
            else:
                async with connection.begin_nested():
                    await self._stored(append, connection)

    async def _stored(self, append: _Append, connection: AsyncConnection) -> None:
        stored = (await connection.exec_driver_sql(self._append, _columns([append]))).all()
        if len(stored) < len(append.ids):
            raise Conflict("version_conflict", "the stream has moved on")

    async def _flush(self) -> None:
        """Write what waits until nothing does. A failure is told to those whose statement it was."""
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP_LIMIT], self._waiting[GROUP_LIMIT:]
            try:
                crash_point("append.before-commit")
                await self._write(group)
                crash_point("append.after-commit")
            except Exception as error:
                for append in group:
                    if not append.done.done():
                        append.done.set_exception(error)

    async def _write(self, group: list[_Append]) -> None:
        if any(len(append.ids) > 1 for append in group):
            stored = await self._write_whole(group)
        else:
            async with self._database.driver() as connection:
                stored = {row["id"] for row in await connection.fetch(self._append, *_columns(group))}
        for append in group:
            if not append.done.done():
                _tell(append, stored)

    async def _write_whole(self, group: list[_Append]) -> set[UUID]:
        """Several events of one append are stored all or none: half of one means another writer came between."""
        async with self._database.driver() as connection:
            transaction = connection.transaction()
            await transaction.start()
            stored = {row["id"] for row in await connection.fetch(self._append, *_columns(group))}
            halves = [append for append in group if 0 < len(stored.intersection(append.ids)) < len(append.ids)]
            if not halves:
                await transaction.commit()
                return stored
            await transaction.rollback()
        rest = [append for append in group if append not in halves]
        return await self._write_whole(rest) if rest else set()


def _merged(appends: Sequence[_Append]) -> _Append:
    """Return them as one, in which each stream goes on from where the first of them found it."""
    rows = [row for append in appends for row in append.rows]
    firsts = {row[0]: row[-1] for row in reversed(rows)}
    return _Append([(*row[:-1], firsts[row[0]]) for row in rows], [id_ for append in appends for id_ in append.ids])


def _tell(append: _Append, stored: set[UUID]) -> None:
    if stored.issuperset(append.ids):
        append.done.set_result(None)
    else:
        append.done.set_exception(Conflict("version_conflict", "the stream has moved on"))


def _columns(group: list[_Append]) -> tuple[list[Any], ...]:
    rows = [row for append in group for row in append.rows]
    return tuple(list(column) for column in zip(*rows, strict=True))
