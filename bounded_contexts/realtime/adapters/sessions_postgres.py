"""Which sockets were open and what was queued for them: port `SessionLog`, and what traces read of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.realtime.adapters.presence_postgres import seen
from bounded_contexts.realtime.adapters.recovery_postgres import old_recoveries
from bounded_contexts.realtime.adapters.signals_postgres import PostgresSignals
from bounded_contexts.realtime.adapters.tables import node, session
from bounded_contexts.realtime.application.ports import SessionNote
from bounded_contexts.realtime.application.reactions import delivery_of
from bounded_contexts.realtime.application.signals import PresenceChanged, in_parts
from infra.avro import Codec, Undecodable
from infra.postgres import Database
from shared_kernel.events import Position
from shared_kernel.handling import Device
from shared_kernel.module import Offsets

KEPT = timedelta(days=7)  # after a socket has ended
HEARD = timedelta(seconds=10)  # within which a node that is there tells, which it does every second
SHOWN = 20  # sockets of one person
CLOCKS = timedelta(seconds=5)  # by which a broker's clock and ours may differ

OF = """
select * from (
    select s.user_id, s.sid, s.connected_at, s.ended_at, n.seen_at,
           coalesce((s.acknowledged #>> $3)::bigint, 0) as acknowledged, coalesce((s.begins #>> $3)::bigint, 0) as begins,
           coalesce((coalesce(s.reached, n.reached) #>> $3)::bigint, 0) as reached,
           row_number() over (partition by s.user_id order by s.connected_at, s.sid) as nth
    from session s join node n on n.node = s.node
    where s.user_id = any($1::uuid[]) and coalesce(s.ended_at, n.seen_at) >= $2 and s.begins <> '{}') shown
where nth <= $4 order by user_id, nth"""


class PostgresSessions:
    def __init__(self, database: Database, codec: Codec) -> None:
        self._database = database
        self._codec = codec
        self._signals = PostgresSignals(database)

    async def note(self, node_id: UUID, reached: Offsets, notes: Sequence[SessionNote]) -> None:
        now = datetime.now(UTC)
        told = insert(node).values(node=node_id, seen_at=now, reached=_json(reached))
        rows = [
            {
                "sid": each.sid,
                "node": node_id,
                "user_id": each.user_id,
                "connected_at": each.connected_at,
                "acknowledged": _json(each.acknowledged) if each.acknowledged is not None else sa.null(),
                "begins": _json(each.begins),
                "reached": _json(each.reached) if each.reached is not None else sa.null(),
                "ended_at": each.ended_at,
            }
            for each in notes
        ]
        async with self._database.transaction() as connection:
            changed = told.excluded
            await connection.execute(
                told.on_conflict_do_update(
                    index_elements=["node"], set_={"seen_at": changed.seen_at, "reached": changed.reached}
                )
            )
            if rows:
                said = insert(session).values(rows)
                news = {"reached": said.excluded.reached, "ended_at": said.excluded.ended_at}
                await connection.execute(said.on_conflict_do_update(index_elements=["sid"], set_=news))
                if ended := {each.user_id: each.ended_at for each in notes if each.ended_at}:
                    await connection.execute(seen(ended))
                people = sorted({each.user_id for each in notes})
                await self._signals.send(*(PresenceChanged(part) for part in in_parts(people)))

    async def prune(self) -> None:
        before = datetime.now(UTC) - KEPT
        silent = sa.select(node.c.node).where(node.c.seen_at < before)
        open_still = sa.and_(node.c.node == session.c.node, session.c.ended_at.is_(None))
        last = sa.select(session.c.user_id, sa.func.max(node.c.seen_at)).join(node, open_still)
        of_silent = last.where(node.c.seen_at < before).group_by(session.c.user_id)
        async with self._database.transaction() as connection:
            if left := dict((await connection.execute(of_silent)).all()):
                await connection.execute(seen(left))
            await connection.execute(
                sa.delete(session).where(sa.or_(session.c.ended_at < before, session.c.node.in_(silent)))
            )
            await connection.execute(sa.delete(node).where(node.c.seen_at < before))
            await connection.execute(old_recoveries())

    async def nodes(self) -> int:
        """Return how many nodes have been heard of just now."""
        alive = sa.select(sa.func.count()).where(node.c.seen_at > datetime.now(UTC) - HEARD)
        async with self._database.transaction() as connection:
            return int((await connection.execute(alive)).scalar_one())

    async def of(self, value: bytes | None, at: Position, time: datetime) -> list[Device]:
        """Return the sockets for which the record was queued, and those that came later and had it."""
        await self._codec.learn([value])
        try:
            event = self._codec.decode(value)
        except Undecodable:
            return []
        delivery = delivery_of(event) if event else None
        if delivery is None:
            return []
        arguments = (list(delivery.recipients), time - CLOCKS, [at.topic, str(at.partition)], SHOWN)
        async with self._database.transaction() as connection:
            rows = (await connection.exec_driver_sql(OF, arguments)).all()
        return [device for row in rows if (device := _device(row, at.offset))]


def _device(row: Any, offset: int) -> Device | None:
    if row.acknowledged > offset:
        return Device(row.user_id, row.sid, "acknowledged", row.connected_at, row.ended_at)
    if row.begins <= offset < row.reached:
        return Device(row.user_id, row.sid, "queued", row.connected_at, row.ended_at)
    return None


def _json(offsets: Offsets) -> dict[str, dict[str, int]]:
    return {topic: {str(number): offset for number, offset in each.items()} for topic, each in offsets.items()}
