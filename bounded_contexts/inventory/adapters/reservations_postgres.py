"""Which orders hold units, and until when: port `Reservations`."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.inventory.adapters.tables import reservation
from bounded_contexts.inventory.application.ports import HeldEvent
from infra.postgres import Database
from schemas.inventory.events import StockReserved


class PostgresReservations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def changed(self, event: HeldEvent) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(_change(event))

    async def due(self, now: datetime, limit: int) -> list[UUID]:
        over = (reservation.c.is_held, reservation.c.expires_at <= now)
        query = sa.select(reservation.c.order_id).where(*over).order_by(reservation.c.expires_at).limit(limit)
        async with self._database.transaction() as connection:
            return list((await connection.execute(query)).scalars())


def _change(event: HeldEvent) -> sa.Executable:
    if isinstance(event, StockReserved):
        row = {"order_id": event.order_id, "is_held": True, "expires_at": event.expires_at}
        return insert(reservation).values(row).on_conflict_do_nothing()
    return sa.update(reservation).where(reservation.c.order_id == event.order_id).values(is_held=False)
