"""Stock items as they are, or were."""

from datetime import datetime

from bounded_contexts.inventory.application.ports import Ports
from bounded_contexts.inventory.domain import stock_item
from bounded_contexts.inventory.domain.identity import item_stream
from bounded_contexts.inventory.domain.stock_item import StockItem, require_added
from shared_kernel.decider import state_of
from shared_kernel.errors import NotFound


async def known_item(sku: str, ports: Ports, as_of: datetime | None = None) -> StockItem:
    """Return the item as it is, or as of the time. Raise `NotFound` for one that is not there, or was not there then."""
    state, _ = await state_of(stock_item, ports.items, item_stream(sku), as_of)
    if as_of and state.name is None:
        require_added((await state_of(stock_item, ports.items, item_stream(sku)))[0])
        raise NotFound("not_there_yet", "the stock item was added later")
    require_added(state)
    return state
