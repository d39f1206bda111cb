"""The lists of orders and of buyers: ports `OrderWriter` and `OrderReader`."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.ordering.adapters.tables import buyer, listed_order
from bounded_contexts.ordering.application.ports import Buyer, Choice, Listed, Place
from bounded_contexts.ordering.domain.order import Order, OrderStep, Status
from infra.postgres import Database
from schemas.identity.events import UserBlocked, UserErased, UserUnblocked
from schemas.ordering.events import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    OrderShipped,
)

IN_FULFILMENT: tuple[Status, ...] = ("placed", "cancelling")


class PostgresOrders:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def placed(self, orders: Sequence[OrderPlaced]) -> None:
        async with self._database.transaction() as connection:
            for placed in orders:
                await connection.execute(insert(listed_order).values(_row(placed)).on_conflict_do_nothing())
                known = insert(buyer).values(buyer_id=placed.buyer_id, since=placed.placed_at)
                await connection.execute(known.on_conflict_do_nothing())
                # The least: the same in a rebuild, which reads the partitions in another order.
                later = sa.or_(buyer.c.since.is_(None), buyer.c.since > placed.placed_at)
                earlier = sa.update(buyer).where(buyer.c.buyer_id == placed.buyer_id, later)
                await connection.execute(earlier.values(since=placed.placed_at))

    async def changed(self, event: OrderStep) -> None:
        before, values = _step(event)
        this = sa.update(listed_order).where(
            listed_order.c.order_id == event.order_id, listed_order.c.status.in_(before)
        )
        async with self._database.transaction() as connection:
            await connection.execute(this.values(version=listed_order.c.version + 1, **values))

    async def admitted(self, event: UserBlocked | UserUnblocked | UserErased) -> None:
        is_active = isinstance(event, UserUnblocked)
        noted = insert(buyer).values(buyer_id=event.user_id, is_active=is_active)
        async with self._database.transaction() as connection:
            await connection.execute(
                noted.on_conflict_do_update(index_elements=["buyer_id"], set_={"is_active": is_active})
            )

    async def page(self, of: Choice, limit: int, before: Place | None = None, offset: int = 0) -> list[Listed]:
        query = sa.select(listed_order)
        if of.buyer:
            query = query.where(listed_order.c.buyer_id == of.buyer)
        if of.status:
            query = query.where(listed_order.c.status == of.status)
        if before:
            query = query.where(sa.tuple_(listed_order.c.placed_at, listed_order.c.order_id) < sa.tuple_(*before))
        query = query.order_by(listed_order.c.placed_at.desc(), listed_order.c.order_id.desc())
        async with self._database.transaction() as connection:
            rows = await connection.execute(query.limit(limit).offset(offset))
            return [_listed(row) for row in rows.mappings()]

    async def listed(self, order: UUID) -> Listed | None:
        query = sa.select(listed_order).where(listed_order.c.order_id == order)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).mappings().first()
        return _listed(row) if row else None

    async def buyers(self, limit: int, before: Place | None = None, offset: int = 0) -> list[Buyer]:
        page = sa.select(buyer.c.buyer_id, buyer.c.since).where(buyer.c.is_active, buyer.c.since.is_not(None))
        if before:
            page = page.where(sa.tuple_(buyer.c.since, buyer.c.buyer_id) < sa.tuple_(*before))
        page = page.order_by(buyer.c.since.desc(), buyer.c.buyer_id.desc()).limit(limit).offset(offset)
        shown = page.subquery()
        theirs = (
            sa.select(sa.func.count().label("orders"), sa.func.max(listed_order.c.placed_at).label("last_order_at"))
            .where(listed_order.c.buyer_id == shown.c.buyer_id)
            .lateral()
        )
        query = sa.select(shown, theirs).order_by(shown.c.since.desc(), shown.c.buyer_id.desc())
        async with self._database.transaction() as connection:
            return [Buyer(**dict(row)) for row in (await connection.execute(query)).mappings()]


def _row(placed: OrderPlaced) -> dict[str, Any]:
    return {
        "order_id": placed.order_id,
        "version": 1,
        "buyer_id": placed.buyer_id,
        "status": "placed",
        "lines": [line.to_record() for line in placed.lines],
        "total_minor": placed.total_minor,
        "currency": placed.currency,
        "placed_at": placed.placed_at,
        "changed_at": placed.placed_at,
    }


def _step(event: OrderStep) -> tuple[tuple[Status, ...], dict[str, Any]]:
    """Return in which status the event finds an order, so that it is taken over once, and what it changes."""
    match event:
        case OrderCancellationRequested():
            return ("placed",), {"status": "cancelling", "changed_at": event.requested_at}
        case OrderConfirmed():
            paid = {"payment_id": event.payment_id, "changed_at": event.confirmed_at}
            return IN_FULFILMENT, {"status": "confirmed", **paid}
        case OrderRejected():
            return IN_FULFILMENT, {"status": "rejected", "reason": event.reason, "changed_at": event.rejected_at}
        case OrderShipped():
            parcel = {"carrier": event.carrier, "tracking_code": event.tracking_code}
            return ("confirmed",), {"status": "shipped", "changed_at": event.shipped_at, **parcel}
        case OrderCancelled():
            return ("confirmed",), {"status": "cancelled", "changed_at": event.cancelled_at}
        case OrderReturned():
            return ("shipped",), {"status": "returned", "changed_at": event.returned_at}


def _listed(row: sa.RowMapping) -> Listed:
    fields: dict[str, Any] = dict(row)
    order_id, version = fields.pop("order_id"), fields.pop("version")
    fields["lines"] = tuple(OrderLine.from_record(line) for line in fields["lines"])
    return Listed(order_id, version, Order(**fields))
