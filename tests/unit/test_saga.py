"""The interpreter where no saga of the house leads to, and the tables it refuses."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from sagas.order_fulfilment import ORDER_FULFILMENT, Fulfilment
from sagas.order_refund import ORDER_REFUND, Refund
from schemas.ordering.events import OrderConfirmed, OrderRejected, OrderShipped
from shared_kernel.errors import Refused
from shared_kernel.saga import Definition, Step, when
from tests.orders import Told
from tests.unit.saga_story import Story

TOLD = Told(UUID(int=7))


def with_steps(*steps: Any) -> Definition[Any]:
    return replace(ORDER_FULFILMENT, steps=steps)


def without(name: str) -> Definition[Any]:
    """Return a version of the table that has one step less."""
    return with_steps(*(row for row in ORDER_FULFILMENT.steps if isinstance(row, tuple) or row.name != name))


def test_a_saga_that_has_come_to_a_step_nobody_knows_is_parked_once() -> None:
    story = Story(ORDER_FULFILMENT, TOLD.placed).on(TOLD.reserved)
    story.definition = without("authorise payment")

    story.on(TOLD.authorized)

    assert story.saga.parked == "not_understood"
    assert not any(mark.due for mark in story.saga.marks.values())
    assert story.on(TOLD.authorized, TOLD.cancelling).notes.count(("parked", "")) == 1


def test_the_silence_of_a_step_nobody_knows_parks_the_saga() -> None:
    story = Story(ORDER_FULFILMENT, TOLD.placed).on(TOLD.reserved)
    story.definition = without("authorise payment")

    assert story.silence().asks == []
    assert story.saga.parked == "not_understood"


def test_operators_can_do_nothing_with_a_saga_that_is_not_understood_until_it_is() -> None:
    story = Story(ORDER_FULFILMENT, TOLD.placed).on(TOLD.reserved)
    story.definition = without("authorise payment")
    story.silence()

    for repair in (story.retry, story.compensate):
        with pytest.raises(Refused, match="saga_not_understood"):
            repair()
    story.definition = ORDER_FULFILMENT
    assert story.retry().asks == ["AuthorizePayment"]
    assert story.saga.parked is None


def test_a_step_that_is_added_is_asked_of_running_sagas_that_have_not_passed_its_place() -> None:
    place, reserve, *rest = ORDER_FULFILMENT.steps
    extra = Step(name="extra", ask=Fulfilment.reserve, goes_on=when(OrderShipped, Fulfilment.same))
    behind, ahead = Story(ORDER_FULFILMENT, TOLD.placed), Story(ORDER_FULFILMENT, TOLD.placed)

    behind.definition = with_steps(place, extra, reserve, *rest)
    ahead.definition = with_steps(place, reserve, extra, *rest)

    assert behind.on(TOLD.reserved).saga.marks.keys() == {"place order", "reserve stock", "authorise payment"}
    assert ahead.on(TOLD.reserved).saga.marks.keys() == {"place order", "reserve stock", "extra"}


def test_a_table_names_each_step_and_each_event_once() -> None:
    place, reserve, *_ = ORDER_FULFILMENT.steps

    with pytest.raises(ValueError, match="in it twice"):
        with_steps(place, reserve, reserve)


R = Refund
ANSWER = when(OrderConfirmed, R.same)
NOTHING: Step[Refund] = Step(name="a")


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (Step(name="a", ask=R.refund), "has an answer that goes on"),
        (Step(name="a", goes_on=ANSWER, undo=R.refund, undone=OrderRejected), "has an answer that goes on"),
        (Step(name="a", ask=R.refund, goes_on=ANSWER, undo=R.refund), "an undo has an answer"),
        (Step(name="a", ask=R.refund, goes_on=ANSWER, undone=OrderRejected), "an undo has an answer"),
        (Step(name="a", ask=R.refund, goes_on=ANSWER, gives_up=(when(OrderRejected, R.same),)), "must not give up"),
        (NOTHING, "is asked and must not give up"),
    ],
)
def test_a_step_that_could_not_go_on_or_back_is_refused(step: Step[Refund], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replace(ORDER_REFUND, steps=(step,))
