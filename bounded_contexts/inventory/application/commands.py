"""One function for each thing that people, sagas and the clock can ask. Each writes exactly once."""

from collections import Counter
from uuid import UUID

from bounded_contexts.inventory.application import together
from bounded_contexts.inventory.application.ports import Ports
from bounded_contexts.inventory.domain import stock_item
from bounded_contexts.inventory.domain.commands import AddItem, Commit, Expire, ReceiveUnits, Release, Reserve, Return
from bounded_contexts.inventory.domain.identity import item_stream
from bounded_contexts.inventory.domain.reservation import ReservationEvent
from bounded_contexts.inventory.domain.stock_item import StockItem
from schemas.inventory.events import CommitStock, ReleaseStock, ReserveStock, ReturnStock
from shared_kernel.decider import execute

Answer = tuple[ReservationEvent, ...]  # nothing where it was given before


async def change_item(ask: AddItem | ReceiveUnits, ports: Ports) -> tuple[StockItem, bool]:
    """Return the item after it and whether this call changed it. Raise `Forbidden`, `NotFound`, `Taken`, `Refused`, or
    `Conflict` after three tries."""
    state, _, events = await execute(stock_item, ports.items, item_stream(ask.sku), ask)
    return state, bool(events)


async def reserve(ask: ReserveStock, ports: Ports) -> Answer:
    """Hold all lines until the reservations' lifetime from now, or refuse. Raise `Refused` for what is no order."""
    quantities: Counter[str] = Counter()
    for line in ask.lines:
        quantities[line.sku] += line.quantity
    at = ports.now()
    request = Reserve(order_id=ask.order_id, quantities=quantities, expires_at=at + ports.lifetime, at=at)
    return await together.execute(request, ports)


async def release(ask: ReleaseStock, ports: Ports) -> Answer:
    """Hold nothing for the order from now on."""
    return await together.execute(Release(order_id=ask.order_id, at=ports.now()), ports)


async def commit(ask: CommitStock, ports: Ports) -> Answer:
    """Sell what is held for the order, or refuse."""
    return await together.execute(Commit(order_id=ask.order_id, at=ports.now()), ports)


async def take_back(ask: ReturnStock, ports: Ports) -> Answer:
    """Have what was sold to the order free again, and sell it nothing from now on."""
    return await together.execute(Return(order_id=ask.order_id, at=ports.now()), ports)


async def expire(order_id: UUID, ports: Ports) -> Answer:
    """Release what is held for the order if its time is over; it may be called by several at once."""
    return await together.execute(Expire(order_id=order_id, at=ports.now()), ports)
