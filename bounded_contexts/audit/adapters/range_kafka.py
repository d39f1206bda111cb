"""Read a range of a topic: from a time or a place on, up to a time or the ends of now, never further."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from infra.avro import Codec
from infra.envelope import event_type, open_headers
from infra.kafka_reader import KafkaReader, OpenReader, Partition, Raw
from shared_kernel.errors import Refused, Unavailable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SILENCE_S = 30.0  # without a record that must be there: the broker is away, of which the library says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which records of a topic. Times are those on the records: from `since` on, before `until`."""

    key: str | None = None
    type: str | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    places: Mapping[int, int] | None = None  # partition → first offset, where an earlier reading stopped


class TopicRange:
    """A range that is being read. `total` offsets lie in it, `done` of them are behind."""

    def __init__(
        self, opened: OpenReader, selection: Selection, start: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> None:
        self.opened = opened
        self._selection = selection
        self._ends = dict(ends)
        self._next = {partition: min(start[partition], ends[partition]) for partition in ends}
        self.total = sum(ends[partition] - self._next[partition] for partition in ends)

    @property
    def done(self) -> int:
        return self.total - sum(self._ends[partition] - self._next[partition] for partition in self._ends)

    def places(self) -> dict[int, int]:
        """Return where each partition is read next."""
        return {number: next_ for (_, number), next_ in self._next.items()}

    async def batches(self, codec: Codec) -> AsyncIterator[list[Raw]]:
        """Yield the selected records, ready to be decoded. Order holds per partition. Raise `Unavailable`."""
        self.opened.seek(self._next)
        self._leave_finished()
        heard_at = monotonic()
        async for batch in self.opened.batches() if self._ends != self._next else _nothing():
            inside = [raw for raw in batch if raw.offset < self._ends[self._partition(raw)]]
            wanted = [raw for raw in inside if self._wants(raw)]
            await codec.learn(raw.value for raw in wanted)
            yield wanted
            heard_at = monotonic() if inside else heard_at
            if monotonic() - heard_at > SILENCE_S:
                raise Unavailable("broker_unavailable", f"nothing came for {SILENCE_S:.0f} s, but more is there")
            for partition, next_ in (await self.opened.positions()).items():
                self._next[partition] = min(next_, self._ends[partition])
            if self._ends == self._next:
                return
            self._leave_finished()

    def _leave_finished(self) -> None:
        self.opened.leave(partition for partition, end in self._ends.items() if self._next[partition] >= end)

    def _partition(self, raw: Raw) -> Partition:
        return self.opened.topic_of(raw), raw.partition

    def _wants(self, raw: Raw) -> bool:
        wanted = self._selection
        return (
            (wanted.since is None or raw.timestamp >= _ms(wanted.since))
            and (wanted.key is None or raw.key == wanted.key.encode())
            and (wanted.type is None or event_type(raw.headers) == wanted.type)
            and (wanted.correlation_id is None or open_headers(raw.headers).correlation_id == wanted.correlation_id)
        )


@asynccontextmanager
async def open_range(reader: KafkaReader, topic: str, selection: Selection) -> AsyncIterator[TopicRange]:
    """Connect and find both ends of the range, times by the broker's index.

    Raise `Refused` for a topic or place that is not there, `Unavailable` when the broker is away."""
    if not await reader.has(topic):
        raise Refused("unknown_topic", f"there is no topic {topic}")
    key = None if selection.key is None else selection.key.encode()
    async with reader.open([topic], key) as opened:
        ends = await opened.ends()
        start = await (opened.at(_ms(selection.since)) if selection.since else opened.beginnings())
        if selection.until:
            before = await opened.at(_ms(selection.until))
            ends = {partition: min(end, before[partition]) for partition, end in ends.items()}
        if selection.places is not None:
            places = selection.places
            start = {(name, number): max(places.get(number, 0), first) for (name, number), first in start.items()}
        yield TopicRange(opened, selection, start, ends)


async def _nothing() -> AsyncIterator[list[Raw]]:
    return
    yield []


def _ms(moment: datetime) -> int:
    """Return the first millisecond that is not before the moment: records know no finer time."""
    return -((EPOCH - moment) // timedelta(milliseconds=1))
