"""What ordering needs from the outside."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bounded_contexts.ordering.domain.order import Order, OrderEvent, OrderStep, Status
from schemas.identity.events import UserBlocked, UserErased, UserUnblocked
from schemas.ordering.events import OrderPlaced
from shared_kernel.events import EventStore

Place = tuple[datetime, UUID]  # in a list that is ordered by a time, last first, and an id


@dataclass(frozen=True, slots=True)
class Listed:
    """An order as lists show it. Whoever asked for its cancellation is not among it."""

    order_id: UUID
    version: int
    order: Order


@dataclass(frozen=True, slots=True)
class Choice:
    """Which orders are listed."""

    buyer: UUID | None  # None: everybody's
    status: Status | None = None  # None: whatever it is


@dataclass(frozen=True, slots=True)
class Buyer:
    """Somebody who has placed orders, and may still sign in."""

    buyer_id: UUID
    since: datetime  # when the first order was placed
    orders: int
    last_order_at: datetime


class OrderWriter(Protocol):
    """The lists of orders and of who placed them. Events come in the order of their topics, those of different topics in any
    order; one that comes again changes nothing."""

    async def placed(self, orders: Sequence[OrderPlaced]) -> None:
        """List new orders and their buyers."""
        ...

    async def changed(self, event: OrderStep) -> None:
        """Take over a step of an order that is listed."""
        ...

    async def admitted(self, event: UserBlocked | UserUnblocked | UserErased) -> None:
        """Note whether a user may still sign in, whether they have placed orders or not."""
        ...


class OrderReader(Protocol):
    async def page(self, of: Choice, limit: int, before: Place | None = None, offset: int = 0) -> list[Listed]:
        """Return orders, last placed first, those after `before`, without the first `offset` of them."""
        ...

    async def listed(self, order: UUID) -> Listed | None:
        """Return one order."""
        ...

    async def buyers(self, limit: int, before: Place | None = None, offset: int = 0) -> list[Buyer]:
        """Return who has placed orders and is neither blocked nor erased, the newest of them first."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    store: EventStore[OrderEvent]
    order_writer: OrderWriter
    orders: OrderReader
    names: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, str]]]  # of users, of those that are known
    now: Callable[[], datetime]  # time-zone aware, UTC
