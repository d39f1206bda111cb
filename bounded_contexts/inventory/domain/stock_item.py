"""Stock item: units of one SKU. What was received is free, reserved or sold, and none of them is ever less than nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from bounded_contexts.inventory.domain.commands import (
    AddItem,
    FreeUnits,
    HoldUnits,
    MoveUnits,
    ReceiveUnits,
    SellUnits,
    TakeUnitsBack,
)
from schemas.inventory.events import (
    StockItemAdded,
    StockReceived,
    UnitsCommitted,
    UnitsReleased,
    UnitsReserved,
    UnitsReturned,
)
from shared_kernel.errors import Conflict, NotFound, Refused, Taken
from shared_kernel.permissions import require

SKU_LIMIT = 64  # characters
NAME_LIMIT = 200  # characters
RECEIPT_LIMIT = 1_000_000  # units
PERMISSION = "inventory:manage"

StockRequest = AddItem | ReceiveUnits | MoveUnits
StockEvent = StockItemAdded | StockReceived | UnitsReserved | UnitsReleased | UnitsCommitted | UnitsReturned


@dataclass(frozen=True, slots=True)
class StockItem:
    """How many units there are, and where they are."""

    name: str | None = None  # None: nobody has added it
    free: int = 0
    reserved: int = 0
    sold: int = 0
    receipts: Mapping[UUID, int] = field(default_factory=dict)  # units by receipt


INITIAL = StockItem()


def decide(state: StockItem, ask: StockRequest) -> tuple[StockEvent, ...]:
    match ask:
        case AddItem():
            return _added(state, ask)
        case ReceiveUnits():
            return _received(state, ask)
        case HoldUnits():
            _require(state.free, ask)
            return (
                UnitsReserved(
                    sku=ask.sku,
                    order_id=ask.order_id,
                    quantity=ask.quantity,
                    expires_at=ask.expires_at,
                    reserved_at=ask.at,
                ),
            )
        case FreeUnits():
            _require(state.reserved, ask)
            return (UnitsReleased(sku=ask.sku, order_id=ask.order_id, quantity=ask.quantity, released_at=ask.at),)
        case SellUnits():
            _require(state.reserved, ask)
            return (UnitsCommitted(sku=ask.sku, order_id=ask.order_id, quantity=ask.quantity, committed_at=ask.at),)
        case TakeUnitsBack():
            _require(state.sold, ask)
            return (UnitsReturned(sku=ask.sku, order_id=ask.order_id, quantity=ask.quantity, returned_at=ask.at),)
    raise TypeError(f"a stock item is not asked by {type(ask).__name__}")


def evolve(state: StockItem, event: StockEvent) -> StockItem:
    match event:
        case StockItemAdded():
            return replace(state, name=event.name)
        case StockReceived():
            receipts = {**state.receipts, event.receipt_id: event.quantity}
            return replace(state, free=state.free + event.quantity, receipts=receipts)
        case UnitsReserved():
            return replace(state, free=state.free - event.quantity, reserved=state.reserved + event.quantity)
        case UnitsReleased():
            return replace(state, free=state.free + event.quantity, reserved=state.reserved - event.quantity)
        case UnitsCommitted():
            return replace(state, reserved=state.reserved - event.quantity, sold=state.sold + event.quantity)
        case UnitsReturned():
            return replace(state, free=state.free + event.quantity, sold=state.sold - event.quantity)


def _added(state: StockItem, ask: AddItem) -> tuple[StockEvent, ...]:
    require(ask.asker_roles, PERMISSION)
    name = ask.name.strip()
    if not (0 < len(name) <= NAME_LIMIT and name.isprintable()):
        raise Refused("invalid_item_name", f"1 to {NAME_LIMIT} printable characters")
    if state.name == name:
        return ()
    if state.name is not None:
        raise Taken("sku_taken", "there is a stock item of this SKU, and it has another name")
    return (StockItemAdded(sku=ask.sku, name=name, added_by=ask.asker_id, added_at=ask.at),)


def _received(state: StockItem, ask: ReceiveUnits) -> tuple[StockEvent, ...]:
    require(ask.asker_roles, PERMISSION)
    require_added(state)
    if ask.receipt_id in state.receipts:
        if state.receipts[ask.receipt_id] != ask.quantity:
            raise Refused("id_taken", "another quantity was received under this key: choose another key")
        return ()
    if not 1 <= ask.quantity <= RECEIPT_LIMIT:
        raise Refused("invalid_quantity", f"1 to {RECEIPT_LIMIT} units")
    return (
        StockReceived(
            sku=ask.sku,
            receipt_id=ask.receipt_id,
            quantity=ask.quantity,
            received_by=ask.asker_id,
            received_at=ask.at,
        ),
    )


def require_added(state: StockItem) -> None:
    """Raise `NotFound` for an item that nobody has added."""
    if state.name is None:
        raise NotFound("stock_item_not_found")


def _require(there: int, ask: MoveUnits) -> None:
    """A last wall. Who asks has looked at the reservation before, and at the item after it: units that are not there any more
    were moved in between, and what was looked at is old."""
    if ask.quantity < 1:
        raise Refused("invalid_quantity", f"{ask.sku}: {ask.quantity} units")
    if ask.quantity > there:
        raise Conflict(f"{ask.sku}: {ask.quantity} of {there} units")
