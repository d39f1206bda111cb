"""A feed on real Kafka: every event from the start on, in order, across a broker that dies; and never with a gap."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from confluent_kafka.admin import AdminClient

from headwater.wiring import House
from infra.feed import FeedLost, FeedRunner
from infra.kafka_log import KafkaLog
from infra.topics import ensure_topics
from schemas.messaging.events import MessageSent
from shared_kernel.errors import Unavailable
from shared_kernel.events import Recorded
from shared_kernel.module import Feed, Offsets, Topic
from tests.integration.nodes import delete_records, message, own_topics, publish_header_that_is_no_text
from tests.probes import eventually
from tests.servers import Servers


class Hearer:
    """A feed that notes what it is told."""

    def __init__(self, lookback: int = 0) -> None:
        self.heard: list[UUID] = []
        self.told: list[tuple[Offsets, bool]] = []
        self.feed = Feed("test", (MessageSent,), self.deliver, self.reached, lookback)

    async def deliver(self, batch: Sequence[Recorded]) -> None:
        for each in batch:
            assert isinstance(each.event, MessageSent)
            self.heard.append(each.event.message_id)

    def reached(self, offsets: Offsets, live: bool) -> None:
        self.told.append((offsets, live))

    async def hears(self, *messages: MessageSent) -> None:
        async def heard() -> list[UUID]:
            return self.heard

        await eventually(heard, until=lambda found: len(found) >= len(messages))
        assert self.heard == [each.message_id for each in messages]


@asynccontextmanager
async def running(house: House, runner: FeedRunner) -> AsyncIterator["asyncio.Task[None]"]:
    """Run the feed while the block lasts; enter once it is ready."""
    task = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(runner.ready.wait(), 60)
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, FeedLost):
            await task


@pytest.fixture
async def apart(house: House) -> AsyncIterator[House]:
    async with own_topics(house) as made:
        yield made


async def publish(house: House, count: int) -> list[MessageSent]:
    """Say a number of things in one conversation."""
    ann, bob = UUID(int=1), UUID(int=2)
    log = KafkaLog(house.commands, house.codec)
    messages = [message(ann, [bob], str(number), uuid4().hex) for number in range(count)]
    for each in messages:
        await log.publish(each)
    return messages


async def test_it_begins_at_the_end_and_hears_all_that_follows(apart: House) -> None:
    hearer = Hearer()
    await publish(apart, 5)
    async with running(apart, FeedRunner(hearer.feed, apart.kafka, apart.codec)):
        begun, live = hearer.told[0]
        assert live
        assert sum(begun["messages"].values()) == 5
        await hearer.hears(*await publish(apart, 20))

        async def reached() -> int:
            return sum(hearer.told[-1][0]["messages"].values())

        await eventually(reached, until=lambda offsets: offsets == 25)


async def test_it_goes_past_a_record_that_its_client_cannot_read(apart: House) -> None:
    hearer = Hearer()
    runner = FeedRunner(hearer.feed, apart.kafka, apart.codec)

    async with running(apart, runner) as task:
        first = await publish(apart, 3)
        await publish_header_that_is_no_text(apart.kafka, "messages")
        then = await publish(apart, 3)
        await hearer.hears(*first, *then)
        assert not task.done()


async def test_it_looks_back_before_it_is_ready(apart: House) -> None:
    hearer = Hearer(lookback=7)
    before = await publish(apart, 20)
    async with running(apart, FeedRunner(hearer.feed, apart.kafka, apart.codec)):
        assert hearer.heard == [each.message_id for each in before[-7:]]
        assert hearer.told[0][1] is False
        assert sum(hearer.told[0][0]["messages"].values()) == 13
        assert hearer.told[-1][1] is True


async def test_it_goes_on_where_it_was_when_the_broker_comes_back(servers: Servers, apart: House) -> None:
    hearer = Hearer()
    async with running(apart, FeedRunner(hearer.feed, apart.kafka, apart.codec)):
        before = await publish(apart, 20)
        await hearer.hears(*before)
        await asyncio.to_thread(servers.kill_kafka)
        await asyncio.to_thread(servers.start_kafka)

        await hearer.hears(*before, *await publish(apart, 20))


async def test_a_second_run_goes_on_where_the_first_one_stopped(apart: House) -> None:
    hearer = Hearer()
    runner = FeedRunner(hearer.feed, apart.kafka, apart.codec)
    async with running(apart, runner):
        before = await publish(apart, 3)
        await hearer.hears(*before)
    missed = await publish(apart, 3)
    async with running(apart, runner):
        await hearer.hears(*before, *missed)


async def test_it_ends_rather_than_go_on_with_a_gap(apart: House) -> None:
    hearer = Hearer()
    runner = FeedRunner(hearer.feed, apart.kafka, apart.codec)
    async with running(apart, runner):
        await hearer.hears(*await publish(apart, 3))
    await publish(apart, 3)
    await delete_records(apart.kafka, "messages")

    with pytest.raises(FeedLost):
        await asyncio.wait_for(runner.run(), 60)


async def test_it_ends_when_the_topics_are_made_anew(apart: House) -> None:
    hearer = Hearer()
    runner = FeedRunner(hearer.feed, apart.kafka, apart.codec)
    async with running(apart, runner):
        await hearer.hears(*await publish(apart, 3))
    admin = AdminClient(apart.kafka.confluent())
    for done in admin.delete_topics([apart.kafka.topic("messages")], operation_timeout=60).values():
        await asyncio.to_thread(done.result, 20)

    async def made() -> bool:
        with contextlib.suppress(Unavailable):
            (report,) = await ensure_topics(apart.kafka, [Topic("messages")], 1)
            return report.outcome == "created"
        return False

    await eventually(made)

    with pytest.raises(FeedLost):
        await asyncio.wait_for(runner.run(), 60)
