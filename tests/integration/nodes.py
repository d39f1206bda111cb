"""Gateway nodes in this process, and devices that connect to them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4, uuid5

import socketio
import uvicorn
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from bounded_contexts.realtime.adapters.gateway import FEED, ChatGateway
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.updates import HEARD
from headwater import wiring
from headwater.configured import shared_key_tokens
from headwater.roles import server_config
from headwater.settings import Settings
from headwater.wiring import House
from headwater.wiring_realtime import ports_of_realtime
from infra.feed import FeedRunner
from infra.health import Health
from infra.kafka_client import KafkaConfig
from infra.kafka_producer import KafkaProducer
from infra.kafka_reader import KafkaReader
from infra.opaque import OpaqueTokens
from infra.server import LimitedHttp, LimitedSockets
from infra.topics import ensure_topics
from schemas.messaging.events import MessageErased, MessageSent
from shared_kernel.module import Feed, SocketCommand, Topic
from tests.conftest import SECRET
from tests.probes import eventually
from tests.topics import delete_topics

CHAT = "/chat"
QUIET: Mapping[str, Any] = {"logger": False, "engineio_logger": False}


@dataclass(frozen=True, slots=True)
class Node:
    """A running gateway."""

    url: str
    gateway: ChatGateway


@asynccontextmanager
async def own_topics(house: House) -> AsyncIterator[House]:
    """Yield the house with topics of its own, whose records may be deleted."""
    kafka = replace(house.kafka, prefix=f"{house.kafka.prefix}{uuid4().hex[:8]}.")
    await ensure_topics(kafka, [Topic("messages"), Topic("conversations"), Topic("ui-updates")], 1)
    producer = KafkaProducer(kafka)
    producer.start()
    try:
        yield replace(house, kafka=kafka, commands=producer)
    finally:
        await producer.close()
        await asyncio.to_thread(delete_topics, kafka)


class NoText(str):
    """The name of a header as other clients may write it."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe\x80"


