"""Port `Past` on the topics themselves."""

from collections.abc import AsyncGenerator

from bounded_contexts.realtime.application.ports import NotKept, Stretch
from bounded_contexts.realtime.application.updates import HEARD
from infra.avro import Codec
from infra.kafka_reader import KafkaReader
from shared_kernel.module import Offsets

NAMES = frozenset(event.NAME for event in HEARD)


class KafkaPast:
    def __init__(self, reader: KafkaReader, codec: Codec) -> None:
        self._reader = reader
        self._codec = codec

    async def read(self, start: Offsets) -> AsyncGenerator[Stretch, None]:
        first = {(topic, number): at for topic, partitions in start.items() for number, at in partitions.items()}
        async with self._reader.open(sorted(start)) as opened:
            begins = await opened.beginnings()
            if any(begins.get(key, 0) > at for key, at in first.items()):
                raise NotKept
            opened.seek(first)
            async for batch in opened.batches():
                events = await opened.decoded(batch, self._codec, NAMES)
                reached: dict[str, dict[int, int]] = {}
                for (topic, number), at in (await opened.positions()).items():
                    reached.setdefault(topic, {})[number] = at
                yield Stretch(events, reached)
