"""What documents that the house writes are made of."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from bounded_contexts.documents.domain.invoice import Placed, Seller
from bounded_contexts.documents.domain.transcript import Transcript


class PlacedOrders(Protocol):
    """Orders that are neither confirmed nor rejected. Repeating is safe."""

    async def add(self, order: Placed) -> None:
        """Keep the order."""
        ...

    async def order(self, order_id: UUID) -> Placed | None:
        """Return the order, None for one that is not kept, or not any more."""
        ...

    async def remove(self, order_id: UUID) -> None:
        """Keep it no longer."""
        ...


class Conversations(Protocol):
    """Conversations, of whoever keeps them."""

    async def transcript(self, conversation_id: UUID, asker: UUID, limit: int) -> Transcript:
        """Return the newest messages, `limit` at most. Raise `NotFound` for who is not a member."""
        ...


# What people are called, those who have a name here.
Names = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, str]]]


@dataclass(frozen=True, slots=True)
class SourcePorts:
    orders: PlacedOrders
    conversations: Conversations
    names: Names
    seller: Seller
    invoice_lifetime: timedelta
    now: Callable[[], datetime]  # time-zone aware, UTC
