"""The open sockets of all nodes: port `Connections`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from bounded_contexts.realtime.adapters.signals_postgres import PostgresSignals
from bounded_contexts.realtime.adapters.tables import node, session
from bounded_contexts.realtime.application.ports import OpenSocket
from bounded_contexts.realtime.application.presence import LEASE
from bounded_contexts.realtime.application.signals import ChannelsGiven, ChannelsTaken, Disconnection
from infra.postgres import Database


class PostgresConnections:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._signals = PostgresSignals(database)

    async def of_user(self, user: UUID, limit: int) -> list[OpenSocket]:
        columns = (session.c.sid, session.c.user_id, session.c.node, session.c.connected_at)
        query = _open(user, *columns).order_by(session.c.connected_at, session.c.sid).limit(limit)
        async with self._database.transaction() as connection:
            return [OpenSocket(*row) for row in await connection.execute(query)]

    async def count(self, user: UUID, beside: UUID) -> int:
        query = _open(user, sa.func.count()).where(session.c.node != beside)
        async with self._database.transaction() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def end(self, user: UUID, sid: str | None, reason: str) -> None:
        await self._signals.send(Disconnection(user, sid, reason))

    async def give(self, user: UUID, sid: str | None, channels: Sequence[str], until: datetime) -> None:
        await self._signals.send(ChannelsGiven(user, sid, tuple(channels), until))

    async def take(self, user: UUID, sid: str | None, channels: Sequence[str], reason: str) -> None:
        await self._signals.send(ChannelsTaken(user, sid, tuple(channels), reason))


def _open(user: UUID, *columns: Any) -> sa.Select[Any]:
    """Select of the user's sockets on nodes that are there."""
    return (
        sa.select(*columns)
        .select_from(session)
        .join(node, node.c.node == session.c.node)
        .where(session.c.user_id == user, session.c.ended_at.is_(None))
        .where(node.c.seen_at > datetime.now(UTC) - LEASE)
    )
