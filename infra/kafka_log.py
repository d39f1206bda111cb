"""Port `EventLog` on Kafka: encoded, sealed and acknowledged by every in-sync replica."""

from infra.avro import Codec
from infra.envelope import seal
from infra.kafka_producer import KafkaProducer
from shared_kernel.events import Event, Position, event_key


class KafkaLog:
    def __init__(self, producer: KafkaProducer, codec: Codec) -> None:
        self._producer = producer
        self._codec = codec

    async def publish(self, event: Event) -> Position:
        return await self._producer.send(event.TOPIC, event_key(event), self._codec.encode(event), seal(event))
