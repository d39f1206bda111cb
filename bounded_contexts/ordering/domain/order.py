"""Order: placed, then confirmed or rejected, never both; a confirmed one is cancelled, or shipped and perhaps returned.

placed ──────────────┬─> confirmed ─┬─> shipped ──> returned
  └─> cancelling ────┤      │       └─> cancelled
                     └─> rejected

An order that is confirmed while it is `cancelling` is cancelled in the same decision.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from bounded_contexts.ordering.domain.commands import (
    Asker,
    CancelOrder,
    Confirm,
    PlaceOrder,
    Reject,
    ShipOrder,
    TakeBackOrder,
)
from bounded_contexts.ordering.domain.currency import checked_currency
from bounded_contexts.ordering.domain.text import checked
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
from shared_kernel.errors import NotFound, Refused
from shared_kernel.permissions import permissions, require

LINE_LIMIT = 100
QUANTITY_LIMIT = 10_000
PRICE_LIMIT = 10**12  # minor units; with the other limits the largest total is 10**18, which 64 bits hold
REASON_LIMIT = 500  # characters
CARRIER_LIMIT = 100  # characters, of the carrier's name and of its code for the parcel
SKU = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as inventory has them
READ = "ordering:read"  # the permission to see everybody's orders
FULFIL = "ordering:fulfil"  # the permission to ship, take back and cancel them
CANCELLED = "cancelled"  # why an order is rejected whose cancellation was asked for in time

Status = Literal["placed", "cancelling", "confirmed", "rejected", "shipped", "cancelled", "returned"]
OrderStep = OrderCancellationRequested | OrderConfirmed | OrderRejected | OrderShipped | OrderCancelled | OrderReturned
OrderEvent = OrderPlaced | OrderStep
Request = PlaceOrder | CancelOrder | ShipOrder | TakeBackOrder | Confirm | Reject


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Who wants the order called off, and why."""

    requested_by: UUID
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    buyer_id: UUID
    lines: tuple[OrderLine, ...]
    total_minor: int
    currency: str
    placed_at: datetime
    changed_at: datetime  # into the present status
    status: Status = "placed"
    cancellation: Cancellation | None = None
    payment_id: UUID | None = None  # once it is confirmed
    reason: str | None = None  # of the rejection, a code
    carrier: str | None = None
    tracking_code: str | None = None


INITIAL: Order | None = None


def decide(state: Order | None, ask: Request) -> tuple[OrderEvent, ...]:
    match ask:
        case PlaceOrder():
            return _placed(state, ask)
        case CancelOrder():
            return _cancelled(visible(state, ask.asker), ask)
        case ShipOrder():
            require(ask.asker.roles, FULFIL)
            return _shipped(_known(state), ask)
        case TakeBackOrder():
            require(ask.asker.roles, FULFIL)
            return _returned(_known(state), ask)
        case Confirm():
            return _confirmed(_known(state), ask)
        case Reject():
            return _rejected(_known(state), ask)


def evolve(state: Order | None, event: OrderEvent) -> Order:
    if isinstance(event, OrderPlaced):
        return Order(
            buyer_id=event.buyer_id,
            lines=event.lines,
            total_minor=event.total_minor,
            currency=event.currency,
            placed_at=event.placed_at,
            changed_at=event.placed_at,
        )
    order = _known(state)
    match event:
        case OrderCancellationRequested():
            wish = Cancellation(event.requested_by, event.reason)
            return replace(order, status="cancelling", cancellation=wish, changed_at=event.requested_at)
        case OrderConfirmed():
            return replace(order, status="confirmed", payment_id=event.payment_id, changed_at=event.confirmed_at)
        case OrderRejected():
            return replace(order, status="rejected", reason=event.reason, changed_at=event.rejected_at)
        case OrderShipped():
            order = replace(order, carrier=event.carrier, tracking_code=event.tracking_code)
            return replace(order, status="shipped", changed_at=event.shipped_at)
        case OrderCancelled():
            return replace(order, status="cancelled", changed_at=event.cancelled_at)
        case OrderReturned():
            return replace(order, status="returned", changed_at=event.returned_at)


def visible(state: Order | None, asker: Asker) -> Order:
    """Return the order for its buyer and who may read everybody's. Raise `NotFound` for everybody else."""
    order = _known(state)
    if asker.id != order.buyer_id and READ not in permissions(asker.roles):
        raise NotFound("order_not_found")
    return order


def _known(state: Order | None) -> Order:
    if state is None:
        raise NotFound("order_not_found")
    return state


def _placed(state: Order | None, ask: PlaceOrder) -> tuple[OrderEvent, ...]:
    if state is not None:
        if (state.buyer_id, state.lines, state.currency) == (ask.buyer_id, ask.lines, ask.currency):
            return ()  # the same request again
        raise Refused("idempotency_mismatch", "another order was placed by this key")
    _check_lines(ask.lines)
    total = sum(line.quantity * line.unit_price_minor for line in ask.lines)
    if total < 1:
        raise Refused("free_order", "an order that costs nothing is not taken")
    placed = OrderPlaced(
        order_id=ask.order_id,
        buyer_id=ask.buyer_id,
        lines=ask.lines,
        total_minor=total,
        currency=checked_currency(ask.currency),
        placed_at=ask.at,
    )
    return (placed,)


