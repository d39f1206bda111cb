"""A cancelled or returned order: give back money and stock, both at once, asked again until both are done."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from schemas.inventory.events import ReturnStock, StockReturned
from schemas.ordering.events import OrderCancelled, OrderReturned
from schemas.payments.events import PaymentRefunded, RefundPayment
from shared_kernel.saga import Definition, Step, begin, when


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """What the saga remembers of an order."""

    order_id: UUID

    def refund(self, now: datetime) -> RefundPayment:
        return RefundPayment(order_id=self.order_id, asked_at=now)

    def give_back(self, now: datetime) -> ReturnStock:
        return ReturnStock(order_id=self.order_id, asked_at=now)

    def same(self, _: Any) -> "Refund":
        return self


def ended(order: OrderCancelled | OrderReturned) -> Refund:
    """Return what is to be remembered of the order."""
    return Refund(order_id=order.order_id)


ORDER_REFUND = Definition(
    name="order_refund",
    data=Refund,
    key="order_id",
    starts=(begin(OrderCancelled, ended), begin(OrderReturned, ended)),
    steps=(
        (
            Step(name="refund payment", ask=Refund.refund, goes_on=when(PaymentRefunded, Refund.same)),
            Step(name="return stock", ask=Refund.give_back, goes_on=when(StockReturned, Refund.same)),
        ),
    ),
    deadline=timedelta(minutes=5),
)
