"""What a node keeps in memory of its deliveries, and what waits for one client."""

import asyncio
import tracemalloc
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from bounded_contexts.realtime.adapters import packets
from bounded_contexts.realtime.adapters.outbox import PAGE_PACKETS, Outbox, Queue
from bounded_contexts.realtime.adapters.packets import Packet
from bounded_contexts.realtime.adapters.session import Bucket
from bounded_contexts.realtime.application.limits import origins
from bounded_contexts.realtime.application.reactions import Delivery, delivery_of
from bounded_contexts.realtime.application.recent import Entry, Recent
from bounded_contexts.realtime.application.subscriptions import Channel
from bounded_contexts.realtime.application.updates import update_of
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.events import Position, Recorded
from tests.unit.test_realtime_reactions import ANN, BOB, CEM, sent

ID_BYTES = 400  # of an event that was read: these are remembered for longer than deliveries
START = {"messages": {0: 10, 1: 0}, "conversations": {0: 5}}


def recorded(offset: int, id_: str = "", *, partition: int = 0, to: UUID = BOB) -> Recorded:
    event = sent(others=(to,))
    id_ = id_ or f"id-{partition}-{offset}"
    return Recorded(event, Position("messages", partition, offset), id_, "/s", "sub", "2026-01-01T00:00:00Z", "c", None)


def update(payload: str) -> UiUpdatePublished:
    return UiUpdatePublished(
        update_id=uuid4(),
        channel="news",
        is_public=False,
        payload=payload,
        published_by="key:test",
        published_at=datetime.now(UTC),
    )


def add(recent: Recent, record: Recorded) -> Entry:
    delivery = delivery_of(record.event)
    assert isinstance(delivery, Delivery)
    return recent.add(record, delivery, "text")


def recent(most_records: int = 100, most_bytes: int = 1 << 20) -> Recent:
    made = Recent(most_records, most_bytes)
    made.begin(START)
    return made


def offsets(entries: list[Entry] | None) -> list[int] | None:
    return None if entries is None else [entry.position.offset for entry in entries]


def test_a_user_gets_what_is_for_it_in_order() -> None:
    kept = recent()
    for offset, to in ((10, BOB), (11, CEM), (12, BOB)):
        add(kept, recorded(offset, to=to))

    assert offsets(kept.after([BOB], kept.start, 10)) == [10, 12]
    assert offsets(kept.after([BOB], kept.start, 1)) == [10]
    assert offsets(kept.after([BOB], 1, 10)) == [12]
    assert offsets(kept.after([ANN], kept.start, 10)) == [10, 11, 12]
    assert offsets(kept.after([UUID(int=50)], kept.start, 10)) == []


def test_reading_goes_on_with_each_delivery_and_with_what_is_nobodys() -> None:
    kept = recent()
    add(kept, recorded(10))
    kept.reach({"messages": {0: 9, 1: 3}, "conversations": {0: 6}})

    assert kept.reached == {"messages": {0: 11, 1: 3}, "conversations": {0: 6}}


def test_what_is_too_much_is_forgotten_and_asked_for_no_more() -> None:
    kept = recent(most_records=2)
    for offset in (10, 11, 12, 13):
        add(kept, recorded(offset))

    assert kept.after([BOB], 0, 10) is None
    assert offsets(kept.after([BOB], kept.start, 10)) == [12, 13]
    assert kept.begins["messages"] == {0: 12, 1: 0}
    assert kept.missing({"messages": {0: 10}}) == 2 + 5
    assert kept.missing({"messages": {0: 12}, "conversations": {0: 5}}) == 0


@pytest.mark.parametrize(
    ("payload", "count"),
    [("a" * 60_000, 200), ("a" * 60_000 + "\N{GRINNING FACE}", 200), ("ü" * 30_000, 200), ("a", 5_000)],
    ids=["long", "wide", "umlauts", "short"],
)
def test_what_is_held_is_no_more_than_the_limit_of_bytes(payload: str, count: int) -> None:
    """One wide character makes every character of its text as wide, and a payload is held as data and in what is sent."""
    most_bytes = 4 << 20
    kept = Recent(20_000, most_bytes)
    tracemalloc.start()
    for number in range(count):
        event = update(f'"{payload}{number}"')
        id_ = str(event.update_id)
        record = Recorded(event, Position("ui-updates", 0, number), id_, "/s", id_, "2026-01-01T00:00:00Z", "c", None)
        delivery = update_of(event, None)
        assert delivery
        kept.add(record, delivery, packets.update_opening(record, delivery))
    del event, record, delivery
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held <= 1.1 * most_bytes + count * ID_BYTES
    forgotten = kept.after([Channel("news", is_public=False)], 0, 1) is None
    assert forgotten


