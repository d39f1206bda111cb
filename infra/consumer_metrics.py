"""Figures of consumer groups and feeds, and the business figures that contexts declare over their events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from prometheus_client import Counter, Histogram

from infra.metrics import LATENCY_S, SampledGauge
from shared_kernel.module import Count

BY_GROUP = ("group",)
BY_TOPIC = ("group", "topic")
BY_PARTITION = ("group", "topic", "partition")

OUTCOMES = ("handled", "ignored", "dead_letter")
KINDS = ("transient", "permanent")
REDRIVEN = ("handled", "failed")
MOVES = ("assigned", "revoked", "fenced")

RECORDS = Counter(
    "headwater_consumer_records",
    "Records the group is done with: handled, ignored or dead_letter.",
    (*BY_TOPIC, "outcome"),
)
DURATION = Histogram(
    "headwater_consumer_try_duration_seconds",
    "One try: of a batch, its transaction included; with lanes of one event.",
    BY_TOPIC, buckets=LATENCY_S,
)  # fmt: skip
FAILED = Counter(
    "headwater_consumer_failed_attempts",
    "Tries that failed: transient ones are repeated for ever.",
    (*BY_TOPIC, "kind"),
)
REDRIVES = Counter(
    "headwater_consumer_redrives", "Dead letters that were tried again: handled or failed.", (*BY_TOPIC, "outcome")
)
MOVED = Counter(
    "headwater_consumer_partition_moves",
    "Partitions that came (assigned), went (revoked) or were found to be another member's (fenced).",
    (*BY_GROUP, "kind"),
)
PARTITIONS = SampledGauge("headwater_consumer_partitions", "Partitions that this member has.", BY_GROUP)
HELD = SampledGauge(
    "headwater_consumer_held", "1 while operators have paused the group, or this member does not know it yet.", BY_GROUP
)
RETRYING = SampledGauge("headwater_consumer_retrying", "Batches or keys between two tries.", BY_GROUP)
LAG = SampledGauge("headwater_consumer_lag_records", "Records on the partition that are not done yet.", BY_PARTITION)
OLDEST = SampledGauge(
    "headwater_consumer_oldest_unfinished_age_seconds",
    "How long ago the first unfinished of the records read was written, 0 if all are done.",
    BY_PARTITION,
)
RUNNING = SampledGauge(
    "headwater_consumer_running", "Batches, or with lanes keys, that are being handled.", BY_PARTITION
)
WAITING = SampledGauge("headwater_consumer_waiting_records", "Records read and not begun.", BY_PARTITION)
PAUSED = SampledGauge("headwater_consumer_paused", "1 while more waits in memory than the limit.", BY_PARTITION)
LETTERS = SampledGauge("headwater_consumer_dead_letters", "Dead letters that nobody has dealt with.", BY_PARTITION)

_business: dict[str, Counter] = {}

Counts = Mapping[type, Sequence[tuple[Counter, Callable[[Any], int]]]]  # by the event's class


class TopicMetrics:
    """What one group's member tells of one topic."""

    def __init__(self, group: str, topic: str, counts: Counts) -> None:
        # All at 0 from the beginning: of a series that begins with its first dead letter no increase is seen.
        self._records = {outcome: RECORDS.labels(group, topic, outcome) for outcome in OUTCOMES}
        self._failed = {kind: FAILED.labels(group, topic, kind) for kind in KINDS}
        self._redriven = {outcome: REDRIVES.labels(group, topic, outcome) for outcome in REDRIVEN}
        self._duration = DURATION.labels(group, topic)
        self._counts = counts

    def timed(self) -> AbstractContextManager[object]:
        """Return what times one try."""
        return self._duration.time()

    def done(self, records: int, events: Sequence[object] = (), dead: int = 0) -> None:
        """Count records that are done: `events` were handled, `dead` are dead letters, the rest did not matter."""
        self.finished(len(events), records - len(events) - dead, dead)
        self._count(events)

    def finished(self, handled: int, ignored: int = 0, dead: int = 0) -> None:
        """Count records that are done, without business figures."""
        for outcome, records in zip(OUTCOMES, (handled, ignored, dead), strict=True):
            if records:
                self._records[outcome].inc(records)

    def failed(self, *, transient: bool) -> None:
        """Count a try that failed."""
        self._failed["transient" if transient else "permanent"].inc()

    def redriven(self, *events: object) -> None:
        """Count a dead letter that was handled after all."""
        self._redriven["handled"].inc()
        self._count(events)

    def put_back(self) -> None:
        """Count a dead letter that failed again."""
        self._redriven["failed"].inc()

    def _count(self, events: Sequence[object]) -> None:
        for kind, counts in self._counts.items():
            if found := [event for event in events if type(event) is kind]:
                for counter, of in counts:
                    counter.inc(sum(map(of, found)))


class GroupMetrics:
    """What one group's member tells."""

    def __init__(self, group: str, topics: Iterable[str], prefix: str, counts: Iterable[Count] = ()) -> None:
        self.group = group
        self._prefix = prefix
        counters: dict[type, list[tuple[Counter, Callable[[Any], int]]]] = {}
        for count in counts:
            counters.setdefault(count.event, []).append((_counter(count.name, count.help), count.of))
        self._topics = {prefix + topic: TopicMetrics(group, topic, counters) for topic in topics}
        self._moved = {kind: MOVED.labels(group, kind) for kind in MOVES}

    def of(self, topic: str) -> TopicMetrics:
        """Return what is told of the topic, as it is called on the broker."""
        return self._topics[topic]

    def moved(self, kind: str, partitions: int = 1) -> None:
        """Count partitions that came or went."""
        self._moved[kind].inc(partitions)

    def labels(self, partition: tuple[str, int]) -> tuple[str, str, str]:
        """Return the values of `BY_PARTITION`."""
        topic, number = partition
        return self.group, topic.removeprefix(self._prefix), str(number)


def _counter(name: str, help_: str) -> Counter:
    """Return the business counter, made once a process."""
    if name not in _business:
        _business[name] = Counter(f"headwater_{name}", help_)
    return _business[name]
