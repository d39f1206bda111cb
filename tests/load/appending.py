"""Appends to the event store, with their outbox rows: those that wait share a statement, or each has its own."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from headwater.wiring import owner_url
from infra.envelope import seal
from infra.event_store_postgres import PostgresEventStore
from schemas.messaging.events import ConversationRenamed
from shared_kernel.events import event_key
from tests.load.producing import rates
from tests.load.side import opened

ALONE = """
with stored as (
    insert into messaging.event (stream, version, id, type, body, recorded_at, headers)
    values ($1, $2, $3, $4, $5, $6, $7::text::jsonb) on conflict (stream, version) do nothing returning id
), sent as (
    insert into messaging.outbox (topic, key, body, headers)
    select $8::text, $9::text, $5::bytea, $7::text::jsonb from stored
)
select id from stored
"""


def _event() -> ConversationRenamed:
    return ConversationRenamed(conversation_id=uuid4(), title="t", renamed_by=uuid4(), renamed_at=datetime.now(UTC))


async def together(seconds: float) -> dict[str, float]:
    """As the command handlers append."""
    async with opened() as house:
        store: PostgresEventStore[ConversationRenamed] = PostgresEventStore(
            house.databases["messaging"], "messaging", house.codec
        )

        async def append() -> None:
            event = _event()
            await store.append(event.conversation_id, 0, (event,))

        return await rates(append, seconds)


async def alone(seconds: float) -> dict[str, float]:
    """One statement, committed by itself, for each command; the same rows, through the driver's own pool of the same size."""
    async with opened() as house:
        size = house.settings.database_pool_size
        url = owner_url(house.settings)
        pool = await asyncpg.create_pool(url, min_size=size, max_size=size)

        async def append() -> None:
            event, now, id_ = _event(), datetime.now(UTC), uuid4()
            headers = json.dumps([[name, value.decode()] for name, value in seal(event, now, id_)])
            body = house.codec.encode(event)
            row = (event.conversation_id, 1, id_, event.NAME, body, now, headers, event.TOPIC, event_key(event))
            assert await pool.fetchval(ALONE, *row) == id_

        try:
            return await rates(append, seconds)
        finally:
            await pool.close()
