"""A placed order: reserve stock, authorise payment, then take both at once and confirm. Whatever fails is undone in reverse."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from schemas.inventory.events import (
    CommitStock,
    ReleaseStock,
    ReserveStock,
    ReturnStock,
    StockCommitRefused,
    StockCommitted,
    StockLine,
    StockRefused,
    StockReleased,
    StockReserved,
    StockReturned,
)
from schemas.ordering.events import (
    ConfirmOrder,
    OrderCancellationRequested,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    RejectOrder,
)
from schemas.payments.events import (
    AuthorizePayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureDeclined,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
    RefundPayment,
    VoidPayment,
)
from shared_kernel.saga import Definition, Step, begin, when

PROVIDER_LIMIT = timedelta(seconds=60)  # payments tries its provider several times before it gives an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fulfilment:
    """What the saga remembers of an order."""

    order_id: UUID
    buyer_id: UUID
    lines: tuple[StockLine, ...]
    total_minor: int  # minor units of the currency
    currency: str
    payment_id: UUID | None = None
    reason: str = "not_fulfilled"  # why the order is rejected, if it is: unless somebody gives up, somebody was silent

    def reserve(self, now: datetime) -> ReserveStock:
        return ReserveStock(order_id=self.order_id, lines=self.lines, asked_at=now)

    def release(self, now: datetime) -> ReleaseStock:
        return ReleaseStock(order_id=self.order_id, asked_at=now)

    def authorise(self, now: datetime) -> AuthorizePayment:
        return AuthorizePayment(
            order_id=self.order_id,
            buyer_id=self.buyer_id,
            amount_minor=self.total_minor,
            currency=self.currency,
            asked_at=now,
        )

    def void(self, now: datetime) -> VoidPayment:
        return VoidPayment(order_id=self.order_id, asked_at=now)

    def commit(self, now: datetime) -> CommitStock:
        return CommitStock(order_id=self.order_id, asked_at=now)

    def give_back(self, now: datetime) -> ReturnStock:
        return ReturnStock(order_id=self.order_id, asked_at=now)

    def capture(self, now: datetime) -> CapturePayment:
        return CapturePayment(order_id=self.order_id, asked_at=now)

    def refund(self, now: datetime) -> RefundPayment:
        return RefundPayment(order_id=self.order_id, asked_at=now)

    def confirm(self, now: datetime) -> ConfirmOrder:
        if self.payment_id is None:
            raise ValueError("an order is confirmed after its payment")
        return ConfirmOrder(order_id=self.order_id, payment_id=self.payment_id, asked_at=now)

    def reject(self, now: datetime) -> RejectOrder:
        return RejectOrder(order_id=self.order_id, reason=self.reason, asked_at=now)

    def same(self, _: Any) -> "Fulfilment":
        return self

    def paid(self, event: PaymentAuthorized) -> "Fulfilment":
        return replace(self, payment_id=event.payment_id)

    def out_of_stock(self, event: StockRefused) -> "Fulfilment":
        return replace(self, reason=event.reason if event.reason in ("out_of_stock", "unknown_sku") else self.reason)

    def declined(self, _: PaymentDeclined | PaymentCaptureDeclined) -> "Fulfilment":
        return replace(self, reason="payment_declined")

    def cancelled(self, _: OrderCancellationRequested) -> "Fulfilment":
        return replace(self, reason="cancelled")


def placed(order: OrderPlaced) -> Fulfilment:
    """Return what is to be remembered of the order."""
    return Fulfilment(
        order_id=order.order_id,
        buyer_id=order.buyer_id,
        lines=tuple(StockLine(sku=line.sku, quantity=line.quantity) for line in order.lines),
        total_minor=order.total_minor,
        currency=order.currency,
    )


F = Fulfilment
ORDER_FULFILMENT = Definition(
    name="order_fulfilment",
    data=Fulfilment,
    key="order_id",
    starts=(begin(OrderPlaced, placed),),
    steps=(
        Step(name="place order", undo=F.reject, undone=OrderRejected),
        Step(
            name="reserve stock",
            ask=F.reserve,
            goes_on=when(StockReserved, F.same),
            gives_up=(when(StockRefused, F.out_of_stock),),
            undo=F.release,
            undone=StockReleased,
        ),
        Step(
            name="authorise payment",
            ask=F.authorise,
            goes_on=when(PaymentAuthorized, F.paid),
            gives_up=(when(PaymentDeclined, F.declined),),
            undo=F.void,
            undone=PaymentVoided,
            limit=PROVIDER_LIMIT,
        ),
        (
            Step(
                name="commit stock",
                ask=F.commit,
                goes_on=when(StockCommitted, F.same),
                gives_up=(when(StockCommitRefused, F.same),),
                undo=F.give_back,
                undone=StockReturned,
            ),
            Step(
                name="capture payment",
                ask=F.capture,
                goes_on=when(PaymentCaptured, F.same),
                gives_up=(when(PaymentCaptureDeclined, F.declined),),
                undo=F.refund,
                undone=PaymentRefunded,
                limit=PROVIDER_LIMIT,
            ),
        ),
        Step(name="confirm order", ask=F.confirm, goes_on=when(OrderConfirmed, F.same)),
    ),
    called_off_by=(when(OrderCancellationRequested, F.cancelled),),
    deadline=timedelta(minutes=5),
)
