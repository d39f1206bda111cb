"""One order, as it is, as it was, and what has happened to it, for those who may see it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bounded_contexts.ordering.application.ports import Ports
from bounded_contexts.ordering.domain import order
from bounded_contexts.ordering.domain.commands import Asker
from bounded_contexts.ordering.domain.order import Order, OrderEvent, visible
from schemas.ordering.events import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    OrderShipped,
)
from shared_kernel.decider import state_of
from shared_kernel.errors import NotFound


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of an order: what, when, by whom and why."""

    version: int  # of the order after it
    event: OrderEvent
    at: datetime
    by: UUID | None  # None: the saga that fulfils the order
    reason: str | None


async def order_for(order_id: UUID, asker: Asker, ports: Ports, as_of: datetime | None = None) -> tuple[Order, int]:
    """Return the order and its version, now or at a time. Raise `NotFound` for who may not see it, and when it had not been
    placed."""
    now, version = await state_of(order, ports.store, order_id)
    known = visible(now, asker)
    if as_of is None:
        return known, version
    then, version = await state_of(order, ports.store, order_id, as_of)
    if then is None:
        raise NotFound("not_there_yet", "it is there now, but was not at `as_of`")
    return then, version


async def history_for(order_id: UUID, asker: Asker, ports: Ports) -> list[Happening]:
    """Return what has happened to the order, first things first. Raise `NotFound` for who may not see it."""
    await order_for(order_id, asker, ports)
    events, _ = await ports.store.load(order_id)
    return [Happening(version, event, *_story(event)) for version, event in enumerate(events, start=1)]


def _story(event: OrderEvent) -> tuple[datetime, UUID | None, str | None]:
    match event:
        case OrderPlaced():
            return event.placed_at, event.buyer_id, None
        case OrderCancellationRequested():
            return event.requested_at, event.requested_by, event.reason
        case OrderConfirmed():
            return event.confirmed_at, None, None
        case OrderRejected():
            return event.rejected_at, None, event.reason
        case OrderShipped():
            return event.shipped_at, event.shipped_by, None
        case OrderCancelled():
            return event.cancelled_at, event.cancelled_by, event.reason
        case OrderReturned():
            return event.returned_at, event.returned_by, event.reason
