"""Payment: the money of one order. Pure: no clock, no I/O, no randomness.

What the provider is to do is recorded before it is asked, and what it has done when that is known. In between a step is
`asked`: it may have happened or not, and `due` says what finds it out. An undo that comes before its do is remembered: the do
is refused.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from bounded_contexts.payments.domain.commands import (
    Ask,
    Command,
    Declined,
    Done,
    Outcome,
    Settle,
    Step,
    payment_id_of,
    step_id,
)
from schemas.payments.events import (
    AuthorizePayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureDeclined,
    PaymentCaptureRequested,
    PaymentDeclined,
    PaymentRefundDeclined,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentRequested,
    PaymentVoided,
    PaymentVoidRequested,
    RefundPayment,
    VoidPayment,
)

CURRENCY = re.compile(r"[A-Z]{3}")
AMOUNT_LIMIT = 10**18  # minor units; 64 bits hold it

PaymentEvent = (
    PaymentRequested
    | PaymentAuthorized
    | PaymentDeclined
    | PaymentCaptureRequested
    | PaymentCaptured
    | PaymentCaptureDeclined
    | PaymentVoidRequested
    | PaymentVoided
    | PaymentRefundRequested
    | PaymentRefundDeclined
    | PaymentRefunded
)
Stage = Literal["none", "asked", "done", "declined"]


@dataclass(frozen=True, slots=True)
class Payment:
    """How far each step is, as far as that is known. A void that is done with nothing authorised refuses what comes later; so
    does a refund that is done with nothing captured."""

    order_id: UUID | None = None  # None: there was nothing about it yet
    buyer_id: UUID | None = None
    amount_minor: int = 0
    currency: str | None = None
    authorize: Stage = "none"
    capture: Stage = "none"
    void: Stage = "none"
    refund: Stage = "none"  # declined: the money is owed, and may be asked for again
    refunds_declined: int = 0


class Requested(NamedTuple):
    """What is paid, by whom, for what."""

    order_id: UUID
    buyer_id: UUID
    amount_minor: int
    currency: str


INITIAL = Payment()


def due(state: Payment) -> Step | None:
    """Return what the provider has to be asked next; None where everything that was asked is known."""
    if state.authorize == "asked":
        return "authorize"  # also before a void: only who knows what is held can give it up
    if state.refund == "asked":
        # Whether a capture took place comes out by voiding what was held: either there is nothing left to take, or it was taken.
        return "refund" if state.capture == "done" else "void"
    if state.void == "asked":
        return "void"
    return "capture" if state.capture == "asked" else None


def decide(state: Payment, ask: Ask | Settle) -> tuple[PaymentEvent, ...]:
    """Return what happens, nothing if it already has. Nothing is refused: who asks hears it by an event."""
    if isinstance(ask, Settle):
        return _settled(state, ask) if _is_open(state, ask.step) else ()
    match ask.command:
        case AuthorizePayment():
            return _authorize(state, ask.command, ask.at)
        case CapturePayment():
            return _capture(state, ask.command, ask.at)
        case VoidPayment():
            return _void(state, ask.command, ask.at)
        case RefundPayment():
            return _refund(state, ask.command, ask.at)


def evolve(state: Payment, event: PaymentEvent) -> Payment:
    state = replace(state, order_id=event.order_id)
    match event:
        case PaymentRequested():
            return replace(
                state,
                buyer_id=event.buyer_id,
                amount_minor=event.amount_minor,
                currency=event.currency,
                authorize="asked",
            )
        case PaymentAuthorized() | PaymentDeclined():
            return replace(state, authorize="done" if isinstance(event, PaymentAuthorized) else "declined")
        case PaymentCaptureRequested():
            return replace(state, capture="asked")
        case PaymentCaptured() | PaymentCaptureDeclined():
            return replace(state, capture="done" if isinstance(event, PaymentCaptured) else "declined")
        case PaymentVoidRequested():
            return replace(state, void="asked")
        case PaymentVoided():
            return replace(state, void="done")
        case PaymentRefundRequested():
            return replace(state, refund="asked")
        case PaymentRefundDeclined():
            return replace(state, refund="declined", refunds_declined=state.refunds_declined + 1)
        case PaymentRefunded():
            return replace(state, refund="done")


def _authorize(state: Payment, ask: AuthorizePayment, at: datetime) -> tuple[PaymentEvent, ...]:
    if state.authorize != "none":
        return ()
    if state.void != "none":
        return (_declined(ask, "voided_before", at),)
    if not (0 < ask.amount_minor <= AMOUNT_LIMIT and CURRENCY.fullmatch(ask.currency)):
        return (_declined(ask, "invalid_amount", at),)
    return (
        PaymentRequested(
            payment_id=payment_id_of(ask.order_id),
            order_id=ask.order_id,
            buyer_id=ask.buyer_id,
            amount_minor=ask.amount_minor,
            currency=ask.currency,
            requested_at=at,
        ),
    )


def _capture(state: Payment, ask: CapturePayment, at: datetime) -> tuple[PaymentEvent, ...]:
    if state.capture != "none":
        return ()
    if state.refund != "none":
        return (_capture_declined(ask.order_id, "refunded_before", at),)
    if state.void != "none":
        return (_capture_declined(ask.order_id, "voided_before", at),)
    if state.authorize != "done":
        return (_capture_declined(ask.order_id, "not_authorized", at),)
    id_ = payment_id_of(ask.order_id)
    return (PaymentCaptureRequested(payment_id=id_, order_id=ask.order_id, requested_at=at),)


def _void(state: Payment, ask: VoidPayment, at: datetime) -> tuple[PaymentEvent, ...]:
    if state.void != "none":
        return ()
    if state.authorize in ("none", "declined") or state.capture == "done":
        return (_voided(ask.order_id, at),)
    id_ = payment_id_of(ask.order_id)
    return (PaymentVoidRequested(payment_id=id_, order_id=ask.order_id, requested_at=at),)


def _refund(state: Payment, ask: RefundPayment, at: datetime) -> tuple[PaymentEvent, ...]:
    if state.refund in ("asked", "done"):
        return ()
    if state.capture in ("none", "declined"):
        return (_refunded(ask.order_id, 0, state.currency, at),)
    id_ = payment_id_of(ask.order_id)
    return (PaymentRefundRequested(payment_id=id_, order_id=ask.order_id, requested_at=at),)


def _is_open(state: Payment, step: Step) -> bool:
    """Return whether the step was asked and its outcome not known, whoever asked and whether it is due or not any more."""
    match step:
        case "authorize":
            return state.authorize == "asked"
        case "capture":
            return state.capture == "asked"
        case "void":
            return state.void == "asked" or (state.refund == "asked" and state.capture == "asked")
        case "refund":
            return state.refund in ("asked", "declined") and state.capture == "done"


def _settled(state: Payment, settle: Settle) -> tuple[PaymentEvent, ...]:
    at = settle.at
    match settle.step:
        case "authorize":
            return _authorize_settled(state, settle.outcome, at)
        case "capture":
            is_taken = isinstance(settle.outcome, Done)
            return _taken(state, at) if is_taken else _not_taken(state, _reason(settle.outcome), at)
        case "void":
            # A void is declined for one reason only: the money has been taken.
            return _taken(state, at) if isinstance(settle.outcome, Declined) else _nothing_held(state, at)
        case "refund":
            return _refund_settled(state, settle.outcome, at)


def _authorize_settled(state: Payment, outcome: Outcome, at: datetime) -> tuple[PaymentEvent, ...]:
    known = _requested(state)
    id_ = payment_id_of(known.order_id)
    if isinstance(outcome, Declined):
        declined = PaymentDeclined(payment_id=id_, order_id=known.order_id, reason=outcome.reason, declined_at=at)
        return (declined, _voided(known.order_id, at)) if state.void == "asked" else (declined,)
    return (
        PaymentAuthorized(
            payment_id=id_,
            order_id=known.order_id,
            buyer_id=known.buyer_id,
            amount_minor=known.amount_minor,
            currency=known.currency,
            provider_reference=outcome.reference,
            authorized_at=at,
        ),
    )


def _refund_settled(state: Payment, outcome: Outcome, at: datetime) -> tuple[PaymentEvent, ...]:
    order_id = _requested(state).order_id
    if isinstance(outcome, Done):
        return (_refunded(order_id, state.amount_minor, state.currency, at),)
    if state.refund == "declined":
        return ()
    id_ = payment_id_of(order_id)
    return (PaymentRefundDeclined(payment_id=id_, order_id=order_id, reason=outcome.reason, declined_at=at),)


def _taken(state: Payment, at: datetime) -> tuple[PaymentEvent, ...]:
    """Return what follows when the money turns out to be taken; a refund that was asked is due now."""
    known = _requested(state)
    captured = PaymentCaptured(
        payment_id=payment_id_of(known.order_id),
        order_id=known.order_id,
        amount_minor=known.amount_minor,
        currency=known.currency,
        captured_at=at,
    )
    return (captured, _voided(known.order_id, at)) if state.void == "asked" else (captured,)


def _not_taken(state: Payment, reason: str, at: datetime) -> tuple[PaymentEvent, ...]:
    known = _requested(state)
    declined = _capture_declined(known.order_id, reason, at)
    returned = _refunded(known.order_id, 0, known.currency, at)
    return (declined, returned) if state.refund == "asked" else (declined,)


def _nothing_held(state: Payment, at: datetime) -> tuple[PaymentEvent, ...]:
    untaken = _not_taken(state, "voided_before", at) if state.capture == "asked" else ()
    return (*untaken, _voided(_requested(state).order_id, at)) if state.void == "asked" else untaken


def _requested(state: Payment) -> Requested:
    """Return what the provider was asked for first; no other step is asked before that."""
    if state.order_id is None or state.buyer_id is None or state.currency is None:
        raise AssertionError("nothing is settled that nobody asked for")
    return Requested(state.order_id, state.buyer_id, state.amount_minor, state.currency)


def _reason(outcome: Outcome) -> str:
    return outcome.reason if isinstance(outcome, Declined) else ""


def _declined(ask: Command, reason: str, at: datetime) -> PaymentDeclined:
    id_ = payment_id_of(ask.order_id)
    return PaymentDeclined(payment_id=id_, order_id=ask.order_id, reason=reason, declined_at=at)


def _capture_declined(order_id: UUID, reason: str, at: datetime) -> PaymentCaptureDeclined:
    id_ = payment_id_of(order_id)
    return PaymentCaptureDeclined(payment_id=id_, order_id=order_id, reason=reason, declined_at=at)


def _voided(order_id: UUID, at: datetime) -> PaymentVoided:
    return PaymentVoided(payment_id=payment_id_of(order_id), order_id=order_id, voided_at=at)


def _refunded(order_id: UUID, amount_minor: int, currency: str | None, at: datetime) -> PaymentRefunded:
    id_ = payment_id_of(order_id)
    return PaymentRefunded(
        payment_id=id_,
        order_id=order_id,
        refund_id=step_id(id_, "refund"),
        amount_minor=amount_minor,
        currency=currency,
        refunded_at=at,
    )
