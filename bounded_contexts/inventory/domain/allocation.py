"""Allocation: a reservation with the stock items it touches, decided on together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from bounded_contexts.inventory.domain import reservation, stock_item
from bounded_contexts.inventory.domain.commands import (
    FreeUnits,
    HoldUnits,
    Lack,
    MoveUnits,
    Request,
    Reserve,
    SellUnits,
    TakeUnitsBack,
)
from bounded_contexts.inventory.domain.reservation import Reservation, ReservationEvent
from bounded_contexts.inventory.domain.stock_item import StockEvent, StockItem
from schemas.inventory.events import StockCommitted, StockLine, StockReleased, StockReserved, StockReturned


@dataclass(frozen=True, slots=True)
class Allocation:
    """One order's reservation, and the items of its lines or of those that are asked for."""

    reservation: Reservation = reservation.INITIAL
    items: Mapping[str, StockItem] = field(default_factory=dict)  # by SKU


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens, all of it or nothing."""

    answer: tuple[ReservationEvent, ...] = ()
    moves: Mapping[str, tuple[StockEvent, ...]] = field(default_factory=dict)  # by SKU


def decide(state: Allocation, ask: Request) -> Decision:
    """Return the answer with the units that it moves. Raise `Refused` for what is no order."""
    if isinstance(ask, Reserve):
        ask = replace(ask, lack=_lack(state, ask))
    answer = reservation.decide(state.reservation, ask)
    moves = {
        move.sku: stock_item.decide(state.items[move.sku], move) for event in answer for move in _moves(state, event)
    }
    return Decision(answer, moves)


def _lack(state: Allocation, ask: Reserve) -> Lack:
    unknown = tuple(sku for sku in sorted(ask.quantities) if state.items[sku].name is None)
    short = tuple(sku for sku in sorted(ask.quantities) if state.items[sku].free < ask.quantities[sku])
    return Lack(unknown, short)


def _moves(state: Allocation, event: ReservationEvent) -> Sequence[MoveUnits]:
    standing = state.reservation.standing
    match event:
        case StockReserved():
            return [_hold(line, event) for line in event.lines]
        case StockReleased() if standing == "held":
            return _all(FreeUnits, state.reservation, event.order_id, event.released_at)
        case StockCommitted():
            return _all(SellUnits, state.reservation, event.order_id, event.committed_at)
        case StockReturned() if standing == "sold":
            return _all(TakeUnitsBack, state.reservation, event.order_id, event.returned_at)
    return ()


def _hold(line: StockLine, event: StockReserved) -> HoldUnits:
    return HoldUnits(
        sku=line.sku,
        order_id=event.order_id,
        quantity=line.quantity,
        expires_at=event.expires_at,
        at=event.reserved_at,
    )


def _all(move: type[MoveUnits], of: Reservation, order_id: UUID, at: datetime) -> Sequence[MoveUnits]:
    return [move(sku=line.sku, order_id=order_id, quantity=line.quantity, at=at) for line in of.lines]
