"""What operators tell a group's members, and what the members tell operators (docs/consumers.md)."""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from infra.postgres import Database

GONE_AFTER_S = 10  # a member that has said nothing for so long is not listed


@dataclass(frozen=True, slots=True)
class Workload:
    """What one member has on its hands."""

    partitions: int = 0
    waiting: int = 0  # records read and not begun
    running: int = 0  # keys (lanes) or batches being handled
    retrying: int = 0  # of those, how many are between two tries
    handled: int = 0  # records since the member started


@dataclass(frozen=True, slots=True)
class MemberReport:
    """What a member last said."""

    member: UUID
    process: str  # host:pid
    workload: Workload
    seen_at: datetime


class GroupControl(Protocol):
    async def report(self, group: str, member: UUID, workload: Workload) -> bool:
        """Tell what the member does. Return whether the group is to pause."""
        ...

    async def leave(self, group: str, member: UUID) -> None:
        """Take the member off the list."""
        ...


REPORT = """
with told as (
    insert into {schema}.group_member (consumer, member, process, partitions, waiting, running, retrying, handled, seen_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, now())
    on conflict (consumer, member) do update
    set partitions = excluded.partitions, waiting = excluded.waiting, running = excluded.running,
        retrying = excluded.retrying, handled = excluded.handled, seen_at = now()),
gone as (delete from {schema}.group_member where seen_at < now() - interval '1 hour')
select exists (select from {schema}.paused_group where consumer = $1)"""
LEAVE = "delete from {schema}.group_member where consumer = $1 and member = $2"
MEMBERS = """
select member, process, partitions, waiting, running, retrying, handled, seen_at from {schema}.group_member
where consumer = $1 and seen_at > now() - make_interval(secs => {gone_after}) order by process, member"""
PAUSE = "insert into {schema}.paused_group (consumer) values ($1) on conflict do nothing"
RESUME = "delete from {schema}.paused_group where consumer = $1"
IS_PAUSED = "select exists (select from {schema}.paused_group where consumer = $1)"


class PostgresGroupControl:
    """`GroupControl`, and the operators' side of it."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._schema = schema
        self._process = f"{socket.gethostname()}:{os.getpid()}"

    async def report(self, group: str, member: UUID, workload: Workload) -> bool:
        figures = (workload.partitions, workload.waiting, workload.running, workload.retrying, workload.handled)
        return bool(await self._scalar(REPORT, group, member, self._process, *figures))

    async def leave(self, group: str, member: UUID) -> None:
        await self._do(LEAVE, group, member)

    async def members(self, group: str) -> list[MemberReport]:
        """Return what the members that are alive last said."""
        async with self._database.transaction() as connection:
            statement = MEMBERS.format(schema=self._schema, gone_after=GONE_AFTER_S)
            rows = await connection.exec_driver_sql(statement, (group,))
            return [
                MemberReport(
                    row.member,
                    row.process,
                    Workload(row.partitions, row.waiting, row.running, row.retrying, row.handled),
                    row.seen_at,
                )
                for row in rows
            ]

    async def pause(self, group: str) -> None:
        """Have the members finish what runs and begin nothing, from the next second on and after restarts too."""
        await self._do(PAUSE, group)

    async def resume(self, group: str) -> None:
        """Have the members go on."""
        await self._do(RESUME, group)

    async def is_paused(self, group: str) -> bool:
        """Return whether the group is to pause."""
        return bool(await self._scalar(IS_PAUSED, group))

    async def _do(self, statement: str, *arguments: object) -> None:
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(statement.format(schema=self._schema), arguments)

    async def _scalar(self, statement: str, *arguments: object) -> object:
        async with self._database.transaction() as connection:
            return (await connection.exec_driver_sql(statement.format(schema=self._schema), arguments)).scalar()


class MemoryGroupControl:
    """Twin in memory."""

    def __init__(self) -> None:
        self._paused: set[str] = set()
        self._reports: dict[tuple[str, UUID], MemberReport] = {}

    async def report(self, group: str, member: UUID, workload: Workload) -> bool:
        self._reports[group, member] = MemberReport(member, "memory", workload, datetime.now(UTC))
        return group in self._paused

    async def leave(self, group: str, member: UUID) -> None:
        self._reports.pop((group, member), None)

    async def members(self, group: str) -> list[MemberReport]:
        """Return what the members last said."""
        return [report for (owner, _), report in self._reports.items() if owner == group]

    async def pause(self, group: str) -> None:
        """Have the members finish what runs and begin nothing."""
        self._paused.add(group)

    async def resume(self, group: str) -> None:
        """Have the members go on."""
        self._paused.discard(group)

    async def is_paused(self, group: str) -> bool:
        """Return whether the group is to pause."""
        return group in self._paused
