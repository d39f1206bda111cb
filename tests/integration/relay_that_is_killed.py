"""A process that relays messaging's outbox until it is killed: as the product does, or by the highest number it has seen.

Started by a test, with the kind of relay, the database's URL, the brokers and the topics' prefix.
"""

import asyncio
import json
import os
import sys
from typing import Any

from infra.kafka_client import KafkaConfig
from infra.kafka_producer import FOR_EVER, KafkaProducer
from infra.outbox_relay import OutboxRelay
from infra.postgres import Database

NAME = "relay process"  # and its number: by which the test finds who holds the lock

BEHIND = (
    "select id, topic, key, body, headers::text from messaging.outbox where id > (select last from relayed) order by id"
)


class NaiveRelay(OutboxRelay):
    """Goes by a high-water mark, which it keeps, and deletes what lies below it."""

    async def _relay(self, connection: Any) -> None:
        while True:
            rows = await connection.fetch(BEHIND)
            for row in rows:
                headers = [(name, value.encode()) for name, value in json.loads(row["headers"])]
                await self._producer.send(row["topic"], row["key"], row["body"], headers)
            if rows:
                await connection.execute("update relayed set last = $1", rows[-1]["id"])
                await connection.execute("delete from messaging.outbox where id <= $1", rows[-1]["id"])
            await asyncio.sleep(0.01)


RELAYS = {"kept": OutboxRelay, "naive": NaiveRelay}


async def main(kind: str, url: str, brokers: str, prefix: str) -> None:
    """Relay for ever."""
    database = Database(url, name=f"{NAME} {os.getpid()}")
    producer = KafkaProducer(KafkaConfig(brokers, prefix), linger_ms=5, delivery_timeout_s=FOR_EVER)
    producer.start()
    await RELAYS[kind](database, "messaging", producer).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
