"""Port `EventLog` on Kafka: encoded, sealed and acknowledged by every in-sync replica."""

from infra import tracing
from infra.avro import Codec
from infra.envelope import seal
from infra.kafka_producer import KafkaProducer
from shared_kernel.causation import current_cause
from shared_kernel.events import Event, Position, event_id, event_key


class KafkaLog:
    def __init__(self, producer: KafkaProducer, codec: Codec) -> None:
        self._producer = producer
        self._codec = codec

    async def publish(self, event: Event) -> Position:
        id_, key, cause = event_id(event), event_key(event), current_cause()
        with tracing.sending(event.TOPIC, id_, cause.traceparent if cause else None, key) as span:
            headers = seal(event, id_=id_)
            position = await self._producer.send(event.TOPIC, key, self._codec.encode(event), headers)
            span.at(position)
        return position
