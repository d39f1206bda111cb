"""Decide on a reservation and its stock items together: all of it is recorded, or none (docs/inventory.md)."""

from collections.abc import Iterable

from bounded_contexts.inventory.application.ports import Ports
from bounded_contexts.inventory.domain import allocation, reservation, stock_item
from bounded_contexts.inventory.domain.allocation import Allocation
from bounded_contexts.inventory.domain.commands import Request, Reserve
from bounded_contexts.inventory.domain.identity import item_stream, reservation_stream
from bounded_contexts.inventory.domain.reservation import ReservationEvent
from bounded_contexts.inventory.domain.stock_item import StockItem
from shared_kernel.decider import state_of
from shared_kernel.errors import Conflict, Unavailable

# Of those that want one item at once the first to commit wins and the others decide again. They are as many as the commands
# have partitions: who loses this often has met another fault.
ATTEMPTS = 50


async def execute(ask: Request, ports: Ports) -> tuple[ReservationEvent, ...]:
    """Decide and append; on a conflict decide again on newer state. Return the answer, none where it was given before.

    Raise `Refused` for what is no order, `Unavailable` where others were faster each time."""
    stream = reservation_stream(ask.order_id)
    for _ in range(ATTEMPTS):
        held, version = await state_of(reservation, ports.reservations, stream)
        items, versions = await _items(
            ask.quantities if isinstance(ask, Reserve) else [line.sku for line in held.lines], ports
        )
        decision = allocation.decide(Allocation(held, items), ask)
        moves = [(item_stream(sku), versions[sku], events) for sku, events in decision.moves.items()]
        try:
            await ports.both.append_all([(stream, version, decision.answer), *moves])
        except Conflict:
            continue
        return decision.answer
    raise Unavailable("stock_contended", "others were faster each time")


async def _items(skus: Iterable[str], ports: Ports) -> tuple[dict[str, StockItem], dict[str, int]]:
    found = {sku: await state_of(stock_item, ports.items, item_stream(sku)) for sku in skus}
    return {sku: item for sku, (item, _) in found.items()}, {sku: version for sku, (_, version) in found.items()}
