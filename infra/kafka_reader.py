"""Read topics without a group: audit, live tails, sockets that resume. On aiokafka, where asyncio reading is natural."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2

from infra.avro import Codec, Undecodable
from infra.envelope import event_type, open_headers
from infra.kafka_client import KafkaConfig
from shared_kernel.errors import Unavailable
from shared_kernel.events import Position, Recorded

BATCH = 500  # records
WAIT_MS = 200
log = structlog.get_logger()
TALKER = "aiokafka"  # the logger of its client; the loggers below it tell of other things
FETCH_WAIT_MS = 50  # questions about offsets queue behind a fetch that waits for records

Partition = tuple[str, int]  # topic without prefix, number
Raw: TypeAlias = Any  # aiokafka's ConsumerRecord, which has no types: key, value and headers as they lie on the topic


class KafkaReader:
    """Reads any partition from any offset; several readers do not disturb each other."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self.prefix = config.prefix

    async def has(self, topic: str) -> bool:
        """Return whether the topic exists. Raise `Unavailable`."""
        consumer = AIOKafkaConsumer(**self._config.aiokafka())
        try:
            await _start(consumer)
            return self._config.topic(topic) in await consumer.topics()
        except KafkaError as error:
            raise Unavailable("broker_unavailable", type(error).__name__) from error
        finally:
            await asyncio.shield(_stop(consumer))  # a client that went away cancels again and again

    @asynccontextmanager
    async def open(self, topics: Sequence[str], key: bytes | None = None) -> AsyncIterator["OpenReader"]:
        """Connect and take the partitions of the topics, with `key` only those it lies in, standing at their ends.

        Raise `Unavailable`."""
        names = [self._config.topic(topic) for topic in topics]
        settings = self._config.aiokafka()
        settings |= {
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": FETCH_WAIT_MS,
            "isolation_level": "read_committed",  # a transform's records count when their transaction does
        }
        consumer = AIOKafkaConsumer(*names, **settings)
        try:
            await _start(consumer)
            partitions = _partitions_of(consumer, names)
            if key is not None:
                partitions = [each for each in partitions if each.partition == _place(key, each.topic, partitions)]
                consumer.unsubscribe()
                consumer.assign(partitions)
            await consumer.seek_to_end(*partitions)
            yield OpenReader(consumer, self._config.prefix, partitions)
        except UnknownTopicOrPartitionError as error:
            raise Unavailable("topic_missing", f"one of {names} does not exist: run `headwater topics`") from error
        except KafkaError as error:
            raise Unavailable("broker_unavailable", type(error).__name__) from error
        finally:
            await asyncio.shield(_stop(consumer))  # a client that went away cancels again and again


