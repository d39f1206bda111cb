"""Order: given what happened, when something is asked, then this follows or it is refused."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.ordering.domain import order
from bounded_contexts.ordering.domain.commands import (
    Asker,
    CancelOrder,
    Confirm,
    PlaceOrder,
    Reject,
    ShipOrder,
    TakeBackOrder,
)
from bounded_contexts.ordering.domain.currency import CURRENCIES
from bounded_contexts.ordering.domain.identity import order_id
from bounded_contexts.ordering.domain.order import (
    INITIAL,
    LINE_LIMIT,
    PRICE_LIMIT,
    QUANTITY_LIMIT,
    REASON_LIMIT,
    Order,
    OrderEvent,
    Request,
    decide,
    evolve,
    visible,
)
from schemas.ordering.events import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    OrderShipped,
)
from shared_kernel.decider import Decider
from shared_kernel.errors import Forbidden, HeadwaterError, NotFound, Refused

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORDER, PAYMENT, ANN, EVE, SAM = (UUID(int=n) for n in range(1, 6))
BUYER, STRANGER, STAFF = Asker(ANN, frozenset()), Asker(EVE, frozenset()), Asker(SAM, frozenset({"staff"}))
TEA, POT = (
    OrderLine(sku="tea-100", quantity=3, unit_price_minor=450),
    OrderLine(sku="pot", quantity=1, unit_price_minor=0),
)

PLACED = OrderPlaced(order_id=ORDER, buyer_id=ANN, lines=(TEA, POT), total_minor=1350, currency="EUR", placed_at=NOW)
REQUESTED = OrderCancellationRequested(order_id=ORDER, buyer_id=ANN, requested_by=ANN, reason="no", requested_at=NOW)
CONFIRMED = OrderConfirmed(
    order_id=ORDER, buyer_id=ANN, total_minor=1350, currency="EUR", payment_id=PAYMENT, confirmed_at=NOW
)
REJECTED = OrderRejected(order_id=ORDER, buyer_id=ANN, reason="out_of_stock", rejected_at=NOW)
CALLED_OFF = replace(REJECTED, reason="cancelled")
SHIPPED = OrderShipped(order_id=ORDER, buyer_id=ANN, carrier="DHL", tracking_code="JD1", shipped_by=SAM, shipped_at=NOW)
CANCELLED = OrderCancelled(order_id=ORDER, buyer_id=ANN, cancelled_by=ANN, reason="no", cancelled_at=NOW)
RETURNED = OrderReturned(order_id=ORDER, buyer_id=ANN, returned_by=SAM, reason="broken", returned_at=NOW)

PLACE = PlaceOrder(order_id=ORDER, buyer_id=ANN, lines=(TEA, POT), currency="EUR", at=NOW)
CANCEL = CancelOrder(order_id=ORDER, asker=BUYER, reason="no", at=NOW)
SHIP = ShipOrder(order_id=ORDER, asker=STAFF, carrier="DHL", tracking_code="JD1", at=NOW)
TAKE_BACK = TakeBackOrder(order_id=ORDER, asker=STAFF, reason="broken", at=NOW)
CONFIRM = Confirm(order_id=ORDER, payment_id=PAYMENT, at=NOW)
REJECT = Reject(order_id=ORDER, reason="out_of_stock", at=NOW)

# By the status an order can be in: how it came there.
WAYS: dict[str, tuple[OrderEvent, ...]] = {
    "placed": (PLACED,),
    "cancelling": (PLACED, REQUESTED),
    "confirmed": (PLACED, CONFIRMED),
    "rejected": (PLACED, REJECTED),
    "shipped": (PLACED, CONFIRMED, SHIPPED),
    "cancelled": (PLACED, CONFIRMED, CANCELLED),
    "returned": (PLACED, CONFIRMED, SHIPPED, RETURNED),
}
REFUSED = "refused"
# What follows when this is asked in each status: events, nothing, or a refusal.
THEN: dict[str, tuple[Request, dict[str, Any]]] = {
    "place": (PLACE, dict.fromkeys(WAYS, ())),
    "cancel": (
        CANCEL,
        {
            "placed": (REQUESTED,),
            "cancelling": (),
            "confirmed": (CANCELLED,),
            "rejected": REFUSED,
            "shipped": REFUSED,
            "cancelled": (),
            "returned": REFUSED,
        },
    ),
    "confirm": (
        CONFIRM,
        {
            "placed": (CONFIRMED,),
            "cancelling": (CONFIRMED, CANCELLED),
            "confirmed": (),
            "rejected": REFUSED,
            "shipped": (),
            "cancelled": (),
            "returned": (),
        },
    ),
    "reject": (
        REJECT,
        {
            "placed": (REJECTED,),
            "cancelling": (REJECTED,),
            "confirmed": REFUSED,
            "rejected": (),
            "shipped": REFUSED,
            "cancelled": REFUSED,
            "returned": REFUSED,
        },
    ),
    "ship": (
        SHIP,
        {
            "placed": REFUSED,
            "cancelling": REFUSED,
            "confirmed": (SHIPPED,),
            "rejected": REFUSED,
            "shipped": (),
            "cancelled": REFUSED,
            "returned": REFUSED,
        },
    ),
    "take back": (
        TAKE_BACK,
        {
            "placed": REFUSED,
            "cancelling": REFUSED,
            "confirmed": REFUSED,
            "rejected": REFUSED,
            "shipped": (RETURNED,),
            "cancelled": REFUSED,
            "returned": (),
        },
    ),
}


def after(*events: OrderEvent) -> Order | None:
    return reduce(evolve, events, INITIAL)


def code_of(state: Order | None, ask: Request) -> str:
    with pytest.raises(HeadwaterError) as refused:
        decide(state, ask)
    return refused.value.code


def test_the_module_is_a_decider() -> None:
    decider: Decider[Order | None, Request, OrderEvent] = order

    assert decider.INITIAL is None


@pytest.mark.parametrize("status", WAYS)
def test_events_lead_to_the_status(status: str) -> None:
    state = after(*WAYS[status])

    assert state is not None
    assert (state.status, state.buyer_id, state.total_minor) == (status, ANN, 1350)


@pytest.mark.parametrize("status", WAYS)
@pytest.mark.parametrize("what", THEN)
def test_every_request_in_every_status(what: str, status: str) -> None:
    ask, outcomes = THEN[what]
    state, outcome = after(*WAYS[status]), outcomes[status]

    if outcome == REFUSED:
        assert code_of(state, ask) == "wrong_status"
    else:
        assert decide(state, ask) == outcome
        assert decide(reduce(evolve, outcome, state), ask) == ()  # asked again


@pytest.mark.parametrize("ask", [CANCEL, SHIP, TAKE_BACK, CONFIRM, REJECT], ids=lambda ask: type(ask).__name__)
def test_what_was_not_placed_is_not_found(ask: Request) -> None:
    assert code_of(INITIAL, ask) == "order_not_found"


def test_an_event_before_the_first_is_no_order() -> None:
    with pytest.raises(NotFound):
        evolve(INITIAL, CONFIRMED)


class TestPlacing:
    def test_the_total_is_the_sum_of_quantities_times_prices(self) -> None:
        assert decide(INITIAL, PLACE) == (PLACED,)

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"lines": ()}, "line_count"),
            ({"lines": tuple(replace(TEA, sku=str(n)) for n in range(LINE_LIMIT + 1))}, "line_count"),
            ({"lines": (TEA, replace(TEA, quantity=1))}, "repeated_sku"),
            ({"lines": (POT,)}, "free_order"),
            ({"currency": "eur"}, "unknown_currency"),
            ({"currency": "XXX"}, "unknown_currency"),
        ],
        ids=str,
    )
    def test_what_is_no_order_is_refused(self, changed: dict[str, Any], code: str) -> None:
        assert code_of(INITIAL, replace(PLACE, **changed)) == code

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"sku": ""}, "invalid_sku"),
            ({"sku": "x" * 65}, "invalid_sku"),
            ({"sku": "a b"}, "invalid_sku"),
            ({"sku": "a\0"}, "invalid_sku"),
            ({"sku": "a\n"}, "invalid_sku"),
            ({"quantity": 0}, "invalid_quantity"),
            ({"quantity": QUANTITY_LIMIT + 1}, "invalid_quantity"),
            ({"unit_price_minor": -1}, "invalid_price"),
            ({"unit_price_minor": PRICE_LIMIT + 1}, "invalid_price"),
        ],
        ids=str,
    )
    def test_what_is_no_line_is_refused(self, changed: dict[str, Any], code: str) -> None:
        assert code_of(INITIAL, replace(PLACE, lines=(POT, replace(TEA, **changed)))) == code

    def test_the_largest_order_fits_into_64_bits(self) -> None:
        dear = [OrderLine(sku=str(n), quantity=QUANTITY_LIMIT, unit_price_minor=PRICE_LIMIT) for n in range(LINE_LIMIT)]

        (placed,) = decide(INITIAL, replace(PLACE, lines=tuple(dear)))

        assert isinstance(placed, OrderPlaced)
        assert placed.total_minor == 10**18 < 2**63

    @pytest.mark.parametrize(
        "changed", [{"lines": (TEA,)}, {"currency": "USD"}, {"buyer_id": EVE}], ids=lambda changed: next(iter(changed))
    )
    def test_another_order_under_the_same_key_is_refused(self, changed: dict[str, Any]) -> None:
        assert code_of(after(PLACED), replace(PLACE, **changed)) == "idempotency_mismatch"

    def test_the_id_follows_from_buyer_and_key(self) -> None:
        assert order_id(ANN, "a") == order_id(ANN, "a")
        assert len({order_id(ANN, "a"), order_id(ANN, "b"), order_id(EVE, "a")}) == 3

    def test_currencies_are_of_three_capital_letters(self) -> None:
        assert {"EUR", "USD", "JPY", "KWD"} < CURRENCIES
        assert all(len(each) == 3 and each.isalpha() and each.isupper() for each in CURRENCIES)

    @given(
        st.lists(
            st.tuples(st.integers(1, QUANTITY_LIMIT), st.integers(0, PRICE_LIMIT)), min_size=1, max_size=LINE_LIMIT
        )
    )
    def test_every_order_within_the_limits_is_placed_or_free(self, lines: list[tuple[int, int]]) -> None:
        given_ = tuple(
            OrderLine(sku=f"sku-{n}", quantity=quantity, unit_price_minor=price)
            for n, (quantity, price) in enumerate(lines)
        )
        ask = replace(PLACE, lines=given_)

        if not any(price for _, price in lines):
            assert code_of(INITIAL, ask) == "free_order"
        else:
            (placed,) = decide(INITIAL, ask)
            assert evolve(INITIAL, placed).total_minor == sum(quantity * price for quantity, price in lines)


class TestWhoMay:
    def test_a_stranger_does_not_learn_that_there_is_an_order(self) -> None:
        assert code_of(after(PLACED), replace(CANCEL, asker=STRANGER)) == "order_not_found"
        with pytest.raises(NotFound):
            visible(after(PLACED), STRANGER)

    @pytest.mark.parametrize("asker", [BUYER, STAFF, Asker(EVE, frozenset({"admin"}))], ids=("buyer", "staff", "admin"))
    def test_buyer_and_staff_see_it(self, asker: Asker) -> None:
        assert visible(after(PLACED), asker) == after(PLACED)

    def test_staff_cancel_for_the_buyer(self) -> None:
        (requested,) = decide(after(PLACED), replace(CANCEL, asker=STAFF))

        assert requested == replace(REQUESTED, requested_by=SAM)

    @pytest.mark.parametrize("ask", [SHIP, TAKE_BACK], ids=("ship", "take back"))
    def test_only_staff_ship_and_take_back_and_others_learn_nothing(self, ask: ShipOrder | TakeBackOrder) -> None:
        for state in (INITIAL, after(*WAYS["confirmed"])):
            with pytest.raises(Forbidden):
                decide(state, replace(ask, asker=BUYER))


class TestCancelling:
    def test_who_asked_first_has_cancelled_it(self) -> None:
        state = after(PLACED, replace(REQUESTED, requested_by=SAM, reason="fraud"))

        _, cancelled = decide(state, CONFIRM)

        assert cancelled == replace(CANCELLED, cancelled_by=SAM, reason="fraud")

    def test_one_that_was_rejected_because_of_it_is_cancelled_already(self) -> None:
        assert decide(after(PLACED, REQUESTED, CALLED_OFF), CANCEL) == ()

    @pytest.mark.parametrize("reason", ["x" * (REASON_LIMIT + 1), "a\0b", "\ud800"], ids=("long", "NUL", "half"))
    def test_a_reason_that_cannot_be_kept_is_refused(self, reason: str) -> None:
        assert code_of(after(PLACED), replace(CANCEL, reason=reason)) == "reason_length"
        assert code_of(after(*WAYS["shipped"]), replace(TAKE_BACK, reason=reason)) == "reason_length"

    def test_no_reason_is_one(self) -> None:
        assert decide(after(PLACED), replace(CANCEL, reason="")) == (replace(REQUESTED, reason=""),)


class TestShipping:
    def test_an_empty_tracking_code_is_none(self) -> None:
        (shipped,) = decide(after(*WAYS["confirmed"]), replace(SHIP, carrier=None, tracking_code=""))

        assert shipped == replace(SHIPPED, carrier=None, tracking_code=None)

    def test_another_parcel_is_no_repeat(self) -> None:
        assert code_of(after(*WAYS["shipped"]), replace(SHIP, tracking_code="JD2")) == "wrong_status"

    def test_a_carrier_that_cannot_be_kept_is_refused(self) -> None:
        for carrier in ("x" * 101, "\0"):
            assert code_of(after(*WAYS["confirmed"]), replace(SHIP, carrier=carrier)) == "carrier_length"


ASKS: list[Request] = [PLACE, CANCEL, SHIP, TAKE_BACK, CONFIRM, REJECT]


@given(st.lists(st.sampled_from(ASKS), max_size=30))
def test_whatever_is_asked_an_order_is_confirmed_or_rejected_and_never_both(asks: list[Request]) -> None:
    state, happened = INITIAL, []
    for ask in asks:
        try:
            events = decide(state, ask)
        except Refused:
            continue
        happened += [type(event) for event in events]
        state = reduce(evolve, events, state)

    assert len(happened) == len(set(happened))  # nothing happens twice
    assert not {OrderConfirmed, OrderRejected} <= set(happened)
    assert not {OrderShipped, OrderCancelled} <= set(happened)
    assert OrderCancellationRequested not in happened or OrderShipped not in happened