def test_bytes_are_a_limit_too_but_the_newest_delivery_stays() -> None:
    kept = recent(most_bytes=10)
    add(kept, recorded(10))
    add(kept, recorded(11))

    assert offsets(kept.after([BOB], kept.start, 10)) == [11]


def test_an_erased_message_is_kept_without_its_text() -> None:
    kept = recent()
    for offset in (10, 11):
        record = recorded(offset)
        delivery = delivery_of(record.event)
        assert delivery
        kept.add(record, delivery, packets.opening(record, delivery))
    first, second = kept.after([BOB], kept.start, 10) or []
    assert "Grüße" in first.text

    kept.clear(UUID(int=404), packets.revised)
    assert "Grüße" in first.text
    kept.clear(sent().message_id, packets.revised)

    for entry in (first, second):
        assert msgspec.json.decode(entry.text.split(",", 1)[1] + 'p"}]')[1]["data"] == entry.delivery.data
        assert entry.delivery.data == dict(entry.delivery.data) | {"body": "", "client_id": "c1"}
    assert offsets(kept.after([BOB], kept.start, 10)) == [10, 11]


def test_a_record_that_was_read_and_one_with_a_known_id_are_no_news() -> None:
    kept = recent()
    first = recorded(10, "same")
    assert kept.is_news(first)
    add(kept, first)

    assert not kept.is_news(first)
    assert not kept.is_news(recorded(11, "same"))
    assert kept.is_news(recorded(11, "other"))


def test_read_again_from_the_past_only_later_records_are_repeats() -> None:
    kept = recent()
    add(kept, recorded(20, "same"))

    assert not kept.repeats(recorded(20, "same"))
    assert not kept.repeats(recorded(15, "same"))
    assert kept.repeats(recorded(25, "same"))


def test_a_position_is_taken_on_the_partitions_that_are_read() -> None:
    kept = recent()

    assert kept.within({"messages": {0: 7, 9: 1}, "unknown": {0: 1}}) == {
        "messages": {0: 7, 1: 0},
        "conversations": {0: 0},
    }


@pytest.mark.parametrize(
    ("position", "ahead"),
    [
        ({"messages": {0: 10}}, False),
        ({"messages": {0: 11}}, True),
        ({"messages": {9: 1}}, True),
        ({"messages": {9: 0}}, False),
        ({"unknown": {0: 5}}, False),
    ],
)
def test_a_position_beyond_what_was_read_is_noticed(position: dict[str, dict[int, int]], ahead: bool) -> None:
    assert recent().is_ahead(position) is ahead


def test_a_partition_that_is_added_is_kept_from_its_first_record_on() -> None:
    kept = recent(most_records=1)
    add(kept, recorded(0, partition=7))
    add(kept, recorded(1, partition=7))

    assert kept.begins["messages"][7] == 1
    assert kept.missing({"messages": {0: 10, 1: 0, 7: 1}, "conversations": {0: 5}}) == 0


def packet(text: str = "x" * 100) -> Packet:
    return Packet(text)


async def test_an_outbox_is_full_by_events_or_by_bytes() -> None:
    by_events, by_bytes = Queue(2, 1000), Queue(100, 150)
    for outbox in (by_events, by_bytes):
        outbox.put_nowait(packet())
        assert not outbox.is_full
        outbox.put_nowait(packet())
        assert outbox.is_full
        assert outbox.is_crowded

        await outbox.get()
        await outbox.get()
        assert not outbox.is_full
        assert not outbox.is_crowded


def test_an_outbox_is_taken_in_pages() -> None:
    outbox = Outbox(1000, 1 << 20)
    for _ in range(PAGE_PACKETS + 5):
        outbox.put_nowait(packet())

    pages = [outbox.take_page() for _ in range(3)]

    assert [len(page) for page in pages] == [PAGE_PACKETS, 5, 0]
    assert (outbox.qsize(), outbox.bytes) == (0, 0)


async def test_whoever_waits_for_room_learns_whether_the_client_takes_anything() -> None:
    outbox = Queue(4, 1 << 20)
    for _ in range(4):
        outbox.put_nowait(packet())
    assert not await outbox.has_room(0.01)

    waiting = asyncio.create_task(outbox.has_room(5))
    for _ in range(3):
        await asyncio.sleep(0)
        await outbox.get()

    assert await waiting


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    now = 0.0
    bucket = Bucket(rate=2, burst=3, now=lambda: now)

    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now = 1.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    now = 100.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_origins_are_a_list_with_commas() -> None:
    assert origins(" https://a.example/ ,,https://b.example") == {"https://a.example", "https://b.example"}
    assert origins("") == frozenset()
