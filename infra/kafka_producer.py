"""An asyncio face for confluent-kafka's producer: one thread polls, acknowledgements reach the loop in bursts.

confluent-kafka's own asyncio producer answers 64 awaiting tasks at 32 messages a second with its defaults (docs/adr/0004).
"""

import asyncio
import collections
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from prometheus_client import Counter, Histogram

from infra.crash_points import crash_point
from infra.envelope import Headers
from infra.kafka_client import RECORD_BYTES, KafkaConfig
from infra.metrics import LATENCY_S
from shared_kernel.errors import Unavailable
from shared_kernel.events import Position

POLL_S = 0.1  # how long the thread waits for the first acknowledgement; it notices `close` after that
FOR_EVER = 0  # librdkafka's word for no limit
DELIVERY_TIMEOUT_S = 30  # an unacknowledged record is given up after this long

log = structlog.get_logger()

ACKNOWLEDGED = Histogram(
    "headwater_producer_acknowledgement_seconds", "From handing a record over to its acknowledgement on the loop.",
    ("topic",), buckets=LATENCY_S,
)  # fmt: skip
FAILED = Counter("headwater_producer_failures", "Records that were not acknowledged.", ("topic",))

_Acknowledged = tuple["asyncio.Future[Position]", Position | KafkaError, str, float]  # topic, when it was handed over


class Outgoing(NamedTuple):
    """A record that is to be sent."""

    topic: str  # without prefix
    key: str
    value: bytes
    headers: Sequence[tuple[str, str | bytes]]


@dataclass(slots=True)
class _Burst:
    """Records that somebody waits for together."""

    done: "asyncio.Future[None]"
    records: int
    topics: set[str] = field(default_factory=set)
    began: float = field(default_factory=perf_counter)
    failures: list[tuple[str, KafkaError]] = field(default_factory=list)  # topic as on the broker
    reports: Iterator[int] = field(default_factory=partial(itertools.count, 1))  # counted by whichever thread polls


@cache
def _timer(topic: str) -> Histogram:
    """Return the topic's own histogram: looking it up for each record takes longer than the record's figure."""
    return ACKNOWLEDGED.labels(topic)


class KafkaProducer:
    """Sends with acks=all, idempotent: order per partition holds and the broker drops its own repeats."""

    def __init__(
        self, config: KafkaConfig, *, linger_ms: int = 1, delivery_timeout_s: int = DELIVERY_TIMEOUT_S
    ) -> None:
        self._prefix = config.prefix
        self._given_up = f"not acknowledged within {delivery_timeout_s} s; ask again with the same client_id"
        self._settings = config.confluent() | {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": linger_ms,
            "delivery.timeout.ms": delivery_timeout_s * 1000,
            "queue.buffering.max.messages": 100_000,
            "message.max.bytes": RECORD_BYTES,
            "partitioner": "murmur2_random",  # the JVM clients' choice: one key, one partition, whoever writes
        }
        self._acknowledged: list[_Acknowledged] = []
        self._closed = False
        self._thread = Thread(target=self._poll, name="kafka-producer", daemon=True)

    def start(self) -> None:
        """Begin, on the running loop. The broker is reached when there is something to send."""
        self._loop = asyncio.get_running_loop()
        self._producer = Producer(self._settings)
        self._thread.start()

    async def ping(self, timeout_s: float) -> None:
        """Ask the cluster for its metadata. Raise `Unavailable`."""
        try:
            await asyncio.to_thread(self._producer.list_topics, timeout=timeout_s)
        except KafkaException as error:
            raise Unavailable("broker_unavailable", str(error)) from error

    def send(
        self, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers
    ) -> "asyncio.Future[Position]":
        """Hand one record over; the future ends with its position, or `Unavailable` when it was not acknowledged."""
        future: asyncio.Future[Position] = self._loop.create_future()
        began = perf_counter()

        def delivered(error: KafkaError | None, message: Message) -> None:
            position = error or Position(topic, message.partition() or 0, message.offset() or 0)
            self._acknowledged.append((future, position, topic, began))

        try:
            wire_headers: Any = headers
            self._producer.produce(self._prefix + topic, value, key, on_delivery=delivered, headers=wire_headers)
        except BufferError:
            FAILED.labels(topic).inc()
            future.set_exception(Unavailable("broker_unavailable", "too many records wait for the broker"))
        except KafkaException as error:
            FAILED.labels(topic).inc()
            future.set_exception(Unavailable("broker_unavailable", str(error)))
        return future

    def send_all(self, records: Sequence[Outgoing]) -> "asyncio.Future[None]":
        """Hand records over in their order; the future ends when all are acknowledged, or with `Unavailable` for one that was
        not. Raise `Unavailable` for one that is not taken: none behind it is handed over."""
        burst = _Burst(self._loop.create_future(), len(records))
        report, produce = partial(self._reported, burst), self._producer.produce
        names = {each.topic: self._prefix + each.topic for each in records}
        burst.topics.update(names)
        try:
            for topic, key, value, headers in records:
                wire_headers: Any = headers
                produce(names[topic], value, key, on_delivery=report, headers=wire_headers)
        except (BufferError, KafkaException) as error:
            FAILED.labels(topic).inc()
            raise Unavailable("broker_unavailable", f"not taken: {error}") from error
        return burst.done

    def _reported(self, burst: _Burst, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            burst.failures.append((message.topic() or "", error))
        if next(burst.reports) == burst.records:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                self._loop.call_soon_threadsafe(self._resolve_all, burst)

    def _resolve_all(self, burst: _Burst) -> None:
        for topic, error in burst.failures:
            FAILED.labels(topic.removeprefix(self._prefix)).inc()
            log.warning("kafka.not_acknowledged", reason=error.str(), records=1)
        for topic in burst.topics:
            _timer(topic).observe(perf_counter() - burst.began)
        if burst.done.done():  # the caller went away
            return
        if burst.failures:
            burst.done.set_exception(Unavailable("broker_unavailable", burst.failures[0][1].str()))
        else:
            burst.done.set_result(None)

    async def close(self) -> None:
        """Wait for what was handed over, then stop. Does nothing before `start`."""
        if not self._thread.is_alive():
            return
        await asyncio.to_thread(self._producer.flush, DELIVERY_TIMEOUT_S)
        self._closed = True
        await asyncio.to_thread(self._thread.join)

    def _poll(self) -> None:
        while not self._closed:
            self._producer.poll(POLL_S)
            if self._acknowledged:
                burst, self._acknowledged = self._acknowledged, []
                with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                    self._loop.call_soon_threadsafe(self._resolve, burst)

    def _resolve(self, burst: list[_Acknowledged]) -> None:
        crash_point("publish.after-acknowledgement")
        now = perf_counter()
        lost = collections.Counter(result.str() for _, result, _, _ in burst if isinstance(result, KafkaError))
        for reason, records in lost.items():
            log.warning("kafka.not_acknowledged", reason=reason, records=records)
        for future, result, topic, began in burst:
            if isinstance(result, Position):
                _timer(topic).observe(now - began)
            else:
                FAILED.labels(topic).inc()
            if future.done():  # the caller went away
                continue
            if isinstance(result, Position):
                future.set_result(result)
            else:
                late = result.code() == KafkaError._MSG_TIMED_OUT
                future.set_exception(Unavailable("broker_unavailable", self._given_up if late else result.str()))
