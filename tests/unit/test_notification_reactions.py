"""What messages mean for somebody's inbox."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.notifications.application.commands import mark_read
from bounded_contexts.notifications.application.ports import Entry, InboxItem, Ports
from bounded_contexts.notifications.application.reactions import (
    PREVIEW_LIMIT,
    OrderNews,
    entries_of,
    message_deleted,
    message_edited,
    message_erased,
    messages_sent,
    notification_id,
    notifications_read,
    order_changed,
    preview_of,
)
from infra.memory import MemoryLog
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent
from schemas.notifications.events import NotificationsRead
from schemas.ordering.events import OrderCancelled, OrderConfirmed, OrderRejected, OrderReturned, OrderShipped
from shared_kernel.errors import NotFound
from shared_kernel.events import Position

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MESSAGE, CONVERSATION = UUID(int=7), UUID(int=8)
ANN, BOB, EVE = UUID(int=1), UUID(int=2), UUID(int=3)

SENT = MessageSent(
    message_id=MESSAGE,
    conversation_id=CONVERSATION,
    sender_id=ANN,
    recipient_ids=(BOB, EVE),
    client_id="c",
    body="Hello\n there",
    sent_at=NOW,
)

ORDER = UUID(int=10)
OF_ORDER: dict[str, Any] = {"order_id": ORDER, "buyer_id": BOB}
CONFIRMED = OrderConfirmed(**OF_ORDER, total_minor=900, currency="EUR", payment_id=UUID(int=11), confirmed_at=NOW)


@dataclass
class MemoryInbox:
    """Ports `InboxWriter` and `Inbox`: what was asked of the writer, and entries by id."""

    entries: dict[UUID, Entry] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def raised(self, entries: Sequence[Entry]) -> None:
        self.asked.append(("raised", len(entries)))
        for entry in entries:
            self.entries.setdefault(entry.notification_id, entry)

    async def revised(self, cause: UUID, preview: str) -> None:
        self.asked.append(("revised", cause, preview))

    async def withdrawn(self, cause: UUID, at: datetime) -> None:
        self.asked.append(("withdrawn", cause, at))

    async def read(self, recipient: UUID, ids: Sequence[UUID], all_until: datetime | None, at: datetime) -> None:
        self.asked.append(("read", recipient, ids, all_until, at))

    async def page(
        self, recipient: UUID, limit: int, before: tuple[datetime, UUID] | None, *, unread_only: bool
    ) -> list[InboxItem]:
        raise NotImplementedError

    async def counts(self, recipient: UUID) -> tuple[int, int]:
        raise NotImplementedError

    async def owned(self, recipient: UUID, ids: Sequence[UUID]) -> set[UUID]:
        return {id_ for id_ in ids if id_ in self.entries and self.entries[id_].recipient_id == recipient}


class NothingStored:
    async def reached(self, position: Position, timeout_s: float) -> bool:
        return False


class World:
    """Notifications in memory."""

    def __init__(self) -> None:
        self.log, self.inbox = MemoryLog(), MemoryInbox()
        self.ports = Ports(
            log=self.log, inbox_writer=self.inbox, inbox=self.inbox, stored=NothingStored(), now=lambda: NOW
        )


@pytest.fixture
def world() -> World:
    return World()


class TestReactions:
    async def test_every_recipient_gets_an_entry_and_the_sender_none(self, world: World) -> None:
        await messages_sent([SENT], world.ports)

        assert {entry.recipient_id for entry in world.inbox.entries.values()} == {BOB, EVE}
        (entry,) = [entry for entry in world.inbox.entries.values() if entry.recipient_id == BOB]
        assert entry == Entry(
            notification_id=notification_id(MESSAGE, BOB),
            recipient_id=BOB,
            kind="message.received",
            cause_id=MESSAGE,
            conversation_id=CONVERSATION,
            actor_id=ANN,
            preview="Hello there",
            raised_at=NOW,
        )

    async def test_a_batch_is_one_write(self, world: World) -> None:
        await messages_sent([SENT, replace(SENT, message_id=UUID(int=9))], world.ports)

        assert world.inbox.asked == [("raised", 4)]

    async def test_a_message_that_comes_again_raises_the_same_entries(self, world: World) -> None:
        await messages_sent([SENT, replace(SENT, body="later", sent_at=NOW)], world.ports)
        await messages_sent([SENT], world.ports)

        assert len(world.inbox.entries) == 2

    async def test_a_message_to_nobody_writes_nothing(self, world: World) -> None:
        await messages_sent([replace(SENT, recipient_ids=())], world.ports)

        assert world.inbox.asked == []

    async def test_an_edit_shows_the_new_text(self, world: World) -> None:
        edit = MessageEdited(
            edit_id=UUID(int=5),
            message_id=MESSAGE,
            conversation_id=CONVERSATION,
            editor_id=ANN,
            recipient_ids=(BOB,),
            body="x" * 500,
            edited_at=NOW,
        )

        await message_edited(edit, world.ports)

        assert world.inbox.asked == [("revised", MESSAGE, "x" * (PREVIEW_LIMIT - 1) + "…")]

    async def test_a_deletion_withdraws_what_the_message_raised(self, world: World) -> None:
        deletion = MessageDeleted(
            message_id=MESSAGE, conversation_id=CONVERSATION, deleted_by=ANN, recipient_ids=(BOB,), deleted_at=NOW
        )

        await message_deleted(deletion, world.ports)

        assert world.inbox.asked == [("withdrawn", MESSAGE, NOW)]

    async def test_an_erasure_withdraws_what_the_message_raised(self, world: World) -> None:
        erasure = MessageErased(
            message_id=MESSAGE, conversation_id=CONVERSATION, erased_by=EVE, recipient_ids=(ANN, BOB), erased_at=NOW
        )

        await message_erased(erasure, world.ports)

        assert world.inbox.asked == [("withdrawn", MESSAGE, NOW)]

    async def test_what_was_read_is_marked(self, world: World) -> None:
        seen = NotificationsRead(recipient_id=BOB, notification_ids=(MESSAGE,), all_until=NOW, read_at=NOW)

        await notifications_read(seen, world.ports)

        assert world.inbox.asked == [("read", BOB, (MESSAGE,), NOW, NOW)]


class TestOrders:
    @pytest.mark.parametrize(
        ("event", "kind", "actor", "preview"),
        [
            (CONFIRMED, "order.confirmed", None, "Your order is confirmed"),
            (
                OrderRejected(**OF_ORDER, reason="out_of_stock", rejected_at=NOW),
                "order.rejected",
                None,
                "Your order was rejected: out_of_stock",
            ),
            (
                OrderShipped(**OF_ORDER, carrier="DHL", tracking_code="JD1", shipped_by=EVE, shipped_at=NOW),
                "order.shipped",
                EVE,
                "Your order was shipped: DHL, JD1",
            ),
            (
                OrderCancelled(**OF_ORDER, cancelled_by=BOB, reason="private", cancelled_at=NOW),
                "order.cancelled",
                BOB,
                "Your order was cancelled",
            ),
            (
                OrderReturned(**OF_ORDER, returned_by=EVE, reason="private", returned_at=NOW),
                "order.returned",
                EVE,
                "Your order has come back",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) and "." in value else "",
    )
    async def test_the_buyer_is_told_what_becomes_of_an_order(
        self, world: World, event: OrderNews, kind: str, actor: UUID | None, preview: str
    ) -> None:
        await order_changed(event, world.ports)

        (entry,) = world.inbox.entries.values()
        assert (entry.recipient_id, entry.kind, entry.actor_id, entry.preview) == (BOB, kind, actor, preview)
        assert (entry.cause_id, entry.conversation_id, entry.raised_at) == (ORDER, None, NOW)

    async def test_an_event_that_comes_again_raises_one_entry_and_another_event_another(self, world: World) -> None:
        shipped = OrderShipped(**OF_ORDER, shipped_by=EVE, shipped_at=NOW)

        for event in (CONFIRMED, CONFIRMED, shipped, CONFIRMED):
            await order_changed(event, world.ports)

        assert len(world.inbox.entries) == 2


class TestMarkingRead:
    async def test_ones_own_entries_are_marked_by_one_event(self, world: World) -> None:
        await messages_sent([SENT], world.ports)
        mine = notification_id(MESSAGE, BOB)

        await mark_read(BOB, [mine], NOW, world.ports)

        assert world.log.events == [
            NotificationsRead(recipient_id=BOB, notification_ids=(mine,), all_until=NOW, read_at=NOW)
        ]

    async def test_somebody_elses_entry_is_not_found_and_none_is_marked(self, world: World) -> None:
        await messages_sent([SENT], world.ports)
        mine, theirs = notification_id(MESSAGE, BOB), notification_id(MESSAGE, EVE)

        with pytest.raises(NotFound, match="notification_not_found"):
            await mark_read(BOB, [mine, theirs], None, world.ports)

        assert world.log.events == []

    async def test_all_up_to_a_time_needs_no_ids(self, world: World) -> None:
        await mark_read(BOB, [], NOW, world.ports)

        assert len(world.log.events) == 1


@given(st.text(max_size=400))
def test_a_preview_is_one_line_of_limited_length(body: str) -> None:
    preview = preview_of(body)

    assert len(preview) <= PREVIEW_LIMIT
    assert len(preview.splitlines()) <= 1
    assert preview == preview.strip()


@pytest.mark.parametrize("length", [PREVIEW_LIMIT - 1, PREVIEW_LIMIT])
def test_a_text_up_to_the_limit_is_shown_whole(length: int) -> None:
    assert preview_of("x" * length) == "x" * length


@given(st.uuids(), st.lists(st.uuids(), unique=True, max_size=6))
def test_entries_have_ids_of_their_own_that_a_repeat_shares(message: UUID, recipients: list[UUID]) -> None:
    sent = replace(SENT, message_id=message, recipient_ids=tuple(recipients))

    ids = [entry.notification_id for entry in entries_of(sent)]

    assert len(set(ids)) == len(recipients)
    assert ids == [entry.notification_id for entry in entries_of(sent)]