async def publish_header_that_is_no_text(config: KafkaConfig, topic: str) -> None:
    """Put a record on the topic that our own clients cannot read."""
    with patch("aiokafka.producer.message_accumulator.DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy):
        async with AIOKafkaProducer(bootstrap_servers=config.bootstrap_servers) as producer:
            batch = producer.create_batch()
            batch.append(key=b"k", value=b"no event", timestamp=None, headers=[(NoText("x"), b"y")])
            await (await producer.send_batch(batch, config.topic(topic), partition=0))


async def delete_records(kafka: KafkaConfig, topic: str) -> None:
    """Have the broker forget everything on the topic, as retention does."""
    async with KafkaReader(kafka).open([topic]) as reader:
        ends = await reader.ends()
    partitions = [TopicPartition(kafka.topic(name), number, end) for (name, number), end in ends.items()]
    admin = AdminClient(kafka.confluent())
    for done in admin.delete_records(partitions).values():
        await asyncio.to_thread(done.result, 20)


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def node(
    house: House, commands: Mapping[str, SocketCommand] | None = None, limits: Limits | None = None
) -> AsyncIterator[Node]:
    """Run a gateway, its feed and a server while the block lasts; enter once it is ready."""
    limits = limits or Limits(drain_s=0.1)
    ports = ports_of_realtime(house, wiring.messaging_ports(house), commands or {})
    gateway = ChatGateway(ports, house.access_tokens, OpaqueTokens(SECRET), limits)
    runner = FeedRunner(
        Feed(FEED, HEARD, gateway.deliver, gateway.reached, limits.lookback_records), house.kafka, house.codec
    )
    reading = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(runner.ready.wait(), 60)
        async with _served(gateway) as url:
            yield Node(url, gateway)
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


@asynccontextmanager
async def _served(gateway: ChatGateway) -> AsyncIterator[str]:
    config = uvicorn.Config(
        gateway.asgi,
        port=0,
        loop="none",
        lifespan="off",
        http=LimitedHttp,
        ws=LimitedSockets,
        ws_per_message_deflate=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    async with served(config, gateway.close) as url:
        yield url


@asynccontextmanager
async def served(config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> AsyncIterator[str]:
    """Run a server while the block lasts."""
    server = Server(config)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        await drain()
        server.should_exit = True
        await serving


@asynccontextmanager
async def role_process(settings: Settings, *roles: str, **other: Any) -> AsyncIterator[str]:
    """Run the gateway's role as `headwater run` does, and others that answer requests; yield its address."""
    house = wiring.build(settings.model_copy(update={"port": 0} | other))
    await house.start()
    (module,) = (each for each in house.modules if each.feed)
    assert module.feed
    assert module.drain
    runner = FeedRunner(module.feed, house.kafka, house.codec)
    hearing = FeedRunner(house.revocations.feed, house.kafka, house.codec)
    reading = [asyncio.create_task(each.run()) for each in (runner, hearing)]
    try:
        for each in (runner, hearing):
            await asyncio.wait_for(each.ready.wait(), 60)
        config = server_config(house, {module.feed.name, *roles}, Health((module.feed.name, *roles), {}))
        async with served(config, module.drain) as url:
            yield url
    finally:
        for task in reading:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await house.close()


class Device:
    """One client that notes what it hears."""

    def __init__(self, url: str, auth: Any, transports: Sequence[str] = ("websocket",)) -> None:
        self._url, self._auth, self._transports = url, auth, list(transports)
        self.client = socketio.AsyncClient(reconnection=False, **QUIET)
        self.events: list[dict[str, Any]] = []  # those that carry a position
        self.about: list[tuple[str, dict[str, Any]]] = []  # those about the session
        self.refusal: Any = None
        self.client.on("*", self._heard, namespace=CHAT)
        self.client.on("connect_error", self._refused, namespace=CHAT)

    async def connect(self) -> "Device":
        """Connect and wait for what the gateway says to that; `refusal` is what it says when it does not let us in."""
        with contextlib.suppress(socketio.exceptions.ConnectionError):
            await self.client.connect(
                self._url, namespaces=[CHAT], auth=self._auth, transports=self._transports, wait_timeout=60
            )

        async def answered() -> bool:
            return bool(self.about or self.refusal)

        await eventually(answered)
        return self

    async def ask(self, name: str, payload: Any = None) -> Any:
        """Emit and return the ack."""
        return await self.client.call(name, payload, namespace=CHAT, timeout=60)

    async def hears(self, *bodies: str) -> None:
        """Wait until these are the messages heard, in this order and none else."""

        async def heard() -> list[str]:
            return self.bodies

        await eventually(heard, until=lambda found: len(found) >= len(bodies))
        assert self.bodies == list(bodies), [body[:20] for body in self.bodies]

    async def is_told(self, name: str) -> dict[str, Any]:
        """Wait for something about the session."""

        async def told() -> list[dict[str, Any]]:
            return [data for known, data in self.about if known == name]

        return (await eventually(told))[0]

    async def is_gone(self) -> None:
        """Wait until the connection has ended."""

        async def gone() -> bool:
            return not self.client.connected and not self.client.eio.sid

        await eventually(gone)

    @property
    def session(self) -> dict[str, Any]:
        return next(data for name, data in self.about if name == "session.ready")

    @property
    def position(self) -> str:
        return str(self.events[-1]["position"] if self.events else self.session["position"])

    @property
    def bodies(self) -> list[str]:
        return [event["data"]["body"] for event in self.events if event["type"] == "message.created"]

    async def _heard(self, name: str, event: dict[str, Any], *_offset: str) -> None:
        if name.startswith(("session.", "server.", "resync.", "auth.", "typing.", "presence.")):
            self.about.append((name, event))
        else:
            assert event["type"] == name
            self.events.append(event)

    async def _refused(self, data: Any = None) -> None:
        self.refusal = data


@asynccontextmanager
async def device(
    at: Node, user: UUID, house: House, *, transports: Sequence[str] = ("websocket",), **auth: Any
) -> AsyncIterator[Device]:
    """Connect while the block lasts."""
    connected = Device(at.url, {"token": token(house, user)} | auth, transports)
    await connected.connect()
    assert connected.refusal is None, connected.refusal
    try:
        yield connected
    finally:
        await connected.client.disconnect()


def token(house: House, user: UUID) -> str:
    """Return an access token."""
    tokens = shared_key_tokens(house.settings)
    return str(tokens.issue(user))


def message(sender: UUID, others: Sequence[UUID], body: str, client_id: str = "") -> MessageSent:
    """Return a message of a direct conversation."""
    people = sorted({sender, *others})
    conversation = uuid5(UUID(int=0), ",".join(map(str, people)))
    client_id = client_id or uuid4().hex
    return MessageSent(
        message_id=uuid5(conversation, f"{sender}/{client_id}"),
        conversation_id=conversation,
        sender_id=sender,
        recipient_ids=tuple(person for person in people if person != sender),
        client_id=client_id,
        body=body,
        sent_at=datetime.now(UTC),
    )


def erasure(of: MessageSent, admin: UUID) -> MessageErased:
    """Return the erasure of a message by an admin who is not among its people."""
    return MessageErased(
        message_id=of.message_id,
        conversation_id=of.conversation_id,
        erased_by=admin,
        recipient_ids=tuple(sorted({of.sender_id, *of.recipient_ids})),
        reason="a court",
        erased_at=datetime.now(UTC),
    )
