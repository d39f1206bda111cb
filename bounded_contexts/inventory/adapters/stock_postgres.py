"""The list of stock items and their movements: ports `StockWriter` and `Stock`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.inventory.adapters.tables import stock_item, stock_movement
from bounded_contexts.inventory.application.ports import ListedItem, ListedMovement, Movement
from infra.postgres import Database
from schemas.inventory.events import (
    StockItemAdded,
    StockReceived,
    UnitsCommitted,
    UnitsReleased,
    UnitsReserved,
    UnitsReturned,
)

MOVEMENTS = UUID("c1a6b0de-6a0a-4c3d-8a2b-0f6b8f0f7d52")
# Only a movement that was not stored before moves its item. Deltas are summed by item: a statement changes a row once.
MOVE = """
with given as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::uuid[], $6::uuid[], $7::timestamptz[],
                         $8::int[], $9::int[], $10::int[])
           as g(movement_id, sku, kind, quantity, receipt_id, order_id, moved_at, free, reserved, sold)
), stored as (
    insert into stock_movement (movement_id, sku, kind, quantity, receipt_id, order_id, moved_at)
    select movement_id, sku, kind, quantity, receipt_id, order_id, moved_at from given
    on conflict (movement_id) do nothing
    returning movement_id
), sums as (
    select sku, sum(free) as free, sum(reserved) as reserved, sum(sold) as sold
    from (select distinct on (movement_id) * from given where movement_id in (select movement_id from stored)) as once
    group by sku
)
update stock_item as i set free = i.free + s.free, reserved = i.reserved + s.reserved, sold = i.sold + s.sold
from sums as s where i.sku = s.sku
"""


class PostgresStock:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def added(self, event: StockItemAdded) -> None:
        row = {"sku": event.sku, "name": event.name, "added_at": event.added_at}
        async with self._database.transaction() as connection:
            await connection.execute(insert(stock_item).values(row).on_conflict_do_nothing())

    async def moved(self, movements: Sequence[Movement]) -> None:
        columns = tuple(list(column) for column in zip(*(_row(each) for each in movements), strict=True))
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(MOVE, columns)

    async def page(self, limit: int, prefix: str, after: str | None) -> list[ListedItem]:
        query = sa.select(stock_item).order_by(stock_item.c.sku).limit(limit)
        if prefix:
            query = query.where(stock_item.c.sku.startswith(prefix, autoescape=True))
        if after is not None:
            query = query.where(stock_item.c.sku > after)
        async with self._database.transaction() as connection:
            return [ListedItem(**row) for row in (await connection.execute(query)).mappings()]

    async def item(self, sku: str) -> ListedItem | None:
        query = sa.select(stock_item).where(stock_item.c.sku == sku)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).mappings().first()
        return ListedItem(**row) if row else None

    async def movements(self, sku: str, limit: int, before: tuple[datetime, UUID] | None) -> list[ListedMovement]:
        query = sa.select(stock_movement).where(stock_movement.c.sku == sku)
        if before:
            place = sa.tuple_(stock_movement.c.moved_at, stock_movement.c.movement_id)
            query = query.where(place < sa.tuple_(*before))
        query = query.order_by(stock_movement.c.moved_at.desc(), stock_movement.c.movement_id.desc()).limit(limit)
        async with self._database.transaction() as connection:
            return [ListedMovement(**row) for row in (await connection.execute(query)).mappings()]

    async def is_received(self, sku: str, receipt_id: UUID) -> bool:
        query = sa.select(stock_movement.c.sku).where(stock_movement.c.movement_id == _id("received", sku, receipt_id))
        async with self._database.transaction() as connection:
            return (await connection.execute(query)).first() is not None


def _id(kind: str, sku: str, of: UUID) -> UUID:
    """An order's units of an item move once in each way, and a receipt comes in once."""
    return uuid5(MOVEMENTS, f"{kind}/{of}/{sku}")


def _row(event: Movement) -> tuple[Any, ...]:
    units = event.quantity
    match event:
        case StockReceived():
            row = (_id("received", event.sku, event.receipt_id), event.sku, "received", units)
            return (*row, event.receipt_id, None, event.received_at, units, 0, 0)
        case UnitsReserved():
            return (*_of_order("reserved", event), event.reserved_at, -units, units, 0)
        case UnitsReleased():
            return (*_of_order("released", event), event.released_at, units, -units, 0)
        case UnitsCommitted():
            return (*_of_order("committed", event), event.committed_at, 0, -units, units)
        case UnitsReturned():
            return (*_of_order("returned", event), event.returned_at, units, 0, -units)


def _of_order(kind: str, event: UnitsReserved | UnitsReleased | UnitsCommitted | UnitsReturned) -> tuple[Any, ...]:
    return (_id(kind, event.sku, event.order_id), event.sku, kind, event.quantity, None, event.order_id)
