"""Who has open sockets, and what a user has chosen to show: port `PresenceStore`. The row that a node writes each second is the
lease of its sockets; a killed node's runs out, and a new process has another row."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.realtime.adapters.signals_postgres import PostgresSignals
from bounded_contexts.realtime.adapters.tables import node, presence
from bounded_contexts.realtime.application.presence import LEASE, LINGER, Attendance, Audience, Status
from bounded_contexts.realtime.application.signals import PresenceChanged
from infra.postgres import Database

OF = """
select u.id, p.status, p.visible_to, p.seen_at, coalesce(open.here, false) as here, open.seen_at as open_seen_at
from unnest($1::uuid[]) u(id)
left join presence p on p.user_id = u.id
left join lateral (
    select bool_or(n.seen_at > $2) as here, max(n.seen_at) as seen_at
    from session s join node n on n.node = s.node
    where s.user_id = u.id and s.ended_at is null) open on true"""


class PostgresPresences:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._signals = PostgresSignals(database)

    async def choose(self, user: UUID, status: Status) -> None:
        # Who becomes invisible was seen last just now, whenever they really leave.
        await self._change(user, {"status": status} | ({"seen_at": _now()} if status == "invisible" else {}))

    async def show_to(self, user: UUID, who: Audience) -> None:
        await self._change(user, {"visible_to": who})

    async def of(self, users: Sequence[UUID]) -> list[Attendance]:
        now = _now()
        async with self._database.transaction() as connection:
            rows = (await connection.exec_driver_sql(OF, (list(users), now - LEASE))).all()
        return [_attendance(row, now) for row in rows]

    async def nodes(self) -> frozenset[UUID]:
        alive = sa.select(node.c.node).where(node.c.seen_at > _now() - LEASE)
        async with self._database.transaction() as connection:
            return frozenset((await connection.execute(alive)).scalars())

    async def _change(self, user: UUID, values: Mapping[str, Any]) -> None:
        said = insert(presence).values(user_id=user, **values)
        async with self._database.transaction() as connection:
            await connection.execute(said.on_conflict_do_update(index_elements=["user_id"], set_=dict(values)))
            await self._signals.send(PresenceChanged((user,)))


def seen(last: Mapping[UUID, datetime]) -> sa.Executable:
    """Note when users were last seen, unless they are invisible."""
    rows = [
        {"user_id": user, "seen_at": last[user]} for user in sorted(last)
    ]  # in one order, so that nodes do not deadlock
    said = insert(presence).values(rows)
    latest = sa.func.greatest(presence.c.seen_at, said.excluded.seen_at)
    return said.on_conflict_do_update(
        index_elements=["user_id"], set_={"seen_at": latest}, where=presence.c.status != "invisible"
    )


def _attendance(row: Any, now: datetime) -> Attendance:
    lingers = not row.here and row.seen_at is not None and row.seen_at > now - LINGER
    told = [row.seen_at] if row.status == "invisible" else [row.seen_at, row.open_seen_at]
    return Attendance(
        user_id=row.id,
        status=row.status or "online",
        visible_to=row.visible_to or "everybody",
        is_here=row.here or lingers,
        seen_at=max((each for each in told if each), default=None),
        lingers_until=row.seen_at + LINGER if lingers else None,
    )


def _now() -> datetime:
    return datetime.now(UTC)
