"""The channels of sockets that are to be recovered: port `KeptChannels`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.realtime.adapters.tables import recovery
from infra.postgres import Database

KEPT = timedelta(days=30)  # since the socket's channels changed, or it was recovered


class PostgresKeptChannels:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, pid: str, channels: Mapping[str, datetime | None]) -> None:
        until = {name: end and end.isoformat() for name, end in channels.items()}
        said = insert(recovery).values(pid=pid, channels=until, kept_at=datetime.now(UTC))
        news = {"channels": said.excluded.channels, "kept_at": said.excluded.kept_at}
        async with self._database.transaction() as connection:
            await connection.execute(said.on_conflict_do_update(index_elements=["pid"], set_=news))

    async def of(self, pid: str) -> Mapping[str, datetime | None] | None:
        kept = sa.update(recovery).where(recovery.c.pid == pid).values(kept_at=datetime.now(UTC))
        async with self._database.transaction() as connection:
            found = (await connection.execute(kept.returning(recovery.c.channels))).scalar_one_or_none()
        return found and {name: end and datetime.fromisoformat(end) for name, end in found.items()}


def old_recoveries() -> sa.Executable:
    """Return the statement that forgets those of sockets that are long gone."""
    return sa.delete(recovery).where(recovery.c.kept_at < datetime.now(UTC) - KEPT)
