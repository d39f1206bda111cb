"""Every path of the two sagas: what happens, and what they ask for then."""

from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from sagas.order_fulfilment import ORDER_FULFILMENT
from sagas.order_refund import ORDER_REFUND
from schemas.ordering.events import ConfirmOrder, RejectOrder
from schemas.payments.events import AuthorizePayment
from shared_kernel.errors import Refused
from shared_kernel.events import Event
from shared_kernel.saga_turns import UNDO_TRIES
from tests.orders import EUR, TOTAL, Told
from tests.unit.saga_story import Story

TOLD = Told(UUID(int=7))
OTHER = Told(UUID(int=8))
T = TOLD
WAY = (T.reserved, T.authorized, T.committed, T.captured)  # before the last step is asked
# After so many of them: what has to be undone, and who answers to that.
BACK: dict[int, tuple[list[list[str]], list[Event]]] = {
    0: ([["ReleaseStock"], ["RejectOrder"]], [T.released]),
    1: ([["VoidPayment"], ["ReleaseStock"], ["RejectOrder"]], [T.voided, T.released]),
    2: (
        [["ReturnStock", "RefundPayment"], [], ["VoidPayment"], ["ReleaseStock"], ["RejectOrder"]],
        [T.stock_returned, T.refunded, T.voided, T.released],
    ),
}
BACK[3] = BACK[2]


def placed() -> Story:
    return Story(ORDER_FULFILMENT, T.placed)


def goes_back(story: Story, asked: list[list[str]], answers: list[Event], reason: str) -> None:
    """Follow the saga on its way back to the rejection."""
    assert [story.asks, *(story.on(answer).asks for answer in answers)] == asked
    (reject,) = story.asked
    assert isinstance(reject, RejectOrder)
    assert reject.reason == reason
    assert story.on(T.rejected).phase == "undone"
    assert story.asks == []


@pytest.mark.parametrize("taken", [(T.committed, T.captured), (T.captured, T.committed)], ids=["stock", "money"])
def test_an_order_is_confirmed_once_stock_and_money_are_taken_whichever_comes_first(taken: tuple[Event, Event]) -> None:
    story = placed()

    assert story.asks == ["ReserveStock"]
    assert story.on(T.reserved).asks == ["AuthorizePayment"]
    assert story.on(T.authorized).asks == ["CommitStock", "CapturePayment"]
    assert story.on(taken[0]).asks == []
    assert story.on(taken[1]).asks == ["ConfirmOrder"]
    assert story.on(T.confirmed).phase == "done"
    assert story.asks == []


def test_commands_say_whose_and_how_much() -> None:
    story = placed().on(T.reserved)

    (authorise,) = story.asked
    (confirm,) = story.on(T.authorized, T.committed, T.captured).asked

    assert isinstance(authorise, AuthorizePayment)
    assert (authorise.amount_minor, authorise.currency, authorise.buyer_id) == (TOTAL, EUR, T.placed.buyer_id)
    assert confirm == ConfirmOrder(order_id=T.order_id, payment_id=T.payment_id, asked_at=story.now)


def test_what_is_out_of_stock_is_rejected_with_nothing_to_undo() -> None:
    goes_back(placed().on(T.out_of_stock), [["RejectOrder"]], [], "out_of_stock")


def test_a_declined_payment_releases_the_stock() -> None:
    goes_back(
        placed().on(T.reserved, T.declined), [["ReleaseStock"], ["RejectOrder"]], [T.released], "payment_declined"
    )


@pytest.mark.parametrize("before", [(), (T.committed,)], ids=["unanswered", "committed"])
def test_a_declined_capture_returns_the_stock_whether_its_commit_was_answered_or_not(before: tuple[Event, ...]) -> None:
    story = placed().on(T.reserved, T.authorized, *before, T.capture_declined)

    asked = [["ReturnStock"], ["VoidPayment"], ["ReleaseStock"], ["RejectOrder"]]
    goes_back(story, asked, [T.stock_returned, T.voided, T.released], "payment_declined")


@pytest.mark.parametrize("before", [(), (T.captured,)], ids=["unanswered", "captured"])
def test_a_refused_commit_refunds_the_payment_whether_its_capture_was_answered_or_not(
    before: tuple[Event, ...],
) -> None:
    story = placed().on(T.reserved, T.authorized, *before, T.commit_refused)

    asked = [["RefundPayment"], ["VoidPayment"], ["ReleaseStock"], ["RejectOrder"]]
    goes_back(story, asked, [T.refunded, T.voided, T.released], "not_fulfilled")


@pytest.mark.parametrize("steps", range(len(WAY)))
def test_a_silent_step_is_undone_itself_included(steps: int) -> None:
    goes_back(placed().on(*WAY[:steps]).silence(), *BACK[steps], "not_fulfilled")


@pytest.mark.parametrize("steps", range(len(WAY)))
def test_a_late_answer_changes_nothing_and_what_it_did_is_undone(steps: int) -> None:
    story = placed().on(*WAY[:steps]).silence()
    turns = story.turns

    story.on(*WAY[steps:])

    assert story.turns == turns
    assert story.phase == "undoing"


@pytest.mark.parametrize("steps", range(len(WAY)))
def test_a_cancelled_order_is_undone_from_wherever_it_is(steps: int) -> None:
    goes_back(placed().on(*WAY[:steps], T.cancelling), *BACK[steps], "cancelled")


def test_an_order_that_is_being_confirmed_is_not_called_off_any_more() -> None:
    story = placed().on(*WAY, T.cancelling)

    assert story.asks == []
    assert story.on(T.confirmed).phase == "done"


