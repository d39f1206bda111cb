"""Decide on a reservation and its stock items together: all of it is recorded, or none (docs/inventory.md)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import reduce
from uuid import UUID

from bounded_contexts.inventory.application.ports import Ports
from bounded_contexts.inventory.domain import allocation, reservation, stock_item
from bounded_contexts.inventory.domain.allocation import Allocation
from bounded_contexts.inventory.domain.commands import Request, Reserve
from bounded_contexts.inventory.domain.identity import item_stream, reservation_stream
from bounded_contexts.inventory.domain.reservation import Reservation, ReservationEvent
from bounded_contexts.inventory.domain.stock_item import StockItem
from schemas.inventory.events import CommitStock, ReleaseStock, ReserveStock, ReturnStock
from shared_kernel.decider import state_of
from shared_kernel.errors import Conflict, Unavailable

Command = ReserveStock | ReleaseStock | CommitStock | ReturnStock

ATTEMPTS = (
    50  # more than there are partitions, whose commands may be of one item: who loses this often met another fault
)


@dataclass(frozen=True, slots=True)
class _Known:
    """States and versions, with what was decided since they were read."""

    ports: Ports
    reservations: dict[UUID, tuple[Reservation, int]] = field(default_factory=dict)  # by order
    items: dict[str, tuple[StockItem, int]] = field(default_factory=dict)  # by SKU

    async def reservation(self, order_id: UUID) -> tuple[Reservation, int]:
        if order_id not in self.reservations:
            stream = reservation_stream(order_id)
            self.reservations[order_id] = await state_of(reservation, self.ports.reservations, stream)
        return self.reservations[order_id]

    async def item(self, sku: str) -> tuple[StockItem, int]:
        if sku not in self.items:
            self.items[sku] = await state_of(stock_item, self.ports.items, item_stream(sku))
        return self.items[sku]


_batch: ContextVar[_Known | None] = ContextVar("batch", default=None)


@asynccontextmanager
async def batch(commands: Sequence[Command], ports: Ports) -> AsyncIterator[None]:
    """Have the block decide on these commands, in the surrounding transaction: each state is read once, and all that happens
    is stored at the end. Batches that touch the same items wait for each other. Raise `Unavailable` where somebody else has
    changed a stream meanwhile."""
    known = _Known(ports)
    skus = {line.sku for ask in commands if isinstance(ask, ReserveStock) for line in ask.lines}
    for ask in commands:
        held, _ = await known.reservation(ask.order_id)
        skus |= {line.sku for line in held.lines}
    await ports.both.lock([item_stream(sku) for sku in skus])
    token = _batch.set(known)
    try:
        async with ports.both.gathering():
            yield
    except Conflict as error:
        raise Unavailable("stock_contended", "somebody else was faster") from error
    finally:
        _batch.reset(token)


async def execute(ask: Request, ports: Ports) -> tuple[ReservationEvent, ...]:
    """Decide and append; on a conflict decide again on newer state. Return the answer, none where it was given before.

    Raise `Refused` for what is no order, `Unavailable` where others were faster each time."""
    if known := _batch.get():
        return await _decided(ask, known)
    for _ in range(ATTEMPTS):
        try:
            return await _decided(ask, _Known(ports))
        except Conflict:
            continue
    raise Unavailable("stock_contended", "others were faster each time")


async def _decided(ask: Request, known: _Known) -> tuple[ReservationEvent, ...]:
    held, version = await known.reservation(ask.order_id)
    skus = ask.quantities if isinstance(ask, Reserve) else [line.sku for line in held.lines]
    items = {sku: await known.item(sku) for sku in skus}
    decision = allocation.decide(Allocation(held, {sku: item for sku, (item, _) in items.items()}), ask)
    moves = [(item_stream(sku), items[sku][1], events) for sku, events in decision.moves.items()]
    await known.ports.both.append_all([(reservation_stream(ask.order_id), version, decision.answer), *moves])
    after = reduce(reservation.evolve, decision.answer, held)
    known.reservations[ask.order_id] = after, version + len(decision.answer)
    for sku, events in decision.moves.items():
        item, version = items[sku]
        known.items[sku] = reduce(stock_item.evolve, events, item), version + len(events)
    return decision.answer
