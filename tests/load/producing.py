"""Tasks that each wait for the broker's acknowledgement before they go on: ours beside aiokafka."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer

from infra.envelope import seal
from infra.kafka_log import KafkaLog
from schemas.messaging.events import MessageSent
from shared_kernel.causation import Cause, because
from shared_kernel.events import event_key
from tests.load.records import messages
from tests.load.side import Clock, opened

CALLERS = 64
WARM_S = 0.2
REQUEST = Cause("request", "request")  # what publishes always has one


async def rates(work: Callable[[], Awaitable[object]], seconds: float) -> dict[str, float]:
    """Return calls a second of `CALLERS` tasks that each wait for one call after the other."""

    async def caller(clock: Clock, seconds: float) -> int:
        calls = 1
        await work()
        while clock.seconds < seconds:
            await work()
            calls += 1
        return calls

    async def all_of_them(clock: Clock, seconds: float) -> int:
        return sum(await asyncio.gather(*(caller(clock, seconds) for _ in range(CALLERS))))

    await all_of_them(Clock(), WARM_S)
    clock = Clock()
    return clock.rates(await all_of_them(clock, seconds))


async def publishing(seconds: float) -> dict[str, float]:
    """A fact published as the command handlers do."""
    made = messages()
    async with opened() as house:
        log = KafkaLog(house.commands, house.codec)
        with because(REQUEST):
            return await rates(lambda: log.publish(next(made)), seconds)


async def aiokafka(seconds: float) -> dict[str, float]:
    """The same records, encoded and sealed by the same code, sent with `send_and_wait`."""
    made = messages()
    async with opened() as house:
        producer = AIOKafkaProducer(**house.kafka.aiokafka(), acks="all", enable_idempotence=True)
        await producer.start()
        topic = house.kafka.topic(MessageSent.TOPIC)

        async def send() -> None:
            message = next(made)
            key, value = event_key(message).encode(), house.codec.encode(message)
            await producer.send_and_wait(topic, value, key=key, headers=seal(message))

        try:
            with because(REQUEST):
                return await rates(send, seconds)
        finally:
            await producer.stop()
