"""Port `Past` on the topics themselves."""

from collections.abc import AsyncGenerator, Sequence

from bounded_contexts.realtime.application.ports import NotKept
from bounded_contexts.realtime.application.reactions import EVENTS
from infra.avro import Codec
from infra.kafka_reader import KafkaReader, Partition
from shared_kernel.events import Recorded
from shared_kernel.module import Offsets

TOPICS = tuple(sorted({event.TOPIC for event in EVENTS}))
NAMES = frozenset(event.NAME for event in EVENTS)


class KafkaPast:
    def __init__(self, reader: KafkaReader, codec: Codec) -> None:
        self._reader = reader
        self._codec = codec

    async def read(self, start: Offsets, stop: Offsets) -> AsyncGenerator[Sequence[Recorded], None]:
        wanted, ends = _stretch(start, stop)
        async with self._reader.open(TOPICS) as opened:
            begins = await opened.beginnings()
            if any(begins.get(key, 0) > first for key, first in wanted.items()):
                raise NotKept
            opened.seek(wanted)
            async for batch in opened.batches():
                recorded = await opened.decoded(batch, self._codec, NAMES)
                page = [each for each in recorded if each.position.offset < ends.get(_partition(each), 0)]
                if page:
                    yield page
                reached = await opened.positions()
                if all(reached[key] >= end for key, end in ends.items()):
                    return


def _stretch(start: Offsets, stop: Offsets) -> tuple[dict[Partition, int], dict[Partition, int]]:
    """Return where to begin and where to end in each partition of which something is wanted."""
    firsts = {
        (topic, number): start.get(topic, {}).get(number, 0)
        for topic, partitions in stop.items()
        for number in partitions
    }
    ends = {(topic, number): end for topic, partitions in stop.items() for number, end in partitions.items()}
    wanted = {key: first for key, first in firsts.items() if first < ends[key]}
    return wanted, {key: ends[key] for key in wanted}


def _partition(recorded: Recorded) -> Partition:
    return recorded.position.topic, recorded.position.partition
