"""What a member of a transform has the broker hold back."""

from collections.abc import Sequence

import pytest

from infra.kafka_client import KafkaConfig
from infra.kafka_consumer import KafkaConsumer
from infra.transform import QUEUE_BATCHES, TransformRunner
from schemas.messaging.events import MessageSent
from shared_kernel.module import Transform, turn
from shared_kernel.records import Partition, Record
from tests.unit.test_avro import MemoryRegistry, started

BATCH = 10
LEAVING, STAYING = ("messages", 0), ("messages", 1)


async def nothing(_message: MessageSent) -> Sequence[MessageSent]:
    return ()


def record(home: Partition, offset: int) -> Record:
    return Record(*home, offset, None, None, [], 0)


async def test_who_loses_what_waited_reads_on_in_the_partitions_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    held: set[Partition] = set()
    monkeypatch.setattr(KafkaConsumer, "pause", lambda _self, partition: held.add(partition))
    monkeypatch.setattr(KafkaConsumer, "resume", lambda _self, partition: held.discard(partition))
    transform = Transform("turners", (turn(MessageSent, nothing),), BATCH)
    runner = TransformRunner(transform, KafkaConfig("nowhere:1"), await started(MemoryRegistry()))

    await runner._assigned([LEAVING, STAYING])
    runner._deliver([record(LEAVING, at) for at in range(QUEUE_BATCHES * BATCH + 1)])
    assert held == {LEAVING, STAYING}

    await runner._revoked([LEAVING])

    assert STAYING not in held
