"""One function for each thing that people and sagas can ask of an order. Each writes exactly once."""

from bounded_contexts.ordering.application.ports import Ports
from bounded_contexts.ordering.domain import order
from bounded_contexts.ordering.domain.commands import (
    CancelOrder,
    Confirm,
    PlaceOrder,
    Reject,
    ShipOrder,
    TakeBackOrder,
)
from bounded_contexts.ordering.domain.order import Order
from schemas.ordering.events import ConfirmOrder, RejectOrder
from shared_kernel.decider import AtVersion, execute


async def place_order(ask: PlaceOrder, ports: Ports) -> tuple[Order, int, bool]:
    """Return the order, its version and whether this call placed it; a repeat returns what has become of it.

    Raise `Refused`, also when something else was placed under this id."""
    state, version, events = await execute(order, ports.store, ask.order_id, ask)
    return _there(state), version, bool(events)


async def change_order(
    ask: CancelOrder | ShipOrder | TakeBackOrder, ports: Ports, expected: int | None = None
) -> tuple[Order, int]:
    """Return the order after the change and its version; if a version is `expected`, only that one is changed.

    Raise `Forbidden`, `NotFound`, `Refused`, and `Stale` for another version."""
    store = ports.store if expected is None else AtVersion(ports.store, expected)
    state, version, _ = await execute(order, store, ask.order_id, ask)
    return _there(state), version


async def confirm_order(asked: ConfirmOrder, ports: Ports) -> None:
    """Confirm, as a saga asks; twice is once. Raise `Refused` for an order that was rejected, `NotFound`."""
    confirm = Confirm(order_id=asked.order_id, payment_id=asked.payment_id, at=ports.now())
    await execute(order, ports.store, asked.order_id, confirm)


async def reject_order(asked: RejectOrder, ports: Ports) -> None:
    """Reject, as a saga asks; twice is once. Raise `Refused` for an order that was confirmed, `NotFound`."""
    reject = Reject(order_id=asked.order_id, reason=asked.reason, at=ports.now())
    await execute(order, ports.store, asked.order_id, reject)


def _there(state: Order | None) -> Order:
    if state is None:
        raise AssertionError("a decision on an order leaves an order")
    return state
