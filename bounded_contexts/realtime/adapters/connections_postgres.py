"""The open sockets of all nodes: port `Connections`."""

from collections.abc import Sequence
from datetime import UTC, datetime
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
        query = (
            sa.select(session.c.sid, session.c.user_id, session.c.node, session.c.connected_at)
            .join(node, node.c.node == session.c.node)
            .where(session.c.user_id == user, session.c.ended_at.is_(None))
            .where(node.c.seen_at > datetime.now(UTC) - LEASE)
            .order_by(session.c.connected_at, session.c.sid)
            .limit(limit)
        )
        async with self._database.transaction() as connection:
            return [OpenSocket(*row) for row in await connection.execute(query)]

    async def end(self, user: UUID, sid: str | None, reason: str) -> None:
        await self._signals.send(Disconnection(user, sid, reason))

    async def give(self, user: UUID, sid: str | None, channels: Sequence[str], until: datetime) -> None:
        await self._signals.send(ChannelsGiven(user, sid, tuple(channels), until))

    async def take(self, user: UUID, sid: str | None, channels: Sequence[str], reason: str) -> None:
        await self._signals.send(ChannelsTaken(user, sid, tuple(channels), reason))
