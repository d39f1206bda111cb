"""What people and sagas can ask of an order."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.ordering.events import OrderLine


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, by the token."""

    id: UUID
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Placing the same order again is no change."""

    order_id: UUID
    buyer_id: UUID
    lines: tuple[OrderLine, ...]
    currency: str  # ISO 4217
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Call an order off, as its buyer or for them."""

    order_id: UUID
    asker: Asker
    reason: str  # in the asker's words, perhaps none
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipOrder:
    order_id: UUID
    asker: Asker
    carrier: str | None
    tracking_code: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBackOrder:
    """Note that the goods have come back."""

    order_id: UUID
    asker: Asker
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Stock is taken, money captured."""

    order_id: UUID
    payment_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """It comes to nothing, and all that was done for it is undone."""

    order_id: UUID
    reason: str  # a code
    at: datetime
