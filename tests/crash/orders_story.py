"""A history of orders as a run would have left it, made up: what the checker is tried on."""

from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from tests.crash.evidence import Event
from tests.crash.history import Kind, Operation
from tests.crash.orders_checker import GROUPS, OrdersEvidence

TOPIC_OF_GROUP = {
    "ordering.commands": "order-commands",
    "inventory.commands": "stock-commands",
    "payments.commands": "payment-commands",
    "inventory.stock": "stock",
}
KINDS = {"confirmed", "rejected", "cancelled", "returned", "declined", "called off"}


@dataclass
class Story:
    """Builds what a run would have left, from what happened, in the order in which it happened."""

    found: OrdersEvidence = field(
        default_factory=lambda: OrdersEvidence(
            operations=[], events=[], ends={}, stored=[], waiting=0, positions=[], dead=[], ledger=[], sagas=[],
            orders=[], stock=[], payments=[], shown={},
        )
    )  # fmt: skip
    at: float = 0.0

    def asked(self, kind: Kind, name: str, target: str = "", outcome: Any = "ok") -> None:
        """Note a request and its answer."""
        self.at += 2
        self.found.operations.append(
            Operation(
                kind=kind, name=name, actor="ann", target=target, begun=self.at, ended=self.at + 1, outcome=outcome
            )
        )

    def happened(self, topic: str, key: str, type_: str, **data: Any) -> None:
        """Put an event on its topic, and into its store if it is no command."""
        offset = sum(event.topic == topic for event in self.found.events)
        event = Event(topic, 0, offset, key, f"{topic}-{offset}", type_, data)
        self.found.events.append(event)
        self.found.ends[topic, 0] = offset + 1
        if not topic.endswith("-commands"):
            version = sum(row["stream"] == f"{topic}/{key}" for row in self.found.stored) + 1
            row = {"context": "some", "stream": f"{topic}/{key}", "version": version, "id": event.id}
            self.found.stored.append(row)

    def received(self, sku: str, quantity: int) -> None:
        """Have units come in."""
        self.asked("receive", f"receive {quantity}", sku)
        self.happened("stock", sku, "StockReceived", sku=sku, quantity=quantity)

    def units(self, type_: str, order: str) -> None:
        """Move two apples and three pears."""
        for sku, quantity in (("apple", 2), ("pear", 3)):
            self.happened("stock", sku, type_, sku=sku, order_id=order, quantity=quantity)

    def command(self, kind: str, order: str, type_: str) -> None:
        """Have a saga ask for something."""
        self.happened(f"{kind}-commands", order, type_)

    def provider(self, order: str, step: str, type_: str, total: int) -> None:
        """Have the provider do something."""
        row = {"order_id": order, "step": step, "amount_minor": total, "currency": "EUR"}
        self.found.ledger.append(row)
        self.happened("payments", order, type_, amount_minor=total)

    def order(self, price: int, outcome: str) -> None:
        """Tell one order from its request to its end."""
        order, total = str(uuid5(NAMESPACE_OID, str(price))), 2 * price + 3
        lines = [{"sku": "apple", "quantity": 2, "unit_price_minor": price}]
        lines.append({"sku": "pear", "quantity": 3, "unit_price_minor": 1})
        self.asked("place", str(price))
        self.happened("orders", order, "OrderPlaced", lines=lines, total_minor=total, currency="EUR")
        self.command("stock", order, "ReserveStock")
        status, money = getattr(self, "_" + outcome.replace(" ", "_"))(order, price, total)
        if any(event.key == order and event.topic == "payments" for event in self.found.events):
            self.found.payments.append(
                {"order_id": order, "captured_minor": money[0], "refunded_minor": money[1]},
            )
        version = sum(row["stream"] == f"orders/{order}" for row in self.found.stored)
        row = {"order_id": order, "status": status, "total_minor": total, "version": version}
        self.found.orders.append(row)
        self.found.shown[order] = dict(row)
        phase = "undone" if status == "rejected" else "done"
        self.found.sagas.append({"definition": "order_fulfilment", "key": order, "phase": phase, "parked": None})
        if status in ("cancelled", "returned"):
            self.found.sagas.append({"definition": "order_refund", "key": order, "phase": "done", "parked": None})

    def _reserved(self, order: str, total: int) -> None:
        self.units("UnitsReserved", order)
        self.happened("reservations", order, "StockReserved")
        self.command("payment", order, "AuthorizePayment")
        self.happened("payments", order, "PaymentRequested")

    def _confirmed(self, order: str, _: int, total: int) -> tuple[str, tuple[int, int]]:
        self._reserved(order, total)
        self.provider(order, "authorize", "PaymentAuthorized", total)
        self.command("stock", order, "CommitStock")
        self.command("payment", order, "CapturePayment")
        self.units("UnitsCommitted", order)
        self.happened("reservations", order, "StockCommitted")
        self.provider(order, "capture", "PaymentCaptured", total)
        self.command("order", order, "ConfirmOrder")
        self.happened("orders", order, "OrderConfirmed")
        return "confirmed", (total, 0)

    def _refunded(self, order: str, total: int) -> None:
        self.command("payment", order, "RefundPayment")
        self.command("stock", order, "ReturnStock")
        self.provider(order, "refund", "PaymentRefunded", total)
        self.units("UnitsReturned", order)
        self.happened("reservations", order, "StockReturned")

    def _cancelled(self, order: str, price: int, total: int) -> tuple[str, tuple[int, int]]:
        self._confirmed(order, price, total)
        self.asked("cancel", f"cancel {price}", str(price))
        self.happened("orders", order, "OrderCancelled", reason=f"cancel {price}")
        self._refunded(order, total)
        return "cancelled", (total, total)

    def _returned(self, order: str, price: int, total: int) -> tuple[str, tuple[int, int]]:
        self._confirmed(order, price, total)
        self.asked("ship", f"ship {price}", str(price))
        self.happened("orders", order, "OrderShipped", tracking_code=f"ship {price}")
        self.asked("return", f"return {price}", str(price))
        self.happened("orders", order, "OrderReturned", reason=f"return {price}")
        self._refunded(order, total)
        return "returned", (total, total)

    def _rejected(self, order: str, _: int, __: int) -> tuple[str, tuple[int, int]]:
        self.happened("reservations", order, "StockRefused", reason="out_of_stock")
        self.command("order", order, "RejectOrder")
        self.happened("orders", order, "OrderRejected", reason="out_of_stock")
        return "rejected", (0, 0)

    def _released(self, order: str) -> None:
        self.command("stock", order, "ReleaseStock")
        self.units("UnitsReleased", order)
        self.happened("reservations", order, "StockReleased", reason="asked")
        self.command("order", order, "RejectOrder")
        self.happened("orders", order, "OrderRejected", reason="whatever")

    def _declined(self, order: str, _: int, total: int) -> tuple[str, tuple[int, int]]:
        self._reserved(order, total)
        self.happened("payments", order, "PaymentDeclined", reason="insufficient_funds")
        self._released(order)
        return "rejected", (0, 0)

    def _called_off(self, order: str, price: int, total: int) -> tuple[str, tuple[int, int]]:
        self._reserved(order, total)
        self.asked("cancel", f"cancel {price}", str(price))
        self.happened("orders", order, "OrderCancellationRequested", reason=f"cancel {price}")
        self.provider(order, "authorize", "PaymentAuthorized", total)
        self.command("payment", order, "VoidPayment")
        self.found.ledger.append({"order_id": order, "step": "void", "amount_minor": total, "currency": "EUR"})
        self.happened("payments", order, "PaymentVoided")
        self._released(order)
        return "rejected", (0, 0)

    def ended(self) -> OrdersEvidence:
        """Return what there is when everything has come to its end."""
        counts = {"apple": [50, 0, 0], "pear": [40, 0, 0]}
        for row in self.found.orders:
            if row["status"] == "confirmed":
                for sku, quantity in (("apple", 2), ("pear", 3)):
                    counts[sku] = [counts[sku][0] - quantity, 0, counts[sku][2] + quantity]
        for sku, (free, reserved, sold) in counts.items():
            self.found.stock.append({"sku": sku, "free": free, "reserved": reserved, "sold": sold})
        for group in GROUPS:
            topic = TOPIC_OF_GROUP.get(group, "orders")
            row = {"group": group, "topic": topic, "partition": 0, "next": self.found.ends[topic, 0], "beyond": []}
            self.found.positions.append(row)
        return self.found
