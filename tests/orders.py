"""The events of one order, as its participants tell them."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from schemas.inventory.events import (
    StockCommitRefused,
    StockCommitted,
    StockLine,
    StockRefused,
    StockReleased,
    StockReserved,
    StockReturned,
)
from schemas.ordering.events import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
)
from schemas.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureDeclined,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from shared_kernel.events import Event

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BUYER = UUID(int=1)
TOTAL, EUR = 2_500, "EUR"


class Told:
    """What may be told of an order."""

    def __init__(self, order_id: UUID, at: datetime = NOW) -> None:
        id_, payment, buyer = order_id, uuid5(order_id, "payment"), BUYER
        line, stock = OrderLine(sku="tea", quantity=5, unit_price_minor=500), StockLine(sku="tea", quantity=5)
        self.order_id, self.payment_id = id_, payment
        self.placed = OrderPlaced(
            order_id=id_, buyer_id=buyer, lines=(line,), total_minor=TOTAL, currency=EUR, placed_at=at
        )
        self.cancelling = OrderCancellationRequested(
            order_id=id_, buyer_id=buyer, requested_by=buyer, reason="too late", requested_at=at
        )
        self.confirmed = OrderConfirmed(
            order_id=id_, buyer_id=buyer, total_minor=TOTAL, currency=EUR, payment_id=payment, confirmed_at=at
        )
        self.rejected = OrderRejected(order_id=id_, buyer_id=buyer, reason="not_fulfilled", rejected_at=at)
        self.cancelled = OrderCancelled(
            order_id=id_, buyer_id=buyer, cancelled_by=buyer, reason="too late", cancelled_at=at
        )
        self.returned = OrderReturned(
            order_id=id_, buyer_id=buyer, returned_by=buyer, reason="too small", returned_at=at
        )
        self.reserved = StockReserved(order_id=id_, lines=(stock,), expires_at=at, reserved_at=at)
        self.out_of_stock = StockRefused(order_id=id_, reason="out_of_stock", missing=("tea",), refused_at=at)
        self.released = StockReleased(order_id=id_, reason="asked", released_at=at)
        self.committed = StockCommitted(order_id=id_, committed_at=at)
        self.commit_refused = StockCommitRefused(order_id=id_, reason="expired", refused_at=at)
        self.stock_returned = StockReturned(order_id=id_, returned_at=at)
        self.authorized = PaymentAuthorized(
            payment_id=payment,
            order_id=id_,
            buyer_id=buyer,
            amount_minor=TOTAL,
            currency=EUR,
            provider_reference="p1",
            authorized_at=at,
        )
        self.declined = PaymentDeclined(payment_id=payment, order_id=id_, reason="card_declined", declined_at=at)
        self.voided = PaymentVoided(payment_id=payment, order_id=id_, voided_at=at)
        self.captured = PaymentCaptured(
            payment_id=payment, order_id=id_, amount_minor=TOTAL, currency=EUR, captured_at=at
        )
        self.capture_declined = PaymentCaptureDeclined(
            payment_id=payment, order_id=id_, reason="expired", declined_at=at
        )
        self.refunded = PaymentRefunded(
            payment_id=payment, order_id=id_, refund_id=payment, amount_minor=TOTAL, currency=EUR, refunded_at=at
        )

    @property
    def everything(self) -> tuple[Event, ...]:
        """Return every event that there may be of an order."""
        return tuple(each for name, each in vars(self).items() if name not in ("order_id", "payment_id"))