def _check_lines(lines: Sequence[OrderLine]) -> None:
    if not 1 <= len(lines) <= LINE_LIMIT:
        raise Refused("line_count", f"1 to {LINE_LIMIT} lines")
    if repeated := repetitions(lines):
        raise Refused("repeated_sku", f"line {repeated[0]} repeats an SKU: one line for each")
    for number, line in enumerate(lines):
        if not SKU.fullmatch(line.sku):
            raise Refused("invalid_sku", f"line {number}: 1 to 64 letters, digits, dots, dashes, underscores")
        if not 1 <= line.quantity <= QUANTITY_LIMIT:
            raise Refused("invalid_quantity", f"line {number}: 1 to {QUANTITY_LIMIT}")
        if not 0 <= line.unit_price_minor <= PRICE_LIMIT:
            raise Refused("invalid_price", f"line {number}: 0 to {PRICE_LIMIT} minor units")


def repetitions(lines: Sequence[OrderLine]) -> list[int]:
    """Return the numbers, from 0, of the lines whose SKU an earlier line has."""
    first: dict[str, int] = {}
    return [number for number, line in enumerate(lines) if first.setdefault(line.sku, number) != number]


def _cancelled(order: Order, ask: CancelOrder) -> tuple[OrderEvent, ...]:
    if ask.asker.id != order.buyer_id:
        require(ask.asker.roles, FULFIL)
    reason = checked(ask.reason, REASON_LIMIT, "reason_length")
    match order.status:
        case "placed":
            requested = OrderCancellationRequested(
                order_id=ask.order_id,
                buyer_id=order.buyer_id,
                requested_by=ask.asker.id,
                reason=reason,
                requested_at=ask.at,
            )
            return (requested,)
        case "confirmed":
            return (_called_off(order, ask.order_id, Cancellation(ask.asker.id, reason), ask.at),)
        case "cancelling" | "cancelled":
            return ()
        case "rejected" if order.reason == CANCELLED:
            return ()
        case _:
            raise _wrong_status(order, "is not cancelled any more")


def _called_off(order: Order, order_id: UUID, wish: Cancellation, at: datetime) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id,
        buyer_id=order.buyer_id,
        cancelled_by=wish.requested_by,
        reason=wish.reason,
        cancelled_at=at,
    )


def _shipped(order: Order, ask: ShipOrder) -> tuple[OrderEvent, ...]:
    parcel = [text and checked(text, CARRIER_LIMIT, "carrier_length") for text in (ask.carrier, ask.tracking_code)]
    carrier, tracking_code = (text or None for text in parcel)
    if order.status == "shipped" and (order.carrier, order.tracking_code) == (carrier, tracking_code):
        return ()
    if order.status != "confirmed":
        raise _wrong_status(order, "is not shipped")
    shipped = OrderShipped(
        order_id=ask.order_id,
        buyer_id=order.buyer_id,
        carrier=carrier,
        tracking_code=tracking_code,
        shipped_by=ask.asker.id,
        shipped_at=ask.at,
    )
    return (shipped,)


def _returned(order: Order, ask: TakeBackOrder) -> tuple[OrderEvent, ...]:
    if order.status == "returned":
        return ()
    if order.status != "shipped":
        raise _wrong_status(order, "does not come back")
    returned = OrderReturned(
        order_id=ask.order_id,
        buyer_id=order.buyer_id,
        returned_by=ask.asker.id,
        reason=checked(ask.reason, REASON_LIMIT, "reason_length"),
        returned_at=ask.at,
    )
    return (returned,)


def _confirmed(order: Order, ask: Confirm) -> tuple[OrderEvent, ...]:
    if order.status == "rejected":
        raise _wrong_status(order, "is not confirmed")
    if order.status not in ("placed", "cancelling"):
        return ()  # it was, and has gone on from there
    confirmed = OrderConfirmed(
        order_id=ask.order_id,
        buyer_id=order.buyer_id,
        total_minor=order.total_minor,
        currency=order.currency,
        payment_id=ask.payment_id,
        confirmed_at=ask.at,
    )
    if order.cancellation is None:
        return (confirmed,)
    return (confirmed, _called_off(order, ask.order_id, order.cancellation, ask.at))


def _rejected(order: Order, ask: Reject) -> tuple[OrderEvent, ...]:
    if order.status == "rejected":
        return ()
    if order.status not in ("placed", "cancelling"):
        raise _wrong_status(order, "is not rejected any more")
    rejected = OrderRejected(order_id=ask.order_id, buyer_id=order.buyer_id, reason=ask.reason, rejected_at=ask.at)
    return (rejected,)


def _wrong_status(order: Order, what: str) -> Refused:
    return Refused("wrong_status", f"an order that is {order.status} {what}")
