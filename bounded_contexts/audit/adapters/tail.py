"""Read a topic as auditors do: every record, decoded, with its position and headers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bounded_contexts.audit.adapters.records import described
from infra.avro import Codec
from infra.kafka_reader import KafkaReader, OpenReader
from shared_kernel.errors import Refused


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which part of a topic: from `beginning`, `end`, an offset or a time on; up to now or going on for ever."""

    start: str
    follow: bool


async def tail(reader: KafkaReader, codec: Codec, topic: str, stretch: Stretch) -> AsyncIterator[dict[str, Any]]:
    """Yield each record as a JSON-like dict. Order holds per partition. A record that cannot be decoded says why.

    Raise `Refused` for a start that is none, `Unavailable` when topic or broker is not there."""
    if not await reader.has(topic):
        raise Refused("unknown_topic", f"there is no topic {topic}; `headwater topics` lists them")
    async with reader.open([topic]) as opened:
        ends = await opened.ends()
        start = await _start(opened, stretch.start)
        opened.seek(start)
        async for batch in opened.batches():
            await codec.learn(raw.value for raw in batch)
            for raw in batch:
                if stretch.follow or raw.offset < ends[topic, raw.partition]:
                    yield described(raw, opened, codec)
            if not stretch.follow and all(at >= ends[key] for key, at in (await opened.positions()).items()):
                return


async def _start(opened: OpenReader, start: str) -> dict[tuple[str, int], int]:
    match start:
        case "beginning":
            return await opened.beginnings()
        case "end":
            return await opened.ends()
    if start.isdecimal():
        begin, end = await opened.beginnings(), await opened.ends()
        return {key: min(max(int(start), first), end[key]) for key, first in begin.items()}
    try:
        since = int(datetime.fromisoformat(start).timestamp() * 1000)
    except (ValueError, OverflowError):  # the year 1 is not everywhere
        raise Refused("invalid_start", "say beginning, end, an offset or an ISO 8601 time") from None
    return await opened.at(since)
