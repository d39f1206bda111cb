"""Payments: given what happened, when a saga asks or the provider has answered, then this happens."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from uuid import UUID

import pytest

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
from bounded_contexts.payments.domain.payment import AMOUNT_LIMIT, INITIAL, PaymentEvent, decide, due, evolve
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

ORDER, BUYER = UUID(int=1), UUID(int=2)
PAYMENT = payment_id_of(ORDER)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
IDS = {"payment_id": PAYMENT, "order_id": ORDER}
MONEY = {"amount_minor": 1250, "currency": "EUR"}
DONE = Done("pay_1")

AUTHORIZE = AuthorizePayment(order_id=ORDER, buyer_id=BUYER, amount_minor=1250, currency="EUR", asked_at=NOW)
CAPTURE = CapturePayment(order_id=ORDER, asked_at=NOW)
VOID = VoidPayment(order_id=ORDER, asked_at=NOW)
REFUND = RefundPayment(order_id=ORDER, asked_at=NOW)

REQUESTED = PaymentRequested(**IDS, buyer_id=BUYER, amount_minor=1250, currency="EUR", requested_at=NOW)
AUTHORIZED = PaymentAuthorized(
    **IDS, buyer_id=BUYER, amount_minor=1250, currency="EUR", provider_reference="pay_1", authorized_at=NOW
)
CAPTURE_REQUESTED = PaymentCaptureRequested(**IDS, requested_at=NOW)
CAPTURED = PaymentCaptured(**IDS, amount_minor=1250, currency="EUR", captured_at=NOW)
VOID_REQUESTED = PaymentVoidRequested(**IDS, requested_at=NOW)
VOIDED = PaymentVoided(**IDS, voided_at=NOW)
REFUND_REQUESTED = PaymentRefundRequested(**IDS, requested_at=NOW)
HELD: list[PaymentEvent] = [REQUESTED, AUTHORIZED]
TAKEN: list[PaymentEvent] = [*HELD, CAPTURE_REQUESTED, CAPTURED]


def declined(reason: str) -> PaymentDeclined:
    return PaymentDeclined(**IDS, reason=reason, declined_at=NOW)


def untaken(reason: str) -> PaymentCaptureDeclined:
    return PaymentCaptureDeclined(**IDS, reason=reason, declined_at=NOW)


def unrefunded(reason: str) -> PaymentRefundDeclined:
    return PaymentRefundDeclined(**IDS, reason=reason, declined_at=NOW)


def refunded(amount: int, currency: str | None = "EUR") -> PaymentRefunded:
    return PaymentRefunded(
        **IDS, refund_id=step_id(PAYMENT, "refund"), amount_minor=amount, currency=currency, refunded_at=NOW
    )


def asked(given: list[PaymentEvent], command: Command) -> list[PaymentEvent]:
    return list(decide(reduce(evolve, given, INITIAL), Ask(command=command, at=NOW)))


def settled(given: list[PaymentEvent], step: Step, outcome: Outcome) -> list[PaymentEvent]:
    return list(decide(reduce(evolve, given, INITIAL), Settle(step=step, outcome=outcome, at=NOW)))


def due_after(*given: PaymentEvent) -> Step | None:
    return due(reduce(evolve, given, INITIAL))


def test_what_the_provider_is_to_do_is_recorded_before_it_is_asked() -> None:
    assert asked([], AUTHORIZE) == [REQUESTED]
    assert asked(HELD, CAPTURE) == [CAPTURE_REQUESTED]
    assert asked(HELD, VOID) == [VOID_REQUESTED]
    assert asked(TAKEN, REFUND) == [REFUND_REQUESTED]
    assert due_after(REQUESTED) == "authorize"
    assert due_after(*HELD, CAPTURE_REQUESTED) == "capture"
    assert due_after(*HELD, VOID_REQUESTED) == "void"
    assert due_after(*TAKEN, REFUND_REQUESTED) == "refund"


def test_what_it_has_done_is_recorded_once() -> None:
    assert settled([REQUESTED], "authorize", DONE) == [AUTHORIZED]
    assert settled([*HELD, CAPTURE_REQUESTED], "capture", DONE) == [CAPTURED]
    assert settled([*HELD, VOID_REQUESTED], "void", DONE) == [VOIDED]
    assert settled([*TAKEN, REFUND_REQUESTED], "refund", DONE) == [refunded(1250)]
    known: tuple[tuple[list[PaymentEvent], Step], ...] = (
        (HELD, "authorize"),
        (TAKEN, "capture"),
        ([*HELD, VOID_REQUESTED, VOIDED], "void"),
    )
    for given, step in known:
        assert settled(given, step, DONE) == []
        assert due_after(*given) is None


def test_what_it_declines_is_answered_with_its_reason() -> None:
    assert settled([REQUESTED], "authorize", Declined("card_declined")) == [declined("card_declined")]
    assert settled([*HELD, CAPTURE_REQUESTED], "capture", Declined("expired")) == [untaken("expired")]


def test_a_refund_that_it_declines_is_owed_and_may_be_asked_for_again() -> None:
    owed = [*TAKEN, REFUND_REQUESTED, unrefunded("card_declined")]

    assert settled([*TAKEN, REFUND_REQUESTED], "refund", Declined("card_declined")) == [unrefunded("card_declined")]
    assert due_after(*owed) is None
    assert asked(owed, REFUND) == [REFUND_REQUESTED]
    assert settled(owed, "refund", DONE) == [refunded(1250)]
    assert settled(owed, "refund", Declined("expired")) == []
    assert settled([*owed, refunded(1250)], "refund", DONE) == []


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ([REQUESTED], AUTHORIZE),
        (HELD, AUTHORIZE),
        ([declined("card_declined")], AUTHORIZE),
        ([*HELD, CAPTURE_REQUESTED], CAPTURE),
        (TAKEN, CAPTURE),
        ([*HELD, VOID_REQUESTED], VOID),
        ([VOIDED], VOID),
        ([*TAKEN, REFUND_REQUESTED], REFUND),
        ([refunded(0, None)], REFUND),
    ],
)
def test_asking_again_is_asking_once(given: list[PaymentEvent], command: Command) -> None:
    assert asked(given, command) == []


@pytest.mark.parametrize("change", [{"amount_minor": 0}, {"amount_minor": AMOUNT_LIMIT + 1}, {"currency": "euro"}])
def test_no_provider_is_asked_for_what_is_no_amount(change: dict[str, object]) -> None:
    fields = {"order_id": ORDER, "buyer_id": BUYER, **MONEY, "asked_at": NOW} | change

    assert asked([], AuthorizePayment(**fields)) == [declined("invalid_amount")]  # type: ignore[arg-type]


def test_an_undo_is_answered_also_when_nothing_had_been_done() -> None:
    assert asked([], VOID) == [VOIDED]
    assert asked([declined("card_declined")], VOID) == [VOIDED]
    assert asked([], REFUND) == [refunded(0, None)]
    assert asked(HELD, REFUND) == [refunded(0)]
    assert asked([*HELD, CAPTURE_REQUESTED, untaken("expired")], REFUND) == [refunded(0)]


def test_a_do_that_comes_after_its_undo_is_refused() -> None:
    assert asked([VOIDED], AUTHORIZE) == [declined("voided_before")]
    assert asked([*HELD, refunded(0)], CAPTURE) == [untaken("refunded_before")]
    assert asked([*HELD, VOID_REQUESTED], CAPTURE) == [untaken("voided_before")]


def test_nothing_is_captured_that_is_not_authorized() -> None:
    assert asked([], CAPTURE) == [untaken("not_authorized")]
    assert asked([REQUESTED], CAPTURE) == [untaken("not_authorized")]
    assert asked([declined("card_declined")], CAPTURE) == [untaken("not_authorized")]


def test_a_void_of_what_may_be_authorized_finds_out_first() -> None:
    given: list[PaymentEvent] = [REQUESTED, VOID_REQUESTED]

    assert asked([REQUESTED], VOID) == [VOID_REQUESTED]
    assert due_after(*given) == "authorize"
    assert settled(given, "authorize", Declined("card_declined")) == [declined("card_declined"), VOIDED]
    assert settled(given, "authorize", DONE) == [AUTHORIZED]
    assert due_after(*given, AUTHORIZED) == "void"


def test_a_refund_of_what_may_be_captured_gives_up_what_is_held_or_returns_what_was_taken() -> None:
    given: list[PaymentEvent] = [*HELD, CAPTURE_REQUESTED, REFUND_REQUESTED]

    assert asked([*HELD, CAPTURE_REQUESTED], REFUND) == [REFUND_REQUESTED]
    assert due_after(*given) == "void"
    assert settled(given, "void", DONE) == [untaken("voided_before"), refunded(0)]
    assert settled(given, "void", Declined("already_captured")) == [CAPTURED]
    assert due_after(*given, CAPTURED) == "refund"


def test_a_capture_that_ends_while_its_undo_waits_is_recorded_for_what_it_is() -> None:
    given: list[PaymentEvent] = [*HELD, CAPTURE_REQUESTED, REFUND_REQUESTED, VOID_REQUESTED]

    assert settled(given, "capture", DONE) == [CAPTURED, VOIDED]
    assert settled(given, "capture", Declined("voided_before")) == [untaken("voided_before"), refunded(0)]
    assert settled(given, "void", DONE) == [untaken("voided_before"), refunded(0), VOIDED]


def test_what_was_taken_is_held_no_more() -> None:
    assert asked(TAKEN, VOID) == [VOIDED]
    assert due_after(*TAKEN, VOIDED) is None
