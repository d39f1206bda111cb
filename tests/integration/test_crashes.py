"""What happens when parts are away or die: the others go on, and what was acknowledged is there once afterwards."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from headwater.settings import Settings
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.consumer import ConsumerRunner
from infra.kafka_client import KafkaConfig
from infra.kafka_producer import KafkaProducer
from shared_kernel.errors import Unavailable
from tests.integration.conftest import rest_client
from tests.probes import during, eventually
from tests.servers import Servers

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def running(house: House, group: str) -> AsyncIterator[None]:
    """Run one member of a group while the block lasts."""
    pairs = [(module, consumer) for module in house.modules for consumer in module.consumers if consumer.group == group]
    ((module, consumer),) = pairs
    runner = ConsumerRunner(consumer, house.broker, house.codec, house.groups[module.name], house.bulk)
    async with during(runner.run()):
        yield


async def send(api: httpx.AsyncClient, people: list[UUID], number: int) -> dict[str, Any]:
    body = {"participants": [str(each) for each in people], "body": str(number), "client_id": str(number)}
    answer = await api.post("/messages", json=body)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def send_until_acknowledged(api: httpx.AsyncClient, people: list[UUID], number: int) -> None:
    """Do what the documentation asks of a client while the broker is away: again, with the same `client_id`."""
    body = {"participants": [str(each) for each in people], "body": str(number), "client_id": str(number)}
    while (answer := await api.post("/messages", json=body)).status_code != 202:
        assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable"), answer.text


async def stored(api: httpx.AsyncClient, conversation: str) -> list[str]:
    """Return the texts in history, oldest first."""
    answer = await api.get(f"/conversations/{conversation}/messages", params={"order": "oldest", "limit": 200})
    return [message["body"] for message in answer.json()["data"]] if answer.status_code == 200 else []


async def unread(api: httpx.AsyncClient) -> int:
    answer = await api.get("/notifications/counts")
    return int(answer.json()["unread"]) if answer.status_code == 200 else -1


async def test_each_group_goes_on_without_the_other_and_catches_up_once(
    own_house: House, tokens: SharedKeyTokens
) -> None:
    ann, bob = uuid4(), uuid4()
    api = rest_client(own_house, tokens, ann)
    bobs = rest_client(own_house, tokens, bob)

    sent = [await send(api, [ann, bob], number) for number in range(10)]
    async with running(own_house, "notifications.inbox"):
        await eventually(lambda: unread(bobs), until=lambda count: count == 10)
        assert await stored(api, sent[0]["conversation_id"]) == []
    async with running(own_house, "messaging.history"):
        await send(api, [ann, bob], 10)
        found = await eventually(lambda: stored(api, sent[0]["conversation_id"]), until=lambda texts: len(texts) >= 11)
        assert found == [str(number) for number in range(11)]
        assert await unread(bobs) == 10
    async with running(own_house, "notifications.inbox"):
        await eventually(lambda: unread(bobs), until=lambda count: count == 11)


@pytest.mark.parametrize("batches", [1, 3])
async def test_death_between_effect_and_commit_neither_loses_nor_doubles(
    own_house: House, tokens: SharedKeyTokens, tmp_path: Path, batches: int
) -> None:
    ann, bob = uuid4(), uuid4()
    api = rest_client(own_house, tokens, ann)
    conversation = (await send(api, [ann, bob], 0))["conversation_id"]
    marker = tmp_path / "died"

    count = 1
    async with _member(own_house.settings, batches, marker) as member:
        while member.returncode is None:
            await send(api, [ann, bob], count)
            count += 1
            await asyncio.sleep(0.05)  # so that it all stays within one page of history
        assert member.returncode == -9
    async with _member(own_house.settings, batches, marker):
        found = await eventually(lambda: stored(api, conversation), until=lambda texts: len(texts) >= count)

    assert found == [str(number) for number in range(count)]


async def test_without_the_database_sending_goes_on_and_history_catches_up(
    own_house: House, tokens: SharedKeyTokens, servers: Servers
) -> None:
    ann, bob = uuid4(), uuid4()
    api = rest_client(own_house, tokens, ann)
    async with running(own_house, "messaging.history"):
        conversation = (await send(api, [ann, bob], 0))["conversation_id"]
        await eventually(lambda: stored(api, conversation))

        servers.kill_postgres()
        for number in range(1, 100):
            await send(api, [ann, bob], number)
        read = await api.get(f"/conversations/{conversation}/messages")
        await asyncio.to_thread(servers.start_postgres)
        found = await eventually(lambda: stored(api, conversation), until=lambda texts: len(texts) >= 100)

    assert read.status_code == 503
    assert read.json()["code"] == "database_unavailable"
    assert "retry-after" in read.headers
    assert found == [str(number) for number in range(100)]


async def test_a_broker_that_dies_and_comes_back_loses_nothing(
    own_house: House, tokens: SharedKeyTokens, servers: Servers
) -> None:
    ann, bob = uuid4(), uuid4()
    api = rest_client(own_house, tokens, ann)
    async with running(own_house, "messaging.history"):
        conversation = (await send(api, [ann, bob], 0))["conversation_id"]
        await eventually(lambda: stored(api, conversation))

        servers.kill_kafka()
        waiting = asyncio.create_task(send_until_acknowledged(api, [ann, bob], 1))
        await asyncio.to_thread(servers.start_kafka)
        await waiting
        for number in range(2, 50):
            await send(api, [ann, bob], number)
        found = await eventually(lambda: stored(api, conversation), until=lambda texts: len(texts) >= 50)

    assert found == [str(number) for number in range(50)]


@asynccontextmanager
async def _member(settings: Settings, batches: int, marker: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the member that dies while the block lasts."""
    assert settings.database_url and settings.secret_key and settings.jwt_hs256_secret  # noqa: PT018
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": str(settings.kafka_bootstrap_servers),
        "HEADWATER_SCHEMA_REGISTRY_URL": str(settings.schema_registry_url),
        "HEADWATER_DATABASE_URL": settings.database_url.get_secret_value(),
        "HEADWATER_SECRET_KEY": settings.secret_key.get_secret_value(),
        "HEADWATER_JWT_HS256_SECRET": settings.jwt_hs256_secret.get_secret_value(),
        "HEADWATER_TOPIC_PREFIX": settings.topic_prefix,
    }
    script = (sys.executable, "-m", "tests.integration.member_that_dies", str(batches), str(marker))
    process = await asyncio.create_subprocess_exec(*script, env=environment, cwd=ROOT)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_what_no_broker_acknowledges_is_told_with_what_to_do() -> None:
    producer = KafkaProducer(KafkaConfig("127.0.0.1:1"), delivery_timeout_s=1)
    producer.start()

    with pytest.raises(Unavailable) as error:
        await producer.send("messages", "key", b"", [])
    await producer.close()

    assert error.value.detail == "not acknowledged within 1 s; ask again with the same client_id"
