"""Port `EventLog`: the twin and Kafka keep the same promises."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from headwater.wiring import House
from infra.kafka_log import KafkaLog
from infra.memory import MemoryLog
from schemas.messaging.events import MessageSent
from shared_kernel.events import EventLog, event_id


def sent(conversation: UUID, body: str = "hello") -> MessageSent:
    return MessageSent(
        message_id=uuid4(),
        conversation_id=conversation,
        sender_id=uuid4(),
        recipient_ids=(uuid4(),),
        client_id="c",
        body=body,
        sent_at=datetime.now(UTC),
    )


class EventLogContract:
    async def test_events_of_one_key_are_ordered_as_published(self, log: EventLog) -> None:
        conversation = uuid4()

        positions = [await log.publish(sent(conversation)) for _ in range(5)]

        assert len({(position.topic, position.partition) for position in positions}) == 1
        offsets = [position.offset for position in positions]
        assert offsets == sorted(set(offsets))

    async def test_events_published_together_keep_their_order_of_call(self, log: EventLog) -> None:
        conversation = uuid4()

        positions = await asyncio.gather(*(log.publish(sent(conversation)) for _ in range(200)))

        offsets = [position.offset for position in positions]
        assert offsets == sorted(set(offsets))

    async def test_a_repeat_is_a_second_record_with_the_same_id(self, log: EventLog) -> None:
        message = sent(uuid4())

        first, second = await log.publish(message), await log.publish(message)

        assert first != second
        assert event_id(message) == event_id(message)


class TestMemoryLog(EventLogContract):
    @pytest.fixture
    def log(self) -> EventLog:
        return MemoryLog()


class TestKafkaLog(EventLogContract):
    @pytest.fixture
    def log(self, house: House) -> EventLog:
        return KafkaLog(house.commands, house.codec)
