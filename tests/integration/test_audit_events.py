"""Events for auditors over REST, read from real Kafka through a real socket."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn

from bounded_contexts.audit import module as audit
from bounded_contexts.audit.adapters import range_kafka
from bounded_contexts.audit.adapters.http import STREAMS
from bounded_contexts.realtime.adapters.sessions_postgres import PostgresSessions
from headwater import wiring
from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from infra.kafka_log import KafkaLog
from infra.kafka_reader import KafkaReader, OpenReader, Raw
from infra.outcomes import Outcomes
from infra.server import LimitedHttp
from shared_kernel.causation import Cause, because
from shared_kernel.events import Position
from tests.contract.test_event_log import sent
from tests.integration.conftest import Client
from tests.integration.nodes import Server
from tests.probes import eventually
from tests.servers import Servers

Lines = list[dict[str, Any]]


@dataclass
class Watched(KafkaReader):
    """The reader, counting what it does."""

    house: House
    open_now: int = 0
    fetched: int = 0
    assigned: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.house.kafka)

    @asynccontextmanager
    async def open(self, topics: Sequence[str], key: bytes | None = None) -> AsyncIterator[OpenReader]:
        async with super().open(topics, key) as opened:
            self.open_now += 1
            self.assigned = sorted(await opened.ends())
            batches = opened.batches

            async def counted() -> AsyncIterator[list[Raw]]:
                async with aclosing(batches()) as each:  # type: ignore[type-var]
                    async for batch in each:
                        self.fetched += len(batch)
                        yield batch

            opened.batches = counted  # type: ignore[method-assign]
            try:
                yield opened
            finally:
                self.open_now -= 1


@pytest.fixture
def reader(own_house: House) -> Watched:
    return Watched(own_house)


@pytest.fixture
async def port(own_house: House, reader: Watched) -> AsyncIterator[int]:
    """A web process on a real socket."""
    ports = wiring.audit_ports(own_house.settings, own_house.databases[audit.NAME])
    outcomes = Outcomes(own_house.kafka, lambda: own_house.modules, own_house.groups)
    own = audit.module(
        ports,
        outcomes,
        PostgresSessions(own_house.databases["realtime"], own_house.codec),
        reader,
        own_house.codec,
        ["messages"],
        [],
    )
    own_house.modules = (*(each for each in own_house.modules if each.name != audit.NAME), own)
    app = application(own_house, {"web"}, Health(("web",), {}))
    config = uvicorn.Config(app, port=0, http=LimitedHttp, lifespan="off", log_config=None)
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: asyncio.sleep(0, server.started))
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.fixture
async def api(port: int, tokens: SharedKeyTokens) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {tokens.issue(uuid4(), ('auditor',))}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=60) as client:
        yield client


async def publish(house: House, key: UUID, count: int, body: str = "Hello") -> list[Position]:
    log = KafkaLog(house.bulk, house.codec)
    return list(await asyncio.gather(*(log.publish(sent(key, body)) for _ in range(count))))


async def events(api: httpx.AsyncClient, **query: Any) -> Lines:
    answer = await api.get("/audit/events", params={"topic": "messages"} | query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize(
    ("roles", "status"), [((), 403), (("moderator",), 403), (("auditor",), 200), (("admin", "x"), 200)]
)
async def test_only_auditors_and_administrators_read(client: Client, roles: tuple[str, ...], status: int) -> None:
    answer = await client(uuid4(), *roles).get("/audit/events", params={"topic": "messages", "limit": 1})
    nobody = await client().get("/audit/events", params={"topic": "messages"})

    assert answer.status_code == status
    assert nobody.status_code == 401


async def test_every_event_comes_decoded_with_its_place_and_headers(own_house: House, api: httpx.AsyncClient) -> None:
    ann, key = uuid4(), uuid4()
    with because(Cause("the-request", "the-request", actor=ann)):
        (position,) = await publish(own_house, key, 1)
    await publish(own_house, uuid4(), 20)

    found = await events(api)
    (line,) = [each for each in found if each["key"] == str(key)]

    assert len(found) == 21
    assert (line["topic"], line["partition"], line["offset"]) == ("messages", position.partition, position.offset)
    assert line["type"] == "headwater.messaging.MessageSent"
    assert line["data"]["body"] == "Hello"
    assert line["headers"]["ce_correlationid"] == "the-request"
    assert line["headers"]["ce_actor"] == str(ann)


async def test_filters(own_house: House, api: httpx.AsyncClient) -> None:
    key = uuid4()
    with because(Cause("wanted", "wanted")):
        await publish(own_house, key, 1)
    await publish(own_house, key, 4)
    await publish(own_house, uuid4(), 4)

    assert len(await events(api, correlation_id="wanted")) == 1
    assert len(await events(api, key=str(key))) == 5
    assert len(await events(api, type="headwater.messaging.MessageSent")) == 9
    assert await events(api, type="headwater.messaging.MessageEdited") == []
    assert len(await events(api, limit=3)) == 3


async def test_with_a_key_only_its_partition_is_read(own_house: House, api: httpx.AsyncClient, reader: Watched) -> None:
    for _ in range(5):
        key = uuid4()
        (position,) = await publish(own_house, key, 1)
        assert len(await events(api, key=str(key))) == 1
        assert reader.assigned == [("messages", position.partition)]


async def test_a_time_range_is_found_by_the_index_and_not_by_reading(
    own_house: House, api: httpx.AsyncClient, reader: Watched
) -> None:
    key, start = uuid4(), datetime(2026, 1, 31, tzinfo=UTC)
    value = own_house.codec.encode(sent(key))
    topic = own_house.kafka.topic("messages")
    producer = own_house.bulk._producer
    for second in range(3000):
        stamp = int((start + timedelta(seconds=second)).timestamp() * 1000)
        producer.produce(topic, value, str(key), timestamp=stamp)
    await asyncio.to_thread(producer.flush)

    since, until = start + timedelta(seconds=2900), start + timedelta(seconds=2910)
    found = await events(api, **{"from": since.isoformat(), "to": until.isoformat()})

    assert [line["timestamp"] for line in found] == [
        (since + timedelta(seconds=each)).isoformat() for each in range(10)
    ]
    assert reader.fetched < 600


async def test_reading_goes_on_after_any_line(own_house: House, api: httpx.AsyncClient) -> None:
    for _ in range(8):
        await publish(own_house, uuid4(), 5)
    seen: Lines = []
    while page := await events(api, limit=7, **({"position": seen[-1]["position"]} if seen else {})):
        seen += page

    assert len({(line["partition"], line["offset"]) for line in seen}) == len(seen) == 40


async def test_it_ends_where_the_topic_ended_when_it_began(own_house: House, api: httpx.AsyncClient) -> None:
    await publish(own_house, uuid4(), 3000, "x" * 3000)
    count = 0
    async with api.stream("GET", "/audit/events", params={"topic": "messages"}) as answer:
        async for line in answer.aiter_lines():
            if count == 0:
                await publish(own_house, uuid4(), 100)
            count += bool(line)

    assert count == 3000


async def test_what_cannot_be_decoded_is_shown_as_it_is_and_ends_nothing(
    own_house: House, api: httpx.AsyncClient
) -> None:
    key = str(uuid4())
    for value in (own_house.codec.encode(sent(uuid4())), b"\x00no event", None, own_house.codec.encode(sent(uuid4()))):
        await own_house.bulk.send("messages", key, value, [("h", b"\xff"), ("none", None)])  # type: ignore[list-item]

    found = await events(api, key=key)

    assert ["data" in line for line in found] == [True, False, False, True]
    assert base64.b64decode(found[1]["value"]) == b"\x00no event"
    assert found[2]["value"] is None
    assert "schema" in found[1]["error"]
    assert "schema" in found[2]["error"]


async def test_reading_stops_when_the_client_has_gone(
    own_house: House, api: httpx.AsyncClient, reader: Watched
) -> None:
    await publish(own_house, uuid4(), 8000, "x" * 3000)
    async with api.stream("GET", "/audit/events", params={"topic": "messages"}) as answer:
        await anext(answer.aiter_lines())
        assert reader.open_now == 1

    await eventually(lambda: asyncio.sleep(0, reader.open_now), until=lambda count: count == 0)
    assert reader.fetched < 8000


async def test_a_client_that_does_not_read_holds_the_reading_up(
    own_house: House, port: int, tokens: SharedKeyTokens, reader: Watched
) -> None:
    await publish(own_house, uuid4(), 8000, "x" * 3000)
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.setblocking(False)
    await asyncio.get_running_loop().sock_connect(lazy, ("127.0.0.1", port))
    request = (
        f"GET /api/v1/audit/events?topic=messages HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {tokens.issue(uuid4(), ('admin',))}\r\n\r\n"
    )
    await asyncio.get_running_loop().sock_sendall(lazy, request.encode())

    counts: list[int] = []

    async def stands_still() -> bool:
        counts.append(reader.fetched)
        return len(counts) > 100 and counts[-1] == counts[-100] > 0

    await eventually(stands_still, every=0.02)
    assert reader.fetched < 4000
    lazy.close()
    await eventually(lambda: asyncio.sleep(0, reader.open_now), until=lambda count: count == 0)


async def test_only_so_many_are_read_at_once(own_house: House, api: httpx.AsyncClient) -> None:
    await publish(own_house, uuid4(), 8000, "x" * 3000)
    async with AsyncExitStack() as opened:
        for _ in range(STREAMS):
            await opened.enter_async_context(api.stream("GET", "/audit/events", params={"topic": "messages"}))
        refused = await api.get("/audit/events", params={"topic": "messages"})
    again = await api.get("/audit/events", params={"topic": "messages", "limit": 1})

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
    assert again.status_code == 200


async def test_a_broker_that_goes_away_in_mid_stream_is_the_last_line(
    own_house: House, api: httpx.AsyncClient, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(own_house, uuid4(), 8000, "x" * 3000)
    monkeypatch.setattr(range_kafka, "SILENCE_S", 1.0)
    lines: list[str] = []
    try:
        async with api.stream("GET", "/audit/events", params={"topic": "messages"}) as answer:
            async for line in answer.aiter_lines():
                if not lines:
                    servers.kill_kafka()
                lines.append(line)
    finally:
        await asyncio.to_thread(servers.start_kafka)

    assert 0 < len(lines) <= 8000
    assert json.loads(lines[-1])["problem"]["code"] == "broker_unavailable"
    assert all("problem" not in json.loads(line) for line in lines[:-1])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"topic": "nowhere"}, "unknown_topic"),
        ({"topic": "__consumer_offsets"}, "unknown_topic"),
        ({"topic": "messages", "position": "made up"}, "invalid_position"),
        ({"topic": "messages", "from": "yesterday"}, "validation_failed"),
        ({"topic": "messages", "limit": "0"}, "validation_failed"),
        ({}, "validation_failed"),
    ],
)
async def test_what_cannot_be_read_is_a_plain_problem(client: Client, query: dict[str, str], code: str) -> None:
    answer = await client(uuid4(), "auditor").get("/audit/events", params=query)

    assert answer.status_code == 422
    assert answer.json()["code"] == code
