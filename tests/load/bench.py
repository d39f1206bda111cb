"""Benchmarks of the hot paths, each beside a peer in the same run: `make bench`. Ratios count, absolute figures do not.

Figures depend on the machine and on what else it does; every line is the median of three turns, ours and the peer's in turn.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from headwater import wiring
from headwater.wiring import House
from infra.event_store_postgres import PostgresEventStore
from infra.kafka_log import KafkaLog
from schemas.messaging.events import ConversationRenamed, MessageSent
from tests.conftest import settings_for
from tests.servers import start_servers

TURNS = 3
CALLERS = 64  # tasks that wait for their acknowledgement
EACH = 60  # calls of each

Work = Callable[[int], Awaitable[object]]


async def rate(work: Work) -> float:
    """Return calls a second of `CALLERS` tasks that each wait for one call after the other."""

    async def caller(number: int) -> None:
        for turn in range(EACH):
            await work(number * EACH + turn)

    began = perf_counter()
    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    return CALLERS * EACH / (perf_counter() - began)


async def compare(ours: Work, peer: Work) -> tuple[float, float]:
    """Return the medians of both, measured in turn."""
    await rate(ours), await rate(peer)  # warm
    pairs = [(await rate(ours), await rate(peer)) for _ in range(TURNS)]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


async def publishing(house: House) -> tuple[float, float]:
    """An awaited fact, encoded and sealed, beside aiokafka's awaited send of the same bytes."""
    log = KafkaLog(house.commands, house.codec)
    keys = [uuid4() for _ in range(100)]
    message = MessageSent(
        message_id=uuid4(), conversation_id=keys[0], sender_id=uuid4(), recipient_ids=(uuid4(),), client_id="c",
        body="x" * 100, sent_at=datetime.now(UTC),
    )  # fmt: skip
    value = house.codec.encode(message)
    producer = AIOKafkaProducer(**house.kafka.aiokafka(), acks="all", enable_idempotence=True)
    await producer.start()
    topic = house.kafka.topic("messages")

    async def theirs(number: int) -> None:
        await producer.send_and_wait(topic, value, key=str(keys[number % 100]).encode())

    try:
        return await compare(lambda _: log.publish(message), theirs)
    finally:
        await producer.stop()


async def appending(house: House) -> tuple[float, float]:
    """Appends that share statements beside one statement for each, through the same pool."""
    database = house.databases["messaging"]
    store: PostgresEventStore[ConversationRenamed] = PostgresEventStore(database, "messaging", house.codec)

    def event() -> ConversationRenamed:
        return ConversationRenamed(conversation_id=uuid4(), title="t", renamed_by=uuid4(), renamed_at=datetime.now(UTC))

    async def ours(_: int) -> None:
        renamed = event()
        await store.append(renamed.conversation_id, 0, (renamed,))

    async def alone(_: int) -> None:
        renamed = event()
        async with database.transaction():
            await store.append(renamed.conversation_id, 0, (renamed,))

    return await compare(ours, alone)


async def main() -> None:
    """Measure and print one table."""
    with tempfile.TemporaryDirectory() as directory:
        servers = await asyncio.to_thread(start_servers, Path(directory))
        settings = settings_for(servers)
        await wiring.migrate_all(settings)
        await wiring.make_topics(settings)
        house = wiring.build(settings)
        await house.start()
        table = Table("path", "ours /s", "peer /s", "ratio", "peer")
        for name, measure, peer in (
            ("awaited publish, 64 callers", publishing, "aiokafka send_and_wait"),
            ("append with outbox row, 64 callers", appending, "one transaction each"),
        ):
            one, other = await measure(house)
            table.add_row(name, f"{one:,.0f}", f"{other:,.0f}", f"{one / other:.2f}", peer)
        await house.close()
        await asyncio.to_thread(servers.stop)
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
