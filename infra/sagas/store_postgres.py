"""Sagas' state on PostgreSQL. Everything here runs in the surrounding transaction: a saga's row is its lock.

Whoever needs several sagas locks them in the order of their ids, so that two batches never wait for each other.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from infra.envelope import Headers
from infra.postgres import Database
from shared_kernel.errors import Conflict
from shared_kernel.saga import Mark, Note, Phase

CLOCK = "timers"

NOW = "select now()"
LOCK = """
select id, definition, key, version, phase, parked, data::text as data, correlation_id, causation_id, traceparent, notes,
       started_at, changed_at, stuck_at, ended_at
from saga where id = any($1::uuid[]) order by id for update"""
TRY_LOCK = f"{LOCK} skip locked"
STEPS = "select saga, name, status, tries, due_at from step where saga = any($1::uuid[])"
DUE = "select saga from step where due_at <= now() group by saga order by min(due_at) limit $1"
SAVE = """
with given as (
    select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::text[], $10::text[], $11::int[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
                         $15::timestamptz[])
        as g(id, definition, key, version, phase, parked, data, correlation_id, causation_id, traceparent, notes,
             started_at, changed_at, stuck_at, ended_at)
), added as (
    insert into saga (id, definition, key, version, phase, parked, data, correlation_id, causation_id, traceparent, notes,
                      started_at, changed_at, stuck_at, ended_at)
    select id, definition, key, version, phase, parked, data::jsonb, correlation_id, causation_id, traceparent, notes,
           started_at, changed_at, stuck_at, ended_at
    from given where version = 1 order by id
    on conflict (id) do nothing
    returning id
), changed as (
    update saga s set version = g.version, phase = g.phase, parked = g.parked, data = g.data::jsonb,
                      causation_id = g.causation_id, traceparent = g.traceparent, notes = g.notes,
                      changed_at = g.changed_at, ended_at = g.ended_at
    from given g where s.id = g.id and s.version = g.version - 1
    returning s.id
)
select id from added union all select id from changed
"""
SAVE_STEPS = """
insert into step (saga, name, status, tries, due_at)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::timestamptz[])
on conflict (saga, name) do update set status = excluded.status, tries = excluded.tries, due_at = excluded.due_at"""
SAVE_NOTES = """
insert into note (saga, number, at, what, step, detail, causation_id, actor)
select * from unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[])"""
SEND = """
insert into outbox (topic, key, body, headers)
select topic, key, body, headers::jsonb
from unnest($1::text[], $2::text[], $3::bytea[], $4::text[]) with ordinality as o(topic, key, body, headers, place)
order by place"""
START_CLOCK = "insert into clock (name, seen_at) values ($1, now()) on conflict (name) do nothing"
READ_CLOCK = "select now() - seen_at from clock where name = $1 for update"
SET_CLOCK = "update clock set seen_at = now() where name = $1"
PUT_OFF = """
update step set due_at = greatest(due_at + $1::interval, now() + $2::interval)
where saga in (select id from saga where id in (select saga from step where due_at is not null) order by id for update)
  and due_at is not null"""


@dataclass(slots=True)
class StoredSaga:
    """A saga as its rows are. `data` is JSON."""

    id: UUID
    definition: str
    key: UUID
    version: int  # how often it has been saved
    phase: Phase
    parked: str | None
    data: str
    correlation_id: str
    causation_id: str
    traceparent: str | None
    notes: int
    started_at: datetime
    changed_at: datetime
    stuck_at: datetime
    ended_at: datetime | None
    marks: Mapping[str, Mark]


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A line of a saga's history."""

    saga: UUID
    number: int
    at: datetime
    note: Note
    causation_id: str
    actor: UUID | None


@dataclass(frozen=True, slots=True)
class Command:
    """What the relay is to send."""

    topic: str
    key: str
    body: bytes
    headers: Headers


class PostgresSagas:
    """The sagas of one installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """Return the time of the surrounding transaction, by the server's clock: the processes' own may disagree."""
        async with self._database.transaction() as connection:
            moment: datetime = (await connection.exec_driver_sql(NOW)).scalar_one()
            return moment

    async def locked(self, ids: Iterable[UUID], *, wait: bool = True) -> dict[UUID, StoredSaga]:
        """Return those that exist, and have them to oneself. Without `wait` leave out those that somebody else has."""
        wanted = sorted(ids)
        async with self._database.transaction() as connection:
            rows = (await connection.exec_driver_sql(LOCK if wait else TRY_LOCK, (wanted,))).all()
            marks: dict[UUID, dict[str, Mark]] = {row.id: {} for row in rows}
            for row in await connection.exec_driver_sql(STEPS, ([*marks],)) if marks else ():
                marks[row.saga][row.name] = Mark(row.status, row.tries, row.due_at)
            return {row.id: StoredSaga(**row._mapping, marks=marks[row.id]) for row in rows}

    async def due(self, limit: int) -> list[UUID]:
        """Return sagas that have been waiting for too long for something, the longest overdue first."""
        async with self._database.transaction() as connection:
            return [row.saga for row in await connection.exec_driver_sql(DUE, (limit,))]

    async def save(
        self, sagas: Sequence[StoredSaga], steps: Sequence[tuple[UUID, str, Mark]], notes: Sequence[StoredNote],
        commands: Sequence[Command],
    ) -> None:  # fmt: skip
        """Store sagas, each one version further, with the steps and notes that are new, and send the commands.

        Raise `Conflict` if one of them is not at the version before."""
        rows = [_row(each) for each in sagas]
        async with self._database.transaction() as connection:
            if len((await connection.exec_driver_sql(SAVE, _columns(rows))).all()) < len(rows):
                raise Conflict("version_conflict", "a saga has moved on")
            if steps:
                marks = [(saga, name, mark.status, mark.tries, mark.due) for saga, name, mark in steps]
                await connection.exec_driver_sql(SAVE_STEPS, _columns(marks))
            if notes:
                lines = [
                    (n.saga, n.number, n.at, n.note.what, n.note.step, n.note.detail, n.causation_id, n.actor)
                    for n in notes
                ]
                await connection.exec_driver_sql(SAVE_NOTES, _columns(lines))
            if commands:
                await connection.exec_driver_sql(SEND, _columns([_outbox_row(each) for each in commands]))

    async def tick(self, gap: timedelta, grace: timedelta) -> timedelta | None:
        """Say that timers are being looked after. Where nobody had for longer than `gap`, put every timer off by as long as
        that, and until `grace` from now at least; return how long it was."""
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(START_CLOCK, (CLOCK,))
            away: timedelta = (await connection.exec_driver_sql(READ_CLOCK, (CLOCK,))).scalar_one()
            await connection.exec_driver_sql(SET_CLOCK, (CLOCK,))
            if away <= gap:
                return None
            await connection.exec_driver_sql(PUT_OFF, (away, grace))
            return away


def _row(saga: StoredSaga) -> tuple[Any, ...]:
    return (
        saga.id,
        saga.definition,
        saga.key,
        saga.version,
        saga.phase,
        saga.parked,
        saga.data,
        saga.correlation_id,
        saga.causation_id,
        saga.traceparent,
        saga.notes,
        saga.started_at,
        saga.changed_at,
        saga.stuck_at,
        saga.ended_at,
    )


def _outbox_row(command: Command) -> tuple[str, str, bytes, str]:
    headers = json.dumps([[name, value.decode()] for name, value in command.headers])
    return command.topic, command.key, command.body, headers


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
