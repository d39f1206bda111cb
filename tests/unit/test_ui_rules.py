"""Rules: what is shown of other contexts' events, and where."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from bounded_contexts.realtime.application.publishing import PublishPorts
from bounded_contexts.realtime.application.rules import RULES, Rule, handlers
from schemas.messaging.events import MessageSent
from schemas.notifications.events import NotificationsRead
from schemas.ordering.events import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    OrderShipped,
)
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.causation import Cause, because
from shared_kernel.errors import Refused
from shared_kernel.events import Event, Position

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN, ONE = UUID(int=1), UUID(int=2)
READ = NotificationsRead(recipient_id=ANN, notification_ids=(ONE,), all_until=NOW, read_at=NOW)

OF_ORDER: dict[str, Any] = {"order_id": ONE, "buyer_id": ANN}
OF_ORDERS: list[tuple[Event, str, str | None]] = [
    (OrderPlaced(**OF_ORDER, lines=(), total_minor=1, currency="EUR", placed_at=NOW), "placed", None),
    (OrderCancellationRequested(**OF_ORDER, requested_by=ANN, reason="private", requested_at=NOW), "cancelling", None),
    (OrderConfirmed(**OF_ORDER, total_minor=1, currency="EUR", payment_id=ONE, confirmed_at=NOW), "confirmed", None),
    (OrderRejected(**OF_ORDER, reason="out_of_stock", rejected_at=NOW), "rejected", "out_of_stock"),
    (OrderShipped(**OF_ORDER, shipped_by=ONE, shipped_at=NOW), "shipped", None),
    (OrderCancelled(**OF_ORDER, cancelled_by=ANN, reason="private", cancelled_at=NOW), "cancelled", None),
    (OrderReturned(**OF_ORDER, returned_by=ONE, reason="private", returned_at=NOW), "returned", None),
]


def now(_: Any) -> datetime:
    return NOW


class Log:
    def __init__(self) -> None:
        self.updates: list[Any] = []

    async def publish(self, event: Event) -> Position:
        self.updates.append(event)
        return Position(event.TOPIC, 0, len(self.updates))


async def shown(*rules: Rule, event: Event = READ, record: str = "record") -> list[UiUpdatePublished]:
    log = Log()
    (handler,) = [each for each in handlers(rules, PublishPorts(log, lambda: NOW)) if each.event is type(event)]
    with because(Cause("flow", record)):
        await handler.call(event)
    return log.updates


async def test_what_is_read_on_one_device_is_told_to_the_others() -> None:
    (update,) = await shown(*RULES)

    assert (update.channel, update.is_public) == (f"user:{ANN}", False)
    assert update.published_by == "rule:notifications-read"
    assert json.loads(update.payload) == {
        "type": "notifications.read",
        "notification_ids": [str(ONE)],
        "all_until": "2026-01-02T03:04:05Z",
    }


@pytest.mark.parametrize(("event", "status", "reason"), OF_ORDERS, ids=[status for _, status, _ in OF_ORDERS])
async def test_a_buyer_is_shown_every_step_of_an_order(event: Event, status: str, reason: str | None) -> None:
    (update,) = await shown(*RULES, event=event)

    assert (update.channel, update.is_public, update.published_by) == (f"user:{ANN}", False, f"rule:order-{status}")
    assert json.loads(update.payload) == {
        "type": "order",
        "order_id": str(ONE),
        "status": status,
        "reason": reason,
        "at": "2026-01-02T03:04:05Z",
    }


async def test_a_record_that_is_read_again_is_the_same_update() -> None:
    (first,), (again,), (other,) = [await shown(*RULES, record=each) for each in ("a", "a", "b")]

    assert first.update_id == again.update_id != other.update_id


async def test_several_rules_and_channels_of_an_event_are_updates_each() -> None:
    board = Rule("board", NotificationsRead, now, lambda _: ("a", "b"), lambda _: 1, is_public=True)
    nowhere = Rule("nowhere", NotificationsRead, now, lambda _: (), lambda _: 1)
    updates = await shown(*RULES, board, nowhere)

    assert [each.channel for each in updates] == [f"user:{ANN}", "a", "b"]
    assert [each.is_public for each in updates] == [False, True, True]
    assert len({each.update_id for each in updates}) == 3


async def test_what_is_older_than_a_day_is_not_shown() -> None:
    almost, old = (replace(READ, read_at=NOW - timedelta(hours=hours)) for hours in (23, 24))

    assert len(await shown(*RULES, event=almost)) == 1
    assert await shown(*RULES, event=old) == []


async def test_what_is_no_update_becomes_a_dead_letter() -> None:
    with pytest.raises(Refused):
        await shown(Rule("wrong", NotificationsRead, now, lambda _: ("a b",), lambda _: 1))


def test_each_event_is_heard_by_one_handler() -> None:
    rules = [
        Rule(str(n), event, now, tuple, str) for n, event in enumerate((MessageSent, NotificationsRead, MessageSent))
    ]
    found = handlers(rules, PublishPorts(Log(), lambda: NOW))

    assert {each.event for each in found} == {MessageSent, NotificationsRead}
    assert len(found) == 2


def test_no_rule_hears_updates() -> None:
    with pytest.raises(ValueError, match="never end"):
        Rule("loop", UiUpdatePublished, now, tuple, str)
