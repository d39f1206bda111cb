"""Events from the outbox to their topic: the relay beside a loop that sends the same records, which it has at hand."""

import json
from collections.abc import Sequence
from itertools import islice

from confluent_kafka import KafkaError, Message, Producer

from headwater.wiring import House
from infra.envelope import Headers, seal
from infra.kafka_client import RECORD_BYTES
from infra.outbox_metrics import RELAYED
from infra.outbox_relay import OutboxRelay
from schemas.messaging.events import MessageSent
from shared_kernel.causation import Cause, because
from shared_kernel.events import event_key
from tests.load.records import messages
from tests.load.side import Clock, opened
from tests.probes import during, eventually

AT_ONCE = 5_000
LOOK_S = 0.005
REQUEST = Cause("3f1c9a0e-6f0b-4a47-9c0d-0a4f5b7f3a11", "3f1c9a0e-6f0b-4a47-9c0d-0a4f5b7f3a11")
FILL = """
insert into messaging.outbox (topic, key, body, headers)
select $1, key, body, headers::jsonb from unnest($2::text[], $3::bytea[], $4::text[]) as given(key, body, headers)"""

Ready = tuple[str, bytes, Headers]  # key, value, headers


def records(house: House, count: int) -> list[Ready]:
    """Return so many events as they lie in an outbox."""
    with because(REQUEST):
        return [(event_key(each), house.codec.encode(each), seal(each)) for each in islice(messages(), count)]


async def relaying(wanted: int) -> dict[str, float]:
    """As role `relay` does, from an outbox that is full."""
    async with opened() as house:
        made = records(house, wanted)
        database = house.databases["messaging"]
        async with database.driver() as connection:
            await connection.execute("delete from messaging.outbox")
            for first in range(0, wanted, AT_ONCE):
                keys, bodies, headers = zip(*made[first : first + AT_ONCE], strict=True)
                texts = [json.dumps([[name, value.decode()] for name, value in each]) for each in headers]
                await connection.execute(FILL, MessageSent.TOPIC, keys, bodies, texts)
            await connection.execute("analyze messaging.outbox")
        del made
        sent = RELAYED.labels("messaging")

        async def relayed() -> int:
            return int(sent._value.get())

        async with during(OutboxRelay(database, "messaging", house.bulk).run()):
            before = await eventually(relayed, until=lambda count: count >= wanted / 5, every=LOOK_S)
            clock = Clock()
            await eventually(relayed, until=lambda count: count >= wanted, every=LOOK_S)
            return clock.rates(wanted - before)


async def bare(wanted: int) -> dict[str, float]:
    """`produce` and `poll` in a loop, idempotent and acknowledged by all, as the relay's producer is."""
    async with opened() as house:
        made = records(house, wanted)
        settings = {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "queue.buffering.max.messages": wanted,
            "message.max.bytes": RECORD_BYTES,
            "partitioner": "murmur2_random",
        }
        producer = Producer(house.kafka.confluent() | settings)
        topic, acknowledged = house.kafka.topic(MessageSent.TOPIC), 0

        def delivered(error: KafkaError | None, message: Message) -> None:
            nonlocal acknowledged
            assert error is None
            acknowledged += 1

        def send(some: Sequence[Ready]) -> None:
            for key, value, headers in some:
                producer.produce(topic, value, key, on_delivery=delivered, headers=list(headers))
                producer.poll(0)
            producer.flush()

        send(made[: wanted // 5])
        before, clock = acknowledged, Clock()
        send(made[wanted // 5 :])
        assert acknowledged == wanted
        return clock.rates(wanted - before)
