"""The official client against the gateway, by both transports: hears, asks, is refused, comes back."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from headwater.wiring import House
from infra.access_tokens import User
from infra.kafka_log import KafkaLog
from tests.integration.nodes import Node, message, node, token
from tests.official_client import OfficialClient, official_client
from tests.probes import eventually

UPGRADE = None  # the client's own choice: polling first, then a WebSocket
SOCKET = ["websocket"]
POLLING = ["polling"]


@pytest.fixture
async def log(house: House) -> KafkaLog:
    return KafkaLog(house.commands, house.codec)


@pytest.fixture
async def gateway(house: House, log: KafkaLog) -> AsyncIterator[Node]:
    async def send(user: User, payload: Any) -> Mapping[str, Any]:
        people = [UUID(person) for person in payload["participants"]]
        sent = message(user.id, people, payload["body"], payload["client_id"])
        await log.publish(sent)
        return {"message_id": sent.message_id}

    async with node(house, {"message.send": send}) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[OfficialClient]:
    async with official_client() as client:
        yield client


async def heard(browser: OfficialClient, socket: str, count: int) -> list[str]:
    """Wait for so many messages and return their texts."""

    async def messages() -> list[Any]:
        return browser.events(socket, "message.created")

    found = await eventually(messages, until=lambda events: len(events) >= count)
    return [event["data"]["body"] for event in found]


@pytest.mark.parametrize("transports", [UPGRADE, SOCKET, POLLING])
async def test_it_hears_asks_and_comes_back(
    house: House, log: KafkaLog, gateway: Node, browser: OfficialClient, transports: list[str] | None
) -> None:
    ann, bob = uuid4(), uuid4()
    auth = {"url": gateway.url, "transports": transports}
    browser.do("connect", "ann", token=token(house, ann), **auth)
    browser.do("connect", "bob", token=token(house, bob), **auth)
    await browser.until(lambda told: told["what"] == "event" and told["name"] == "session.ready", count=2)
    if transports is UPGRADE:
        await browser.until(lambda told: told["what"] == "transport" and told["transport"] == "websocket", count=2)

    await log.publish(message(ann, [bob], "Grüße 👋"))
    payload = {"participants": [str(ann), str(bob)], "body": "two", "client_id": "2"}
    answer = await browser.call("ann", "message.send", payload)
    assert answer["ok"] is True
    assert await heard(browser, "bob", 2) == ["Grüße 👋", "two"]

    for turn in range(2):
        browser.do("drop", "bob")
        await browser.until(lambda told: told["what"] == "disconnected" and told["id"] == "bob", count=turn + 1)
        await log.publish(message(ann, [bob], f"missed {turn}"))
        browser.do("reconnect", "bob")
        await heard(browser, "bob", 3 + turn)

    assert await heard(browser, "bob", 4) == ["Grüße 👋", "two", "missed 0", "missed 1"]
    assert [ready["resumed"] for ready in browser.events("bob", "session.ready")] == [False, True, True]
    assert await heard(browser, "ann", 3) == ["Grüße 👋", "missed 0", "missed 1"]


async def test_it_comes_back_by_itself_when_a_node_sends_it_away(house: House, browser: OfficialClient) -> None:
    async with node(house) as stopping:
        browser.do("connect", "bob", url=stopping.url, token=token(house, uuid4()), reconnection=True)
        await browser.until(lambda told: told["what"] == "transport" and told["transport"] == "websocket")
        await stopping.gateway.close()

        await browser.until(lambda told: told["what"] == "disconnected" and told["reason"] == "transport close")
        (draining,) = browser.events("bob", "server.draining")
        assert draining["reconnect_after_ms"] >= 0
        await browser.until(lambda told: told["what"] == "refused", count=2)  # it tries until a node lets it in


@pytest.mark.parametrize("transports", [UPGRADE, SOCKET])
async def test_it_learns_why_it_is_not_let_in(
    gateway: Node, browser: OfficialClient, transports: list[str] | None
) -> None:
    browser.do("connect", "eve", url=gateway.url, token="nonsense", transports=transports)

    refused = await browser.until(lambda told: told["what"] == "refused")

    assert refused["message"] == "the token is not valid"
    assert refused["data"]["code"] == "unauthenticated"
