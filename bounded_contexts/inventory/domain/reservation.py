"""Reservation: what one order holds, all lines or nothing. It is held once, and then sold, released or expired.

Sagas undo what may not have been done. So an undo is answered and remembered in every state, and what it undoes is refused
when it comes later. Whatever comes again has been answered: nothing happens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from bounded_contexts.inventory.domain.commands import Commit, Expire, Release, Request, Reserve, Return
from schemas.inventory.events import (
    StockCommitRefused,
    StockCommitted,
    StockLine,
    StockRefused,
    StockReleased,
    StockReserved,
    StockReturned,
)
from shared_kernel.errors import Refused

ReservationEvent = StockReserved | StockRefused | StockReleased | StockCommitted | StockCommitRefused | StockReturned


@dataclass(frozen=True, slots=True)
class Reservation:
    """`standing` is where its units are; the rest is what was answered."""

    standing: Literal["none", "refused", "held", "sold", "free"] = "none"
    lines: Sequence[StockLine] = ()
    expires_at: datetime | None = None
    expired: bool = False
    released: bool = False  # because that was asked
    returned: bool = False
    committed: bool = False
    commit_refused: bool = False


INITIAL = Reservation()


def decide(state: Reservation, ask: Request) -> tuple[ReservationEvent, ...]:
    """Return the answer, none if it has been given. Raise `Refused` for what is no order."""
    match ask:
        case Reserve():
            return (_reserved(ask, state),) if state.standing == "none" else ()
        case Release():
            return () if state.released else (_released(ask, "asked"),)
        case Expire():
            return (_released(ask, "expired"),) if _is_due(state, ask.at) else ()
        case Commit():
            return _committed(state, ask)
        case Return():
            return () if state.returned else (StockReturned(order_id=ask.order_id, returned_at=ask.at),)


def evolve(state: Reservation, event: ReservationEvent) -> Reservation:
    match event:
        case StockReserved():
            return Reservation("held", event.lines, event.expires_at, returned=state.returned)
        case StockRefused():
            return replace(state, standing="refused")
        case StockReleased():
            standing = "free" if state.standing == "held" else state.standing
            if event.reason == "expired":
                return replace(state, standing=standing, expired=True)
            return replace(state, standing=standing, released=True)
        case StockCommitted():
            return replace(state, standing="sold", committed=True)
        case StockCommitRefused():
            return replace(state, commit_refused=True)
        case StockReturned():
            return replace(state, standing="free" if state.standing == "sold" else state.standing, returned=True)


def _is_due(state: Reservation, at: datetime) -> bool:
    return state.standing == "held" and state.expires_at is not None and state.expires_at <= at


def _reserved(ask: Reserve, state: Reservation) -> StockReserved | StockRefused:
    lines = checked_lines(ask.quantities)
    if state.released:
        return StockRefused(order_id=ask.order_id, reason="released_before", missing=(), refused_at=ask.at)
    if missing := ask.lack.unknown or ask.lack.short:
        reason = "unknown_sku" if ask.lack.unknown else "out_of_stock"
        return StockRefused(order_id=ask.order_id, reason=reason, missing=missing, refused_at=ask.at)
    return StockReserved(order_id=ask.order_id, lines=lines, expires_at=ask.expires_at, reserved_at=ask.at)


def checked_lines(quantities: Mapping[str, int]) -> tuple[StockLine, ...]:
    """Return the lines in the order of their SKUs. Raise `Refused` for none, and for quantities below 1."""
    if not quantities or min(quantities.values()) < 1:
        raise Refused("invalid_quantity", "an order has lines, each of 1 unit or more")
    return tuple(StockLine(sku=sku, quantity=quantities[sku]) for sku in sorted(quantities))


def _released(ask: Release | Expire, reason: Literal["asked", "expired"]) -> StockReleased:
    return StockReleased(order_id=ask.order_id, reason=reason, released_at=ask.at)


def _committed(state: Reservation, ask: Commit) -> tuple[ReservationEvent, ...]:
    if state.committed or state.commit_refused:
        return ()
    if state.standing == "held" and not state.returned:
        return (StockCommitted(order_id=ask.order_id, committed_at=ask.at),)
    reason = "expired" if state.expired else "not_reserved"
    return (StockCommitRefused(order_id=ask.order_id, reason=reason, refused_at=ask.at),)
