"""What people, sagas and the clock can ask of inventory."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AddItem:
    """Have something to sell; adding it again under the same name is no change."""

    sku: str
    name: str
    asker_id: UUID
    asker_roles: frozenset[str]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveUnits:
    """Book units that came in; the same receipt again is no change."""

    sku: str
    receipt_id: UUID
    quantity: int
    asker_id: UUID
    asker_roles: frozenset[str]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveUnits:
    """Move units of one item for an order: a part of what is done for its reservation."""

    sku: str
    order_id: UUID
    quantity: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldUnits(MoveUnits):
    """From free to reserved."""

    expires_at: datetime


class FreeUnits(MoveUnits):
    """From reserved to free."""

    __slots__ = ()


class SellUnits(MoveUnits):
    """From reserved to sold."""

    __slots__ = ()


class TakeUnitsBack(MoveUnits):
    """From sold to free."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Lack:
    """Why an order cannot be held: SKUs that nobody has added, and those of which too few are free."""

    unknown: tuple[str, ...] = ()
    short: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Hold all of this for an order, or nothing."""

    order_id: UUID
    quantities: Mapping[str, int]  # by SKU, units
    expires_at: datetime
    at: datetime
    lack: Lack = Lack()  # what is not there, as the items say


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Hold nothing for an order any more, nor later."""

    order_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Sell what is held for an order."""

    order_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Take back what was sold to an order, and sell it nothing later."""

    order_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    """Release what is held for an order if its time is over."""

    order_id: UUID
    at: datetime


Request = Reserve | Release | Commit | Return | Expire
