"""Figures of a running house: what happened is counted, what waits is seen."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.consumer import ConsumerRunner
from infra.kafka_log import KafkaLog
from infra.member import dead_letter_topic
from infra.partition_worker import QUEUE_BATCHES
from infra.topics import ensure_topics
from schemas.messaging.events import MessageSent
from shared_kernel.module import Consumer, Count, Handler, Topic, on, on_batch
from tests.contract.test_event_log import sent
from tests.integration.conftest import rest_client
from tests.integration.nodes import device, message, node, own_topics
from tests.probes import during, eventually

GROUP = "metrics.test"


def value(name: str, **labels: str) -> float:
    """Return what a scrape would say, 0 where there is no series."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def lag() -> float:
    """Return how much of the topic the test's group has before it, over all partitions that it knows the end of."""
    samples = [
        each
        for family in REGISTRY.collect()
        if family.name == "headwater_consumer_lag_records"
        for each in family.samples
    ]
    return sum(each.value for each in samples if each.labels["group"] == GROUP)


def records(outcome: str) -> float:
    return value("headwater_consumer_records_total", group=GROUP, topic="messages", outcome=outcome)


@asynccontextmanager
async def running(house: House, *handlers: Handler, **declared: Any) -> AsyncIterator[None]:
    """Run one member of the test's group."""
    await ensure_topics(house.kafka, [Topic(dead_letter_topic("messages", GROUP), partitions=1)], 1)
    consumer = Consumer(GROUP, handlers, **declared)
    runner = ConsumerRunner(consumer, house.broker, house.codec, house.groups["messaging"], house.bulk)
    async with during(runner.run()):
        yield


async def publish(house: House, count: int) -> list[MessageSent]:
    log = KafkaLog(house.commands, house.codec)
    messages = [sent(uuid4()) for _ in range(count)]
    await asyncio.gather(*(log.publish(each) for each in messages))
    return messages


async def until(ask: Callable[[], float], wanted: float) -> None:
    async def asked() -> float:
        return ask()

    await eventually(asked, until=lambda found: found == wanted)


async def test_what_a_group_handles_is_counted_and_what_it_has_before_it_is_its_lag(own_house: House) -> None:
    gate = asyncio.Event()

    async def wait(_: object) -> None:
        await gate.wait()

    before = records("handled"), value("headwater_test_words_total")
    await publish(own_house, 30)
    counts = (Count("test_words", "Words.", MessageSent, lambda each: len(each.body.split())),)

    async with running(own_house, on_batch(MessageSent, wait), counts=counts):
        await until(lag, 30)
        assert records("handled") == before[0]
        gate.set()
        await until(lag, 0)
        assert records("handled") == before[0] + 30

    words = sum(len(each.body.split()) for each in [sent(uuid4())]) * 30
    assert value("headwater_test_words_total") == before[1] + words
    assert lag() == 0
    assert value("headwater_consumer_try_duration_seconds_count", group=GROUP, topic="messages") > 0


async def test_a_partition_whose_queue_is_full_says_that_it_is_paused(own_house: House) -> None:
    gate = asyncio.Event()

    async def wait(_: object) -> None:
        await gate.wait()

    def paused() -> float:
        found = [
            each
            for family in REGISTRY.collect()
            if family.name == "headwater_consumer_paused"
            for each in family.samples
        ]
        return sum(each.value for each in found if each.labels["group"] == GROUP)

    key = uuid4()
    log = KafkaLog(own_house.commands, own_house.codec)
    await asyncio.gather(*(log.publish(sent(key)) for _ in range(2 * QUEUE_BATCHES * 100)))

    async with running(own_house, on_batch(MessageSent, wait), batch_size=100):
        await until(paused, 1)
        gate.set()
        await until(paused, 0)


async def test_failures_and_dead_letters_are_counted(own_house: House) -> None:
    async def fail(_: MessageSent) -> None:
        raise ValueError("never")

    def failures() -> float:
        return value("headwater_consumer_failed_attempts_total", group=GROUP, topic="messages", kind="permanent")

    before = records("dead_letter"), failures()
    await publish(own_house, 1)

    with capture_logs():
        async with running(own_house, on(MessageSent, fail)):
            await until(lambda: records("dead_letter"), before[0] + 1)

    assert failures() == before[1] + 3


async def test_an_acknowledgement_is_timed(own_house: House) -> None:
    def acknowledged() -> float:
        return value("headwater_producer_acknowledgement_seconds_count", topic="messages")

    before = acknowledged()

    await publish(own_house, 5)

    assert acknowledged() == before + 5


async def test_a_gateway_tells_of_its_clients_and_what_they_are_sent(house: House) -> None:
    ann, bob = uuid4(), uuid4()

    async def ask(_: object, __: object) -> dict[str, str]:
        return {}

    async with own_topics(house) as own, node(own, {"message.send": ask}) as at:
        before = value("headwater_realtime_deliveries_total"), value("headwater_realtime_delivery_delay_seconds_count")
        done = value("headwater_realtime_command_duration_seconds_count", command="message.send", outcome="ok")
        unknown = value("headwater_realtime_command_duration_seconds_count", command="unknown", outcome="unknown_event")
        refused = value("headwater_realtime_refused_total", code="unauthenticated")
        async with device(at, ann, own) as first, device(at, bob, own) as second:
            assert value("headwater_realtime_connections") == 2
            await KafkaLog(own.commands, own.codec).publish(message(ann, [bob], "Hello"))
            await first.hears("Hello")
            await second.hears("Hello")
            await first.ask("message.send", {})
            await first.ask(f"message.{uuid4()}", {})
        with pytest.raises(AssertionError):
            async with device(at, ann, own, token="nonsense"):
                pass
        await until(lambda: value("headwater_realtime_connections"), 0)

    assert value("headwater_realtime_deliveries_total") == before[0] + 2
    assert value("headwater_realtime_delivery_delay_seconds_count") == before[1] + 1
    assert value("headwater_realtime_command_duration_seconds_count", command="message.send", outcome="ok") == done + 1
    assert (
        value("headwater_realtime_command_duration_seconds_count", command="unknown", outcome="unknown_event")
        == unknown + 1
    )
    assert value("headwater_realtime_refused_total", code="unauthenticated") == refused + 1


@pytest.mark.usefixtures("groups")
async def test_business_figures_follow_from_events(web_house: House, tokens: SharedKeyTokens) -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    before = value("headwater_messages_sent_total"), value("headwater_notifications_raised_total")

    async with rest_client(web_house, tokens, ann) as api:
        answer = await api.post("/messages", json=_body(ann, bob, eve), headers={"Prefer": "wait=10"})

    assert answer.status_code == 201
    await until(lambda: value("headwater_messages_sent_total"), before[0] + 1)
    await until(lambda: value("headwater_notifications_raised_total"), before[1] + 2)


def _body(*people: UUID) -> dict[str, object]:
    return {"participants": [str(each) for each in people], "body": "Hello", "client_id": str(uuid4())}