def test_cancelling_what_is_being_undone_keeps_the_first_reason() -> None:
    story = placed().on(T.reserved, T.declined, T.cancelling, T.released)

    (reject,) = story.asked
    assert isinstance(reject, RejectOrder)
    assert reject.reason == "payment_declined"


def test_a_confirmation_is_asked_for_ever_with_longer_pauses() -> None:
    story = placed().on(*WAY)
    asked_at = []

    for _ in range(12):
        assert story.silence().asks == ["ConfirmOrder"]
        asked_at.append(story.now)

    pauses = [later - earlier for earlier, later in pairwise(asked_at)]
    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(minutes=1)
    assert pauses[-1] == pauses[-2] == timedelta(minutes=10)
    assert story.on(T.confirmed).phase == "done"


PATHS = {
    "done": (*WAY, T.confirmed),
    "out of stock": (T.out_of_stock, T.rejected),
    "declined": (T.reserved, T.declined, T.released, T.rejected),
    "commit refused": (
        *(T.reserved, T.authorized, T.captured, T.commit_refused),
        *(T.refunded, T.voided, T.released, T.rejected),
    ),
    "cancelled": (
        *(T.reserved, T.authorized, T.committed, T.cancelling),
        *(T.refunded, T.stock_returned, T.voided, T.released, T.rejected),
    ),
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_what_happens_twice_or_is_not_waited_for_changes_nothing(path: tuple[Event, ...]) -> None:
    plain, noisy = placed(), placed()

    for number, event in enumerate(path):
        plain.on(event)
        noisy.on(event)
        turns = noisy.turns
        noisy.on(*path[: number + 1], T.placed)
        assert noisy.turns == turns

    assert (noisy.saga, noisy.phase in ("done", "undone")) == (plain.saga, True)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_an_ended_saga_hears_nothing(path: tuple[Event, ...]) -> None:
    story = placed().on(*path)
    turns = story.turns

    story.on(*T.everything)

    assert story.turns == turns


def test_a_reservation_that_expires_by_itself_changes_nothing_while_nobody_asked_for_its_release() -> None:
    story = placed().on(T.reserved)
    turns = story.turns

    story.on(T.released)

    assert story.turns == turns


def test_a_silent_undo_is_asked_again_and_then_waits_for_an_operator() -> None:
    story = placed().on(T.reserved, T.declined)

    asked = [story.asks, *(story.silence().asks for _ in range(UNDO_TRIES))]

    assert asked == [["ReleaseStock"]] * UNDO_TRIES + [[]]
    assert story.saga.parked == "unanswered_undo"
    assert not any(mark.due for mark in story.saga.marks.values())


def test_a_parked_saga_goes_on_when_the_answer_comes_after_all() -> None:
    story = placed().on(T.reserved, T.declined)
    for _ in range(UNDO_TRIES):
        story.silence()

    assert story.on(T.released).asks == ["RejectOrder"]
    assert story.saga.parked is None


def test_a_parked_saga_asks_again_when_an_operator_says_so() -> None:
    story = placed().on(T.reserved, T.declined)
    for _ in range(UNDO_TRIES):
        story.silence()

    assert story.retry().asks == ["ReleaseStock"]
    assert story.saga.parked is None
    assert story.silence().asks == ["ReleaseStock"]


def test_retrying_asks_for_everything_that_is_open() -> None:
    story = placed().on(T.reserved, T.authorized)

    assert story.retry().asks == ["CommitStock", "CapturePayment"]
    assert story.on(T.committed).retry().asks == ["CapturePayment"]


@pytest.mark.parametrize("steps", range(len(WAY)))
def test_an_operator_undoes_a_saga_before_its_last_step(steps: int) -> None:
    story = placed().on(*WAY[:steps]).compensate()

    goes_back(story, *BACK[steps], "not_fulfilled")


def test_an_operator_cannot_undo_what_is_being_confirmed() -> None:
    story = placed().on(*WAY)

    with pytest.raises(Refused, match="saga_past_undoing"):
        story.compensate()
    story.on(T.confirmed)
    with pytest.raises(Refused, match="saga_ended"):
        story.compensate()
    with pytest.raises(Refused, match="saga_ended"):
        story.retry()


def test_undoing_what_is_being_undone_asks_for_nothing_more() -> None:
    story = placed().on(T.reserved, T.cancelling)
    turns = story.turns

    story.compensate()

    assert story.turns == turns


@pytest.mark.parametrize("start", [T.cancelled, T.returned], ids=["cancelled", "returned"])
@pytest.mark.parametrize("answers", [(T.refunded, T.stock_returned), (T.stock_returned, T.refunded)])
def test_a_cancelled_or_returned_order_gives_back_money_and_stock(start: Event, answers: tuple[Event, Event]) -> None:
    story = Story(ORDER_REFUND, start)

    assert story.asks == ["RefundPayment", "ReturnStock"]
    assert story.on(answers[0]).phase == "running"
    assert story.on(answers[1]).phase == "done"


def test_a_refund_is_asked_for_until_it_is_done_and_cannot_be_undone() -> None:
    story = Story(ORDER_REFUND, T.returned).on(T.stock_returned)

    assert [story.silence().asks for _ in range(20)] == [["RefundPayment"]] * 20
    with pytest.raises(Refused, match="saga_past_undoing"):
        story.compensate()
    assert story.on(T.refunded).phase == "done"


def test_one_order_has_one_saga_of_each_definition() -> None:
    ids = {each.id_of(told.order_id) for each in (ORDER_FULFILMENT, ORDER_REFUND) for told in (TOLD, OTHER)}

    assert len(ids) == 4
