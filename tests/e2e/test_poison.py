"""Records that are no events, on every partition of a topic in use: where each ends, and that nobody waits behind it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from operator import eq
from time import monotonic
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.avro import HEADER, MAGIC, Codec
from infra.envelope import seal
from infra.schema_registry import SchemaRegistry
from schemas.catalogue import EVENTS
from tests.contract.test_event_log import sent
from tests.e2e.conftest import Stack
from tests.e2e.test_message_exchange import Device, device, history, send
from tests.probes import eventually

Api = Callable[[str | UUID], httpx.AsyncClient]

TOPIC, PARTITIONS = "messages", 6
GROUPS = ("messaging.history", "notifications.inbox")
MEGABYTE = 1_000_000
NOBODYS_SCHEMA = 2**31 - 1
PAIRS = 8
ALONE_S = 3.0  # of good keys, for comparison
LAG_S = 1.0

NAMED = "convert_from(header_values[array_position(header_names, 'poison')], 'UTF8')"
LETTERS = " union all ".join(
    f"select consumer, {NAMED} as poison, count(*) from {schema}.dead_letter where 'poison' = any(header_names) group by 1, 2"
    for schema in ("messaging", "notifications")
)


@dataclass(frozen=True, slots=True)
class Poison:
    """A record, and whether the groups that read its topic bury it."""

    name: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    is_buried: bool = True


def poisons(codec: Codec) -> Iterator[Poison]:
    """Yield what anybody may put on a topic."""
    chance = random.Random(1)
    event = sent(uuid4())
    good, key, said = codec.encode(event), str(event.conversation_id).encode(), seal(event)
    foreign = [("ce_type", b"com.example.Other")]
    yield Poison("random bytes", key, b"\xff" + chance.randbytes(200))
    yield Poison("random bytes, said to be an event", key, b"\xff" + chance.randbytes(200), said)
    yield Poison("random bytes, said to be another's event", key, b"\xff" + chance.randbytes(200), foreign, False)
    yield Poison("random bytes behind the id of a schema", key, good[: HEADER.size] + chance.randbytes(200), said)
    yield Poison("truncated", key, good[: len(good) // 2], said)
    yield Poison("unknown schema", key, HEADER.pack(MAGIC, NOBODYS_SCHEMA) + good[HEADER.size :], said)
    yield Poison("tombstone", key, None)
    yield Poison("tombstone, said to be an event", key, None, said)
    yield Poison("empty", key, b"", said)
    yield Poison("no key", None, b"no event")
    yield Poison("a megabyte of key", b"k" * MEGABYTE, b"no event")
    yield Poison("a megabyte of value", key, b"v" * MEGABYTE)


@pytest.fixture
async def codec(stack: Stack) -> AsyncIterator[Codec]:
    found = stack.home.read()
    assert found
    registry = SchemaRegistry(str(found.schema_registry_url))
    codec = Codec(registry, EVENTS)
    await codec.start()
    yield codec
    await registry.close()


class Talk:
    """Conversations that go on; each message is waited for until it is stored."""

    def __init__(self, api: Api) -> None:
        self.pairs = [(uuid4(), uuid4()) for _ in range(PAIRS)]
        self.texts: list[list[str]] = [[] for _ in self.pairs]
        self.conversations = [""] * PAIRS
        self._clients = [api(ann) for ann, _ in self.pairs]

    async def during(self, work: "asyncio.Task[None]") -> float:
        """Talk until the work is done. Return the longest time that a message took until it was stored, in seconds."""
        longest = await asyncio.gather(*(self._talk(number, work) for number in range(PAIRS)))
        await work
        return max(longest)

    async def _talk(self, number: int, work: "asyncio.Task[None]") -> float:
        longest = 0.0
        while not work.done():
            text = str(uuid4())
            body = {"participants": [str(each) for each in self.pairs[number]], "body": text, "client_id": text}
            begun = monotonic()
            answer = await self._clients[number].post("/messages", json=body, headers={"Prefer": "wait=20"})
            longest = max(longest, monotonic() - begun)
            assert answer.status_code == 201, answer.text
            self.conversations[number] = answer.json()["conversation_id"]
            self.texts[number].append(text)
            await asyncio.sleep(0.1)  # the pace of a conversation, not a wait for something
        return longest


async def test_every_poison_ends_at_its_place_and_good_keys_flow(stack: Stack, api: Api, codec: Codec) -> None:
    found = stack.home.read()
    assert found
    kafka, url = str(found.kafka_bootstrap_servers), str(found.database_url)
    talk, bad = Talk(api), list(poisons(codec))
    ann, bob = uuid4(), uuid4()
    conversation = (await send(api(ann), [ann, bob], "with a key"))["conversation_id"]
    keyless = replace(sent(UUID(conversation), "without a key"), sender_id=ann, recipient_ids=(bob,))
    wanted = {(group, each.name): PARTITIONS for group in GROUPS for each in bad if each.is_buried}

    async def spoil() -> None:
        for each in bad:
            await produce(kafka, each, range(PARTITIONS))
        await produce(kafka, Poison("", None, codec.encode(keyless), seal(keyless)), [0])
        await eventually(lambda: letters(url), until=lambda buried: buried == wanted)

    async with device(stack, talk.pairs[0][1], "realtime.delivery.1") as socket:
        alone = await talk.during(asyncio.create_task(asyncio.sleep(ALONE_S)))
        beside = await talk.during(asyncio.create_task(spoil()))
        await eventually(lambda: heard(socket), until=lambda bodies: len(bodies) >= len(talk.texts[0]))
        assert socket.bodies() == talk.texts[0]
    print(
        f"longest until stored: {alone:.2f} s alone, {beside:.2f} s beside {len(bad) * PARTITIONS} records that are no events"
    )

    for (speaker, listener), spoken, texts in zip(talk.pairs, talk.conversations, talk.texts, strict=True):
        assert [each["body"] for each in await history(api(speaker), spoken)] == texts
        await eventually(partial(unread, api(listener)), until=partial(eq, len(texts)))
    kept = await eventually(lambda: history(api(ann), conversation), until=lambda messages: len(messages) == 2)
    assert [each["body"] for each in kept] == ["with a key", "without a key"]
    for group in GROUPS:
        lying = await on_topic(kafka, f"{TOPIC}.{group}.dlq")
        assert lying == {(each.name, each.key, each.value) for each in bad if each.is_buried}
    assert beside < max(LAG_S, 3 * alone)


async def heard(socket: Device) -> list[str]:
    return socket.bodies()


async def unread(api: httpx.AsyncClient) -> int:
    return int((await api.get("/notifications/counts")).raise_for_status().json()["unread"])


async def letters(url: str) -> dict[tuple[str, str], int]:
    """Return (group, poison) → how many dead letters."""
    connection = await asyncpg.connect(url)
    try:
        return {(row["consumer"], row["poison"]): row["count"] for row in await connection.fetch(LETTERS)}
    finally:
        await connection.close()


async def produce(kafka: str, poison: Poison, partitions: Iterable[int]) -> None:
    headers = [*poison.headers, ("poison", poison.name.encode())] if poison.name else poison.headers
    producer = AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=2 * MEGABYTE)
    await producer.start()
    try:
        for number in partitions:
            await producer.send_and_wait(TOPIC, poison.value, poison.key, number, headers=headers)
    finally:
        await producer.stop()


async def on_topic(kafka: str, topic: str) -> set[tuple[str, bytes | None, bytes | None]]:
    """Return poison, key and value of what the topic's one partition has of them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        (end,) = (await consumer.end_offsets([place])).values()
        found = []
        while await consumer.position(place) < end:
            found += [each for records in (await consumer.getmany(timeout_ms=500)).values() for each in records]
    finally:
        await consumer.stop()
    named = [(dict(each.headers).get("poison", b"").decode(), each.key, each.value) for each in found]
    return {each for each in named if each[0]}
