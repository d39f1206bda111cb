"""Run one feed: read its topics from their ends on, for ever, and hand every event over, without a group.

Where reading stands is kept here, so a broker that was away is gone on with where it stopped. A starting process first
reads again the newest records, as many as the feed looks back; `reached` tells when it has come to what is new.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import structlog

from infra.avro import Codec
from infra.consumer_metrics import LAG
from infra.kafka_client import KafkaConfig
from infra.kafka_reader import KafkaReader, OpenReader, Partition, Raw
from infra.member import backoff
from infra.metrics import Sample, sample
from shared_kernel.errors import Unavailable
from shared_kernel.module import Feed, Offsets

ATTEMPTS = 5  # at finding the broker's end before our position, before that is believed

log = structlog.get_logger()


class FeedLost(RuntimeError):
    """The topics no longer have what would come next: they were emptied or made anew, or it took too long to come back."""


class FeedRunner:
    """One process's reading of a feed."""

    def __init__(self, feed: Feed, config: KafkaConfig, codec: Codec) -> None:
        self.ready = asyncio.Event()  # set once what was there at the start has been handed over
        self._feed = feed
        self._reader = KafkaReader(config)
        self._prefix = config.prefix
        self._codec = codec
        self._topics = sorted({event.TOPIC for event in feed.events})
        self._names = frozenset(event.NAME for event in feed.events)
        self._next: dict[Partition, int] = {}  # what is handed over next; empty before the first start
        self._goals: dict[Partition, int] = {}  # the ends that were found at the start
        self._too_far = 0  # times in a row that the ends were before `_next`
        self._open: OpenReader | None = None
        sample(self)

    def samples(self) -> Iterator[Sample]:
        """Yield how far reading is behind each partition's end, as far as the end is known without asking."""
        ends = self._open.known_ends() if self._open else {}
        for (topic, number), end in ends.items():
            yield LAG, (self._feed.name, topic, str(number)), max(end - self._next.get((topic, number), end), 0)

    async def run(self) -> None:
        """Read until cancelled. Raise `FeedLost`, or what `deliver` raises."""
        pauses = backoff()
        while True:
            before = dict(self._next)
            try:
                await self._read()
            except Unavailable as error:
                log.warning("feed.interrupted", feed=self._feed.name, code=error.code, detail=error.detail)
            if self._next != before:
                pauses = backoff()
            await asyncio.sleep(next(pauses))

    async def _read(self) -> None:
        async with self._reader.open(self._topics) as reader:
            await self._seek(reader)
            self._tell()
            self._open = reader
            try:
                await self._deliver(reader)
            finally:
                self._open = None

    async def _deliver(self, reader: OpenReader) -> None:
        async for batch in reader.batches():
            events = await reader.decoded(batch, self._codec, self._names)
            if events:
                await self._feed.deliver(events)
            await self._advance(reader, batch)
            self._tell()

    async def _seek(self, reader: OpenReader) -> None:
        begins, ends = await asyncio.gather(reader.beginnings(), reader.ends())
        if self._next:
            self._check(begins, ends)
        else:
            self._goals = ends
            recent = await self._recent(reader) if self._feed.since else ends
            self._next = {
                key: max(begins[key], min(end - self._feed.lookback, recent.get(key, end))) for key, end in ends.items()
            }
        for key in ends.keys() - self._next.keys():  # a partition that was added
            self._next[key] = begins[key]
        reader.seek(self._next)

    async def _recent(self, reader: OpenReader) -> dict[Partition, int]:
        since = datetime.now(UTC) - self._feed.since
        return await reader.at(int(since.timestamp() * 1000))

    def _check(self, begins: dict[Partition, int], ends: dict[Partition, int]) -> None:
        """Never go on with a gap: the process ends, and its clients are told when they come back."""
        if any(begins.get(key, 0) > offset for key, offset in self._next.items()):
            raise FeedLost(f"{self._feed.name}: records were deleted before they were read")
        if any(ends.get(key, 0) < offset for key, offset in self._next.items()):
            self._too_far += 1
            if self._too_far >= ATTEMPTS:
                raise FeedLost(f"{self._feed.name}: the topics end before what was already read")
            raise Unavailable("feed_ahead", "the topics end before what was already read")
        self._too_far = 0

    async def _advance(self, reader: OpenReader, batch: Sequence[Raw]) -> None:
        if not batch:  # only then also past what is no record, such as the marks of transactions
            self._next.update(await reader.positions())
            return
        for raw in batch:
            key = (raw.topic.removeprefix(self._prefix), raw.partition)
            if raw.offset < self._next.get(key, 0):
                raise FeedLost(f"{self._feed.name}: {key} begins anew")
            self._next[key] = raw.offset + 1

    def _tell(self) -> None:
        if not self.ready.is_set() and all(self._next[key] >= end for key, end in self._goals.items()):
            self.ready.set()
        offsets: dict[str, dict[int, int]] = {}
        for (topic, number), offset in self._next.items():
            offsets.setdefault(topic, {})[number] = offset
        told: Offsets = offsets
        self._feed.reached(told, self.ready.is_set())
