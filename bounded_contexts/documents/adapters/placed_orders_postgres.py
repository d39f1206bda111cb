"""Orders that may get an invoice: port `PlacedOrders`."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.documents.adapters.tables import placed_order
from bounded_contexts.documents.domain.invoice import Line, Placed
from infra.postgres import Database


class PostgresPlacedOrders:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, order: Placed) -> None:
        row = {
            "order_id": order.order_id,
            "buyer_id": order.buyer_id,
            "currency": order.currency,
            "lines": [[line.sku, line.quantity, line.unit_price_minor] for line in order.lines],
            "placed_at": order.placed_at,
        }
        async with self._database.transaction() as connection:
            await connection.execute(insert(placed_order).values(row).on_conflict_do_nothing())

    async def order(self, order_id: UUID) -> Placed | None:
        query = sa.select(placed_order).where(placed_order.c.order_id == order_id)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).mappings().first()
        return Placed(**{**row, "lines": tuple(Line(*line) for line in row["lines"])}) if row else None

    async def remove(self, order_id: UUID) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(placed_order).where(placed_order.c.order_id == order_id))
