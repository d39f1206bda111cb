"""The checker of orders is worth what it finds: a clean history, and that history corrupted in every way we could think of."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.crash.evidence import as_text
from tests.crash.history import Operation
from tests.crash.orders_checker import OrdersEvidence, check_orders
from tests.crash.orders_story import KINDS, Story


@pytest.fixture(scope="module")
def clean() -> OrdersEvidence:
    """Orders of every end, and requests that were refused or whose outcome nobody knows."""
    story = Story()
    story.received("apple", 50)
    story.received("pear", 40)
    for price, outcome in enumerate(sorted(KINDS), start=100):
        story.order(price, outcome)
    story.order(110, "confirmed")
    story.asked("place", "111", outcome="fail")
    story.asked("place", "112", outcome="unknown")
    story.asked("cancel", "cancel 110", "110", outcome="fail")
    return story.ended()


def order_that_is(found: OrdersEvidence, status: str) -> str:
    """Return the id of an order."""
    return str(next(row["order_id"] for row in found.orders if row["status"] == status))


def place(found: OrdersEvidence, type_: str) -> int:
    """Return the number of an event of this type."""
    return next(n for n, event in enumerate(found.events) if event.type == type_)


def without(found: OrdersEvidence, type_: str) -> None:
    """Take an event out of its topic and its store, as if it had never been."""
    event = found.events.pop(place(found, type_))
    if row := next((row for row in found.stored if row["id"] == event.id), None):
        found.stored.remove(row)
        for later in found.stored:
            if later["stream"] == row["stream"] and later["version"] > row["version"]:
                later["version"] -= 1


def again(found: OrdersEvidence, type_: str, **other: Any) -> None:
    """Have an event happen a second time, in topic and store."""
    event = found.events[place(found, type_)]
    offset = found.ends[event.topic, 0] + 100
    found.events.append(replace(event, id=f"again-{event.id}", offset=offset, data=event.data | other))
    if row := next((row for row in found.stored if row["id"] == event.id), None):
        version = max(each["version"] for each in found.stored if each["stream"] == row["stream"]) + 1
        found.stored.append(row | {"version": version, "id": f"again-{event.id}"})


def acknowledged_order_lost(found: OrdersEvidence) -> None:
    found.operations.append(replace(found.operations[2], name="999"))


def acknowledged_cancellation_lost(found: OrdersEvidence) -> None:
    found.operations.append(
        Operation(kind="cancel", name="cancel 999", actor="ann", begun=900.0, ended=901.0, outcome="ok")
    )


def refused_and_there(found: OrdersEvidence) -> None:
    at = next(n for n, each in enumerate(found.operations) if each.kind == "place")
    found.operations[at] = replace(found.operations[at], outcome="fail")


def nobody_placed_it(found: OrdersEvidence) -> None:
    found.operations.remove(next(each for each in found.operations if each.kind == "place"))


def placed_twice(found: OrdersEvidence) -> None:
    again(found, "OrderPlaced")


def received_twice(found: OrdersEvidence) -> None:
    again(found, "StockReceived")


def confirmed_and_rejected(found: OrdersEvidence) -> None:
    order = order_that_is(found, "confirmed")
    again(found, "OrderRejected")
    found.events[-1] = replace(found.events[-1], key=order)


def not_settled(found: OrdersEvidence) -> None:
    without(found, "OrderRejected")


def shipped_before_it_was_confirmed(found: OrdersEvidence) -> None:
    shipped = found.events.pop(place(found, "OrderShipped"))
    at = next(n for n, each in enumerate(found.events) if (each.key, each.type) == (shipped.key, "OrderConfirmed"))
    found.events.insert(at, shipped)


def cancelled_in_time_and_kept(found: OrdersEvidence) -> None:
    order = order_that_is(found, "confirmed")
    at = next(n for n, each in enumerate(found.events) if (each.key, each.type) == (order, "OrderPlaced"))
    request = found.events[place(found, "OrderCancellationRequested")]
    found.events.insert(at + 1, replace(request, key=order, id="too late", offset=request.offset + 100))


def command_not_handled(found: OrdersEvidence) -> None:
    without(found, "StockReleased")


def command_answered_twice(found: OrdersEvidence) -> None:
    again(found, "StockReserved")


def answered_and_not_asked(found: OrdersEvidence) -> None:
    without(found, "CommitStock")


def stock_below_zero(found: OrdersEvidence) -> None:
    at = place(found, "StockReceived")
    found.events[at] = replace(found.events[at], data=found.events[at].data | {"quantity": 1})


def reservation_left_behind(found: OrdersEvidence) -> None:
    without(found, "UnitsReleased")


def sold_to_a_rejected_order(found: OrdersEvidence) -> None:
    at = place(found, "UnitsReleased")
    found.events[at] = replace(found.events[at], type="UnitsCommitted")


def confirmed_and_not_sold(found: OrdersEvidence) -> None:
    without(found, "UnitsCommitted")


def reserved_twice(found: OrdersEvidence) -> None:
    again(found, "UnitsReserved")


def more_than_was_ordered(found: OrdersEvidence) -> None:
    at = place(found, "UnitsReserved")
    found.events[at] = replace(found.events[at], data=found.events[at].data | {"quantity": 5})


def stock_listed_wrong(found: OrdersEvidence) -> None:
    found.stock[0]["free"] += 1


def stock_not_conserved(found: OrdersEvidence) -> None:
    found.stock[0]["sold"] += 1


def charged_twice(found: OrdersEvidence) -> None:
    found.ledger.append(dict(next(row for row in found.ledger if row["step"] == "capture")))


def authorised_twice(found: OrdersEvidence) -> None:
    found.ledger.append(dict(next(row for row in found.ledger if row["step"] == "authorize")))


def confirmed_and_not_paid(found: OrdersEvidence) -> None:
    order = order_that_is(found, "confirmed")
    found.ledger.remove(next(r for r in found.ledger if (r["order_id"], r["step"]) == (order, "capture")))


def cancelled_and_not_refunded(found: OrdersEvidence) -> None:
    found.ledger.remove(next(row for row in found.ledger if row["step"] == "refund"))


def money_still_held(found: OrdersEvidence) -> None:
    found.ledger.remove(next(row for row in found.ledger if row["step"] == "void"))


def charged_for_nobody(found: OrdersEvidence) -> None:
    found.ledger.append({"order_id": "nobody", "step": "authorize", "amount_minor": 5, "currency": "EUR"})


def other_currency(found: OrdersEvidence) -> None:
    found.ledger[0]["currency"] = "USD"


def capture_that_nobody_heard_of(found: OrdersEvidence) -> None:
    at = place(found, "PaymentCaptured")
    found.events[at] = replace(found.events[at], data=found.events[at].data | {"amount_minor": 1})


def payment_listed_wrong(found: OrdersEvidence) -> None:
    found.payments[0]["refunded_minor"] += 1


def saga_twice(found: OrdersEvidence) -> None:
    found.sagas.append(dict(found.sagas[0]))


def saga_missing(found: OrdersEvidence) -> None:
    found.sagas.remove(next(row for row in found.sagas if row["definition"] == "order_refund"))


def saga_open(found: OrdersEvidence) -> None:
    found.sagas[0]["phase"] = "undoing"


def saga_undone_and_order_confirmed(found: OrdersEvidence) -> None:
    order = order_that_is(found, "confirmed")
    next(row for row in found.sagas if row["key"] == order)["phase"] = "undone"


def saga_parked(found: OrdersEvidence) -> None:
    found.sagas[0]["parked"] = "an undo was not answered"


def not_sent_by_the_relay(found: OrdersEvidence) -> None:
    event = found.events[place(found, "StockReserved")]
    found.events.remove(event)


def on_the_topic_only(found: OrdersEvidence) -> None:
    found.stored.remove(next(row for row in found.stored if row["stream"].startswith("payments/")))


def out_of_order_on_the_topic(found: OrdersEvidence) -> None:
    one = next(n for n, each in enumerate(found.events) if each.topic == "stock")
    other = next(n for n, each in enumerate(found.events) if n > one and each.key == found.events[one].key)
    first, second = found.events[one], found.events[other]
    found.events[one] = replace(first, offset=second.offset)
    found.events[other] = replace(second, offset=first.offset)


def stream_in_two_places(found: OrdersEvidence) -> None:
    at = place(found, "OrderConfirmed")
    found.events[at] = replace(found.events[at], partition=1)


def version_left_out(found: OrdersEvidence) -> None:
    found.stored[-1]["version"] += 1


def order_listed_wrong(found: OrdersEvidence) -> None:
    found.orders[0]["status"] = "placed"


def order_not_listed(found: OrdersEvidence) -> None:
    del found.orders[0]


def order_shown_wrong(found: OrdersEvidence) -> None:
    next(iter(found.shown.values()))["version"] += 1


def left_in_an_outbox(found: OrdersEvidence) -> None:
    found.waiting = 1


def dead_letter(found: OrdersEvidence) -> None:
    found.dead.append({"group": "sagas", "topic": "orders", "partition": 0, "place": 1, "error": "?"})


def position_too_far(found: OrdersEvidence) -> None:
    found.positions[0]["next"] += 1


def position_behind(found: OrdersEvidence) -> None:
    found.positions[0]["next"] -= 1


def group_that_stands_nowhere(found: OrdersEvidence) -> None:
    del found.positions[0]


CORRUPTIONS: list[tuple[Callable[[OrdersEvidence], None], str]] = [
    (acknowledged_order_lost, "lost"),
    (acknowledged_cancellation_lost, "lost"),
    (refused_and_there, "phantom"),
    (nobody_placed_it, "phantom"),
    (placed_twice, "doubled"),
    (received_twice, "doubled"),
    (confirmed_and_rejected, "both"),
    (not_settled, "unfinished"),
    (shipped_before_it_was_confirmed, "wrong"),
    (cancelled_in_time_and_kept, "wrong"),
    (command_not_handled, "unfinished"),
    (command_answered_twice, "doubled"),
    (answered_and_not_asked, "phantom"),
    (stock_below_zero, "stock"),
    (reservation_left_behind, "stock"),
    (sold_to_a_rejected_order, "stock"),
    (confirmed_and_not_sold, "stock"),
    (reserved_twice, "doubled"),
    (more_than_was_ordered, "stock"),
    (stock_listed_wrong, "wrong"),
    (stock_not_conserved, "stock"),
    (charged_twice, "doubled"),
    (authorised_twice, "doubled"),
    (confirmed_and_not_paid, "money"),
    (cancelled_and_not_refunded, "money"),
    (money_still_held, "money"),
    (charged_for_nobody, "phantom"),
    (other_currency, "phantom"),
    (capture_that_nobody_heard_of, "money"),
    (payment_listed_wrong, "wrong"),
    (saga_twice, "doubled"),
    (saga_missing, "lost"),
    (saga_open, "unfinished"),
    (saga_undone_and_order_confirmed, "both"),
    (saga_parked, "unfinished"),
    (not_sent_by_the_relay, "lost"),
    (on_the_topic_only, "phantom"),
    (out_of_order_on_the_topic, "reordered"),
    (stream_in_two_places, "reordered"),
    (version_left_out, "reordered"),
    (order_listed_wrong, "wrong"),
    (order_not_listed, "lost"),
    (order_shown_wrong, "wrong"),
    (left_in_an_outbox, "unfinished"),
    (dead_letter, "dead"),
    (position_too_far, "position"),
    (position_behind, "unfinished"),
    (group_that_stands_nowhere, "unfinished"),
]


def test_orders_that_came_to_every_end_break_no_promise(clean: OrdersEvidence) -> None:
    assert check_orders(clean) == []
    assert len(clean.orders) == len(KINDS) + 1


def test_a_record_that_comes_again_under_its_id_breaks_no_promise(clean: OrdersEvidence) -> None:
    found = deepcopy(clean)
    found.events += [replace(event, offset=event.offset + 100) for event in found.events if event.topic == "orders"]

    assert check_orders(found) == []


def test_a_reservation_that_expired_was_asked_by_nobody(clean: OrdersEvidence) -> None:
    found = deepcopy(clean)
    again(found, "StockReleased", reason="expired")

    assert check_orders(found) == []


@pytest.mark.parametrize(("corrupt", "kind"), CORRUPTIONS, ids=lambda value: getattr(value, "__name__", value))
def test_what_was_corrupted_is_found(
    clean: OrdersEvidence, corrupt: Callable[[OrdersEvidence], None], kind: str
) -> None:
    found = deepcopy(clean)

    corrupt(found)

    assert kind in {violation.kind for violation in check_orders(found)}


def test_the_lines_of_an_order_stay_what_they_are_in_the_evidence() -> None:
    line = {"sku": "apple", "quantity": 2, "unit_price_minor": 100}

    assert as_text({"lines": [line]}) == {"lines": [line]}
