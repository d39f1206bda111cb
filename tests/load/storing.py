"""From Kafka into a table with a primary key and a second index."""

import asyncio
from collections.abc import Sequence
from typing import Any

from headwater.wiring import House
from schemas.messaging.events import MessageSent
from shared_kernel.module import on_batch
from tests.load.consuming import rates_of, raw_consumer
from tests.load.side import Count, opened

BATCH = 2_000  # records, on both sides
COLUMNS = ("message_id", "conversation_id", "sender_id", "client_id", "body", "sent_at")
TABLE = """
create table messaging.bench (message_id uuid primary key, conversation_id uuid not null, sender_id uuid not null,
                              client_id text not null, body text not null, sent_at timestamptz not null);
create index on messaging.bench (conversation_id, sent_at);
grant all on messaging.bench to public;
"""
INSERT = """
insert into messaging.bench select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])
on conflict (message_id) do nothing
"""

Row = tuple[Any, ...]


def _rows(messages: Sequence[MessageSent]) -> list[Row]:
    return [
        (each.message_id, each.conversation_id, each.sender_id, each.client_id, each.body, each.sent_at)
        for each in messages
    ]


async def _empty(house: House) -> None:
    async with house.databases["messaging"].driver() as connection:
        await connection.execute("truncate messaging.bench")


async def once(wanted: int) -> dict[str, float]:
    """A batch handler whose insert goes by the message's id, in the transaction that moves the group's position."""
    count = Count(wanted)
    async with opened() as house:
        await _empty(house)

        async def handle(messages: Sequence[MessageSent]) -> None:
            columns = tuple(list(column) for column in zip(*_rows(messages), strict=True))
            async with house.databases["messaging"].transaction() as connection:
                await connection.exec_driver_sql(INSERT, columns)
            count.add(len(messages))

        return await rates_of(house, count, on_batch(MessageSent, handle), batch_size=BATCH)


async def copy(wanted: int) -> dict[str, float]:
    """The same by hand with COPY, which fails on a repeat, then a commit at the broker."""
    count = Count(wanted)
    async with opened() as house, house.databases["messaging"].driver() as connection:
        await _empty(house)
        rates = asyncio.create_task(count.rates())
        with raw_consumer(house) as consumer:
            while not rates.done():
                found = [each for each in consumer.consume(BATCH, 0.1) if each.error() is None]
                if found:
                    await house.codec.learn(each.value() for each in found)
                    messages: Any = [house.codec.decode(each.value()) for each in found]
                    await connection.copy_records_to_table(
                        "bench", records=_rows(messages), columns=COLUMNS, schema_name="messaging"
                    )
                    count.add(len(messages))
                    consumer.commit(asynchronous=True)
                await asyncio.sleep(0)
        return await rates
