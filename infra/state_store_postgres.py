"""An event store that keeps the states of one aggregate where streams are long, so that only what came after is read
(docs/event-store.md).

A kept state follows from its stream alone: it may be deleted at any time, and another form of it is never read. It is written
by a task of its own, from what is committed, never by whoever loads or appends.
"""

import asyncio
import hashlib
import json
from contextvars import Context
from functools import reduce
from types import UnionType
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import msgspec
import structlog

from infra.avro import Codec
from infra.event_store_postgres import PostgresEventStore
from infra.postgres import Database
from shared_kernel.decider import Decider
from shared_kernel.events import Event

E = TypeVar("E", bound=Event)
S = TypeVar("S")

KEEP_EVERY = 200  # events of a stream that are read before its state is kept, and kept anew
FORMER_FORM = "1 day"  # how long another form is left to the processes that may still read it

LOAD = """
with kept as (select version, state from {schema}.snapshot where stream = $1 and form = $2)
select version, state as body, true as is_kept from kept
union all
(select version, body, false from {schema}.event
 where stream = $1 and version > coalesce((select version from kept), 0))
order by version"""
KEEP = """
with former as (
    delete from {schema}.snapshot where stream = $1 and form <> $2 and kept_at < now() - interval '{former}'
)
insert into {schema}.snapshot as s (stream, form, version, state) values ($1, $2, $3, $4)
on conflict (stream, form) do update set version = excluded.version, state = excluded.state, kept_at = now()
where s.version <= excluded.version"""

log = structlog.get_logger()


class PostgresStateStore(PostgresEventStore[E], Generic[S, E]):
    """The streams of one aggregate, in a schema that has a table `snapshot`."""

    def __init__(
        self, database: Database, schema: str, codec: Codec, state: type[S], form: int, of: UnionType | None = None
    ) -> None:
        """`state` is the aggregate's class: one with other fields is another form by itself. `form` has to rise when `evolve`
        makes something else of the same events. Raise `TypeError` for a class that cannot be read back."""
        super().__init__(database, schema, codec, of)
        self._decoder = msgspec.json.Decoder(state)
        self._form = f"{form}.{_shape(state)}"
        self._load_state = LOAD.format(schema=schema)
        self._keep_state = KEEP.format(schema=schema, former=FORMER_FORM)
        self._long: dict[UUID, Decider[S, Any, E]] = {}  # streams whose state is to be kept
        self._keeper: asyncio.Task[None] | None = None

    async def state(self, decider: Decider[S, Any, E], stream: UUID) -> tuple[S, int]:
        state, version, read = await self._folded(decider, stream)
        if read >= KEEP_EVERY:
            self._long[stream] = decider
            if self._keeper is None or self._keeper.done():
                # Outside of the caller's transaction: what that has appended may never be committed.
                self._keeper = asyncio.create_task(self._keep(), context=Context())
        return state, version

    async def _folded(self, decider: Decider[S, Any, E], stream: UUID) -> tuple[S, int, int]:
        """Return state, version and how many events that took."""
        async with self._database.transaction() as connection:
            rows = (await connection.exec_driver_sql(self._load_state, (stream, self._form))).all()
        state, version = decider.INITIAL, 0
        if rows and rows[0].is_kept:
            try:
                state, version = self._decoder.decode(rows[0].body), rows[0].version
            except msgspec.MsgspecError as error:
                log.warning("state.unreadable", stream=str(stream), error=str(error))
                events, version = await self.load(stream)
                return reduce(decider.evolve, events, state), version, len(events)
            rows = rows[1:]
        await self._codec.learn(row.body for row in rows)
        events = [cast("E", self._codec.decode(row.body)) for row in rows]
        if not events or (version == 0 and not self._is_ours(events)):
            return state, version, 0
        return reduce(decider.evolve, events, state), rows[-1].version, len(events)

    async def _keep(self) -> None:
        """Keep the states that wait for it, one after the other; a stream that fails is kept when it is next read."""
        while self._long:
            stream, decider = self._long.popitem()
            try:
                state, version, read = await self._folded(decider, stream)
                if read >= KEEP_EVERY:
                    encoded = msgspec.json.encode(state)
                    async with self._database.driver() as connection:
                        await connection.execute(self._keep_state, stream, self._form, version, encoded)
            except Exception as error:
                log.warning("state.not_kept", stream=str(stream), error=repr(error))


def _shape(state: type[Any]) -> str:
    """Return what is another one for a class with other fields, types or defaults."""
    described = json.dumps(msgspec.json.schema(state), sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]
