"""Publish UI updates, and clients that hear them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import socketio

from headwater.wiring import House
from infra.kafka_log import KafkaLog
from schemas.realtime.events import UiUpdatePublished
from tests.integration.nodes import QUIET, Node, token
from tests.probes import eventually

UI, PUBLIC = "/ui", "/ui-public"
OPEN = ("news*", "board.*")  # globs of what everybody may subscribe to, for the nodes of these tests


def update(channel: str, payload: Any, *, is_public: bool = False, **more: Any) -> UiUpdatePublished:
    """Return an update of the channel."""
    fields: dict[str, Any] = {
        "update_id": uuid4(),
        "published_by": "key:test",
        "published_at": datetime.now(UTC),
    } | more
    return UiUpdatePublished(
        channel=channel, is_public=is_public, payload=msgspec.json.encode(payload).decode(), **fields
    )


class Publisher:
    """Publishes numbers to channels."""

    def __init__(self, house: House) -> None:
        self.log = KafkaLog(house.commands, house.codec)
        self.said: dict[str, list[Any]] = {}

    async def numbers(self, channel: str, count: int, **more: Any) -> None:
        """Publish the channel's next numbers."""
        said = self.said.setdefault(channel, [])
        for _ in range(count):
            await self.say(channel, len(said), **more)

    async def say(self, channel: str, payload: Any, **more: Any) -> None:
        """Publish one update."""
        await self.log.publish(update(channel, payload, **more))
        self.said.setdefault(channel, []).append(payload)


class Screen:
    """A client of one or several namespaces that notes what it hears."""

    def __init__(self, url: str, auth: Any, namespaces: tuple[str, ...], **more: Any) -> None:
        self._url, self._auth, self._namespaces, self._more = url, auth, namespaces, more
        self.client = socketio.AsyncClient(reconnection=False, **QUIET)
        self.updates: list[dict[str, Any]] = []
        self.about: list[tuple[str, dict[str, Any]]] = []
        self.refusals: dict[str, Any] = {}
        self._positions: list[str] = []
        for namespace in namespaces:
            self.client.on("*", self._heard, namespace=namespace)
            self.client.on("connect_error", self._refused(namespace), namespace=namespace)

    async def connect(self) -> "Screen":
        """Connect, or note why not."""
        try:
            await self.client.connect(
                self._url,
                namespaces=[*self._namespaces],
                auth=self._auth,
                transports=["websocket"],
                wait_timeout=60,
                **self._more,
            )
        except socketio.exceptions.ConnectionError as error:
            self.refusals.setdefault("", str(error))
            if self.client.eio.http:
                await self.client.eio.http.close()
        return self

    async def ask(self, name: str, payload: Any, namespace: str | None = None) -> Any:
        """Emit and return the ack."""
        return await self.client.call(name, payload, namespace=namespace or self._namespaces[0], timeout=60)

    async def subscribe(self, channel: str, namespace: str | None = None, **more: Any) -> dict[str, Any]:
        """Subscribe and return what is told of that."""
        before = len(self.told("channel.subscribed"))
        answer = await self.ask("channel.subscribe", {"channel": channel, **more}, namespace)
        assert answer == {"ok": True, "data": {"channel": channel}}, answer
        found = await eventually(self._told_of("channel.subscribed"), until=lambda told: len(told) > before)
        return dict(found[-1])

    async def hears(self, channel: str, payloads: list[Any]) -> None:
        """Wait until these are the payloads heard of the channel, in this order and none else."""

        async def heard() -> list[Any]:
            return self.payloads(channel)

        await eventually(heard, until=lambda found: len(found) >= len(payloads))
        assert self.payloads(channel) == payloads

    async def is_told(self, name: str) -> dict[str, Any]:
        """Wait for something about a channel or the session."""
        return dict((await eventually(self._told_of(name)))[0])

    async def is_told_of(self, channel: str, name: str) -> dict[str, Any]:
        """Wait for something about the channel and return the newest."""

        async def told() -> list[dict[str, Any]]:
            return [data for data in self.told(name) if data.get("channel") == channel]

        return dict((await eventually(told))[-1])

    def told(self, name: str) -> list[dict[str, Any]]:
        return [data for known, data in self.about if known == name]

    def payloads(self, channel: str) -> list[Any]:
        return [each["data"]["payload"] for each in self.updates if each["data"]["channel"] == channel]

    @property
    def position(self) -> str:
        """Return the newest one heard of."""
        return str(self._positions[-1])

    def _told_of(self, name: str) -> Any:
        async def told() -> list[dict[str, Any]]:
            return self.told(name)

        return told

    async def _heard(self, name: str, event: dict[str, Any]) -> None:
        if "position" in event:
            self._positions.append(event["position"])
        if name == "update":
            assert event["type"] == name
            self.updates.append(event)
        else:
            self.about.append((name, event))

    def _refused(self, namespace: str) -> Any:
        async def refused(data: Any = None) -> None:
            self.refusals[namespace] = data

        return refused


@asynccontextmanager
async def screen(
    at: Node, house: House, user: UUID | None = None, namespaces: tuple[str, ...] = (UI,), **auth: Any
) -> AsyncIterator[Screen]:
    """Connect while the block lasts; `/ui-public` alone without saying who it is."""
    given = auth if namespaces == (PUBLIC,) else {"token": token(house, user or uuid4())} | auth
    connected = await Screen(at.url, given or None, namespaces).connect()
    assert not connected.refusals, connected.refusals
    try:
        yield connected
    finally:
        await connected.client.disconnect()
