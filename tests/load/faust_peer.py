"""Faust, one event a time from a stream that acknowledges by itself."""

import tempfile
from typing import Any
from uuid import uuid4

import faust

from schemas.messaging.events import MessageSent
from tests.load.side import Count, opened


async def events(wanted: int) -> dict[str, float]:
    """`stream.events()`, each decoded by us as the other sides do."""
    count = Count(wanted)
    with tempfile.TemporaryDirectory() as directory:
        async with opened() as house:
            app = faust.App(
                f"faust-{uuid4().hex[:8]}",
                broker=f"kafka://{house.kafka.bootstrap_servers}",
                consumer_auto_offset_reset="earliest",
                web_enabled=False,
                topic_disable_leader=True,
                datadir=directory,
            )
            topic = app.topic(
                house.kafka.topic(MessageSent.TOPIC), key_serializer="raw", value_serializer="raw", value_type=bytes
            )

            async def handle(stream: Any) -> None:
                async for event in stream.events():
                    house.codec.decode(event.value)
                    count.add(1)

            app.agent(topic)(handle)
            await app.start()
            rates = await count.rates()
            await app.stop()
    return rates
