"""What inventory needs from the outside."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

from bounded_contexts.inventory.domain.reservation import ReservationEvent
from bounded_contexts.inventory.domain.stock_item import StockEvent
from schemas.inventory.events import (
    StockCommitted,
    StockItemAdded,
    StockReceived,
    StockReleased,
    StockReserved,
    UnitsCommitted,
    UnitsReleased,
    UnitsReserved,
    UnitsReturned,
)
from shared_kernel.events import AtomicEventStore, EventStore

Movement = StockReceived | UnitsReserved | UnitsReleased | UnitsCommitted | UnitsReturned
HeldEvent = StockReserved | StockReleased | StockCommitted
Kind = Literal["received", "reserved", "released", "committed", "returned"]


@dataclass(frozen=True, slots=True)
class ListedItem:
    """A stock item as lists show it, in units."""

    sku: str
    name: str
    free: int
    reserved: int
    sold: int
    added_at: datetime


@dataclass(frozen=True, slots=True)
class ListedMovement:
    """Units that came in or went from one place to another."""

    movement_id: UUID
    sku: str
    kind: Kind
    quantity: int
    receipt_id: UUID | None  # of what was received
    order_id: UUID | None  # of all others
    moved_at: datetime


class StockWriter(Protocol):
    """The list of stock items. Events of one item come in order; one that comes again changes nothing."""

    async def added(self, event: StockItemAdded) -> None:
        """List the item, with no units."""
        ...

    async def moved(self, movements: Sequence[Movement]) -> None:
        """Take over what the movements make of their items."""
        ...


class Stock(Protocol):
    async def page(self, limit: int, prefix: str, after: str | None) -> list[ListedItem]:
        """Return items whose SKU begins with `prefix`, in the order of their SKUs' bytes, those behind `after`."""
        ...

    async def item(self, sku: str) -> ListedItem | None:
        """Return one item."""
        ...

    async def movements(self, sku: str, limit: int, before: tuple[datetime, UUID] | None) -> list[ListedMovement]:
        """Return what has moved, last first, that before `before`."""
        ...

    async def is_received(self, sku: str, receipt_id: UUID) -> bool:
        """Return whether the receipt is shown."""
        ...


class Reservations(Protocol):
    """Which orders hold units, and until when. Events of one order come in order; one that comes again changes nothing."""

    async def changed(self, event: HeldEvent) -> None:
        """Take the event over."""
        ...

    async def due(self, now: datetime, limit: int) -> list[UUID]:
        """Return orders whose reservations are held beyond their time, longest first."""
        ...


class BothStore(AtomicEventStore[StockEvent | ReservationEvent], Protocol):
    """The streams of items and reservations, for what is decided on together. Both blocks are for inside a transaction."""

    async def lock(self, streams: Collection[UUID]) -> None:
        """Have the streams to oneself, among those who lock them, until the transaction ends; once in each."""
        ...

    def gathering(self) -> AbstractAsyncContextManager[object]:
        """Store what the block appends at its end. Raise `Conflict` then, after which the transaction is given up."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    items: EventStore[StockEvent]
    reservations: EventStore[ReservationEvent]
    both: BothStore
    stock_writer: StockWriter
    stock: Stock
    held: Reservations
    lifetime: timedelta  # of a reservation
    now: Callable[[], datetime]  # time-zone aware, UTC
