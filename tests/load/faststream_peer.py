"""FastStream, one record a call and acknowledged after it: what it offers for at-least-once and order."""

import asyncio
from uuid import uuid4

from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from schemas.messaging.events import MessageSent
from shared_kernel.events import Event
from tests.load.records import Order
from tests.load.side import Count, opened

STOP_S = 1.0  # records that wait are nobody's business any more


async def single(wanted: int, workers: int = 1, busy_s: float = 0.0) -> dict[str, float]:
    """`workers` above 1 work on different partitions, FastStream's way to be concurrent and keep the order."""
    count, order = Count(wanted), Order()
    async with opened() as house:

        async def decoded(message: KafkaMessage) -> Event | None:
            return house.codec.decode(message.body)

        async def handle(message: MessageSent) -> None:
            if busy_s:
                await asyncio.sleep(busy_s)
            order.note(message)
            count.add(1)

        broker = KafkaBroker(house.kafka.bootstrap_servers, apply_types=False, logger=None, graceful_timeout=STOP_S)
        broker.subscriber(
            house.kafka.topic(MessageSent.TOPIC),
            group_id=f"faststream.{uuid4().hex[:8]}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.ACK,
            max_workers=workers,
            decoder=decoded,
        )(handle)
        await broker.start()
        rates = await count.rates()
        await broker.stop()
    return {**rates, "violations": order.violations}