class OpenReader:
    """A connected reader."""

    def __init__(self, consumer: AIOKafkaConsumer, prefix: str, partitions: Sequence[TopicPartition]) -> None:
        self._consumer = consumer
        self._prefix = prefix
        self._partitions = partitions

    async def beginnings(self) -> dict[Partition, int]:
        """Return the offset of the oldest record that is still there, per partition."""
        return self._keyed(await self._consumer.beginning_offsets(self._partitions))

    async def ends(self) -> dict[Partition, int]:
        """Return the offset the next record will get, per partition."""
        return self._keyed(await self._consumer.end_offsets(self._partitions))

    def known_ends(self) -> dict[Partition, int]:
        """Return the ends as the last fetches told, of the partitions that were fetched from."""
        known = {partition: self._consumer.highwater(partition) for partition in self._partitions}
        return self._keyed({partition: end for partition, end in known.items() if end is not None})

    async def at(self, timestamp_ms: int) -> dict[Partition, int]:
        """Return the offset of the first record at or after the time, or the end where there is none."""
        since = max(timestamp_ms, 0)  # what is negative means something else to the broker
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._partitions, since))
        ends = await self._consumer.end_offsets(self._partitions)
        return self._keyed({p: found[p].offset if found.get(p) else ends[p] for p in self._partitions})

    async def positions(self) -> dict[Partition, int]:
        """Return the offset read next, per partition."""
        return self._keyed({partition: await self._consumer.position(partition) for partition in self._partitions})

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Go on reading at these offsets; partitions that are not named stay where they are."""
        for (topic, number), offset in offsets.items():
            self._consumer.seek(TopicPartition(self._prefix + topic, number), offset)

    def leave(self, partitions: Iterable[Partition]) -> None:
        """Read nothing more of these partitions."""
        self._consumer.pause(*(TopicPartition(self._prefix + topic, number) for topic, number in partitions))

    async def batches(self) -> AsyncIterator[list[Raw]]:
        """Yield what arrives, for ever; an empty list when nothing did for a while. Order holds per partition."""
        while True:
            try:
                got = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=BATCH)
            except UnicodeDecodeError:
                await self._go_past_unreadable()
                continue
            yield [record for records in got.values() for record in records]

    async def _go_past_unreadable(self) -> None:
        """Leave out what a producer sent in one batch with a header whose name is no text: aiokafka reads none of it."""
        for partition in self._partitions:
            first = at = await self._consumer.position(partition)
            while not await self._is_readable(partition):
                at += 1
                self._consumer.seek(partition, at)
            self._consumer.seek(partition, at)
            if at > first:
                log.error(
                    "reader.unreadable", topic=partition.topic, partition=partition.partition, first=first, past=at
                )

    async def _is_readable(self, partition: TopicPartition) -> bool:
        try:
            await self._consumer.getmany(partition, timeout_ms=WAIT_MS, max_records=1)
        except UnicodeDecodeError:
            return False
        return True

    def topic_of(self, raw: Raw) -> str:
        """Return the record's topic as the contexts call it."""
        return str(raw.topic).removeprefix(self._prefix)

    def recorded(self, raw: Raw, codec: Codec) -> Recorded | None:
        """Return the record's event, or None for one of somebody else. Call `codec.learn` before. Raise `Undecodable`."""
        event = codec.decode(raw.value)
        if event is None:
            return None
        envelope = open_headers(raw.headers)
        position = Position(self.topic_of(raw), raw.partition, raw.offset)
        return Recorded(
            event,
            position,
            envelope.id,
            envelope.source,
            envelope.subject,
            envelope.time,
            envelope.correlation_id,
            envelope.traceparent,
        )

    async def decoded(self, batch: Sequence[Raw], codec: Codec, names: frozenset[str]) -> list[Recorded]:
        """Return the events of the named types, in order; what cannot be decoded is left to the consumer groups."""
        wanted = [raw for raw in batch if (event_type(raw.headers) or "") in names]
        await codec.learn(raw.value for raw in wanted)
        events = [self._or_none(raw, codec) for raw in wanted]
        return [event for event in events if event is not None]

    def _or_none(self, raw: Raw, codec: Codec) -> Recorded | None:
        try:
            return self.recorded(raw, codec)
        except Undecodable:
            return None

    def _keyed(self, offsets: Mapping[TopicPartition, int]) -> dict[Partition, int]:
        return {(p.topic.removeprefix(self._prefix), p.partition): offset for p, offset in offsets.items()}


class _Heard(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == TALKER:
            self.words.append(record.getMessage())


async def _start(consumer: AIOKafkaConsumer) -> None:
    """Connect. Raise `Unavailable` with the cause, which aiokafka tells its log and not its caller."""
    heard, talker = _Heard(logging.WARNING), logging.getLogger(TALKER)
    talker.addHandler(heard)
    try:
        await consumer.start()
    except KafkaConnectionError as error:
        raise Unavailable("broker_unavailable", heard.words[-1] if heard.words else str(error)) from error
    finally:
        talker.removeHandler(heard)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Close the consumer. While a broker is away, aiokafka 0.14 cancels its own fetch, raises that as if it was us who were
    cancelled, and leaves its connections open."""
    stopped: Any = await asyncio.gather(consumer.stop(), return_exceptions=True)
    failure = stopped[0]
    if isinstance(failure, asyncio.CancelledError):
        await consumer._client.close()
    elif failure:
        raise failure


def _place(key: bytes, topic: str, partitions: Sequence[TopicPartition]) -> int:
    """Return the partition the key's records are in, by the partitioner of infra/kafka_producer.py."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % len([each for each in partitions if each.topic == topic])


def _partitions_of(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> list[TopicPartition]:
    partitions = sorted(consumer.assignment())
    missing = set(topics) - {partition.topic for partition in partitions}
    if missing:
        raise Unavailable("topic_missing", f"{min(missing)} does not exist: run `headwater topics`")
    return partitions
