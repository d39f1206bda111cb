"""Our consumer runtime, and the loop one writes by hand with the library that it is built on."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import confluent_kafka

from headwater.wiring import House
from infra.consumer import ConsumerRunner
from schemas.messaging.events import MessageSent
from shared_kernel.module import Consumer, Handler, on, on_batch
from tests.load.records import KEYS, Order
from tests.load.side import Count, opened

BATCH = 500  # records, ours by default


async def batches(wanted: int) -> dict[str, float]:
    """Whole batches to a handler that does nothing; a batch's position commits in PostgreSQL."""
    count = Count(wanted)

    async def handle(messages: Sequence[MessageSent]) -> None:
        count.add(len(messages))

    async with opened() as house:
        return await rates_of(house, count, on_batch(MessageSent, handle))


async def raw_loop(wanted: int) -> dict[str, float]:
    """The same by hand: decode what `consume` returns, then commit it at the broker."""
    count = Count(wanted)

    async def handle(messages: Sequence[MessageSent]) -> None:
        count.add(len(messages))

    async with opened() as house:
        rates = asyncio.create_task(count.rates())
        with raw_consumer(house) as consumer:
            while not rates.done():
                found = [each for each in consumer.consume(BATCH, 0.1) if each.error() is None]
                if found:
                    await house.codec.learn(each.value() for each in found)
                    await handle([house.codec.decode(each.value()) for each in found])  # type: ignore[misc]
                    consumer.commit(asynchronous=True)
                await asyncio.sleep(0)
        return await rates


async def lanes(wanted: int, busy_s: float = 0.0) -> dict[str, float]:
    """One event a call, as many keys at once as there are, each key's events in order."""
    count, order = Count(wanted), Order()

    async def handle(message: MessageSent) -> None:
        if busy_s:
            await asyncio.sleep(busy_s)
        order.note(message)
        count.add(1)

    async with opened() as house:
        rates = await rates_of(house, count, on(MessageSent, handle), lanes=KEYS)
    return {**rates, "violations": order.violations}


async def rates_of(house: House, count: Count, handler: Handler, **declared: Any) -> dict[str, float]:
    """Run a member of a new group until enough was counted."""
    consumer = Consumer(f"bench.{uuid4().hex[:8]}", (handler,), **declared)
    groups = house.groups["messaging"]
    member = asyncio.create_task(ConsumerRunner(consumer, house.broker, house.codec, groups, house.bulk).run())
    counting = asyncio.create_task(count.rates())
    await asyncio.wait([member, counting], return_when=asyncio.FIRST_COMPLETED)
    if member.done():
        member.result()
    member.cancel()
    with suppress(asyncio.CancelledError):
        await member
    return await counting


def raw_consumer(house: House) -> confluent_kafka.Consumer:
    """Return a member of a new group, subscribed to the messages; it is closed as a context manager."""
    consumer = confluent_kafka.Consumer(
        house.kafka.confluent()
        | {
            "group.id": house.kafka.topic(f"bench.{uuid4().hex[:8]}"),
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([house.kafka.topic(MessageSent.TOPIC)])
    return consumer
