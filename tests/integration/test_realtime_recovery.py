"""Connection state recovery as the official client knows it: `recovered`, and what was missed, once and in order."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from bounded_contexts.realtime.adapters.channel_tokens import sealed
from bounded_contexts.realtime.adapters.recovery import KIND
from bounded_contexts.realtime.application.limits import Limits
from headwater.wiring import House
from infra.kafka_log import KafkaLog
from infra.opaque import OpaqueTokens
from tests.conftest import SECRET
from tests.integration.channels import OPEN, PUBLIC, UI, Publisher
from tests.integration.gateway_process import gateway_process
from tests.integration.nodes import Node, delete_records, device, message, node, own_topics, token
from tests.integration.test_realtime_ui import news
from tests.official_client import OfficialClient, official_client
from tests.probes import eventually

SOCKET = ["websocket"]
NAMES = ("session.ready", "message.created")
LIMITS = Limits(drain_s=0.1, open_channels=OPEN)
# So little is kept in memory that the topic has to be read again.
FORGETFUL = dataclasses.replace(LIMITS, recent_records=5, lookback_records=5)


@pytest.fixture
async def browser() -> AsyncIterator[OfficialClient]:
    async with official_client() as client:
        yield client


async def connected(browser: OfficialClient, socket: str, count: int) -> bool:
    """Wait for so many connections of the socket; return whether the last was recovered."""
    told = await browser.until(lambda told: told["what"] == "connected" and told["id"] == socket, count)
    return bool(told.get("recovered"))  # undefined unless asked for


async def hears(browser: OfficialClient, socket: str, event: str, values: list[Any]) -> None:
    """Wait until these are the bodies or payloads heard, in this order and none else."""

    def heard_now() -> list[Any]:
        data = [heard["data"] for heard in browser.events(socket, event)]
        return [each.get("payload", each.get("body")) for each in data]

    async def heard() -> list[Any]:
        return heard_now()

    await eventually(heard, until=lambda found: len(found) >= len(values))
    assert heard_now() == values


async def goes_over(browser: OfficialClient, socket: str, at: Node) -> None:
    """Break the connection and have the next one go to another node."""
    browser.do("move", socket, url=at.url)
    browser.do("drop", socket)


@pytest.mark.parametrize("limits", [LIMITS, FORGETFUL], ids=["memory", "topics"])
async def test_it_is_recovered_on_any_node_and_hears_what_it_missed_once(
    house: House, browser: OfficialClient, limits: Limits
) -> None:
    ann, bob = uuid4(), uuid4()
    log = KafkaLog(house.commands, house.codec)
    async with node(house, limits=limits) as one, node(house, limits=limits) as other:
        given = {"token": token(house, bob), "transports": SOCKET, "recovery": True}
        browser.do("connect", "bob", url=one.url, **given)
        assert await connected(browser, "bob", 1) is False
        await browser.until(lambda told: told["what"] == "event" and told["name"] == "session.ready")
        said: list[str] = []
        for turn, at in enumerate((other, one, other)):
            browser.do("drop", "bob")
            await browser.until(lambda told: told["what"] == "disconnected", turn + 1)
            for number in range(20):
                said.append(f"{turn}.{number}")
                await log.publish(message(ann, [bob], said[-1]))
            browser.do("move", "bob", url=at.url)
            browser.do("reconnect", "bob")
            assert await connected(browser, "bob", turn + 2) is True
            said.append(f"{turn} live")
            await log.publish(message(ann, [bob], said[-1]))
            await hears(browser, "bob", "message.created", said)
    assert [ready["resumed"] for ready in browser.events("bob", "session.ready")] == [False, True, True, True]


async def test_it_is_recovered_by_a_node_that_was_killed_and_started_again(
    house: House, browser: OfficialClient
) -> None:
    ann, bob, channel = uuid4(), uuid4(), news()
    log, publisher = KafkaLog(house.commands, house.codec), Publisher(house)
    async with gateway_process(house.settings, HEADWATER_REALTIME_OPEN_CHANNELS=",".join(OPEN)) as at:
        given = {"url": at.url, "transports": SOCKET, "recovery": True, "reconnection": True}
        browser.do("connect", "chat", token=token(house, bob), **given)
        browser.do("connect", "ui", token=token(house, bob), namespace=UI, **given)
        for socket in ("chat", "ui"):
            assert await connected(browser, socket, 1) is False
        assert (await browser.call("ui", "channel.subscribe", {"channel": channel}))["ok"]
        await log.publish(message(ann, [bob], "before"))
        await publisher.say(channel, "before")
        for socket, event in (("chat", "message.created"), ("ui", "update")):
            await hears(browser, socket, event, ["before"])

        await at.kill()
        await log.publish(message(ann, [bob], "meanwhile"))
        await publisher.say(channel, "meanwhile")
        await at.start()

        for socket in ("chat", "ui"):
            assert await connected(browser, socket, 2) is True
        await log.publish(message(ann, [bob], "after"))
        await publisher.say(channel, "after")
        for socket, event in (("chat", "message.created"), ("ui", "update")):
            await hears(browser, socket, event, ["before", "meanwhile", "after"])


@pytest.mark.parametrize("namespace", [UI, PUBLIC])
async def test_a_recovered_socket_has_its_channels_again(house: House, browser: OfficialClient, namespace: str) -> None:
    user, kept, left = uuid4(), news(), news()
    is_public = namespace == PUBLIC
    publisher = Publisher(house)
    async with node(house, limits=LIMITS) as one, node(house, limits=LIMITS) as other:
        given = {"transports": SOCKET, "recovery": True, "reconnection": True, "token": token(house, user)}
        browser.do("connect", "ui", url=one.url, namespace=namespace, **given)
        assert (await browser.call("ui", "channel.subscribe", {"channels": [kept, left]}))["ok"]
        assert (await browser.call("ui", "channel.unsubscribe", {"channel": left}))["ok"]
        await publisher.say(kept, 1, is_public=is_public)
        await hears(browser, "ui", "update", [1])

        await goes_over(browser, "ui", other)
        assert await connected(browser, "ui", 2) is True
        await publisher.say(left, "unheard", is_public=is_public)
        await publisher.say(kept, 2, is_public=is_public)
        await hears(browser, "ui", "update", [1, 2])


async def test_a_channel_whose_token_is_over_is_not_recovered(house: House, browser: OfficialClient) -> None:
    user, ours, granted = uuid4(), news(), f"orders.{uuid4().hex}"
    async with node(house, limits=LIMITS) as at:
        given = {"transports": SOCKET, "recovery": True, "token": token(house, user)}
        browser.do("connect", "ui", url=at.url, namespace=UI, **given)
        await connected(browser, "ui", 1)
        soon = sealed(OpaqueTokens(SECRET), user, granted, datetime.now(UTC) + timedelta(seconds=4))
        asked = {"channels": [ours, granted], "tokens": {granted: soon}}
        assert (await browser.call("ui", "channel.subscribe", asked))["data"]["refused"] == {}
        closed = lambda told: told["what"] == "event" and told["name"] == "channel.closed"  # noqa: E731
        await browser.until(closed)
        browser.do("drop", "ui")
        await browser.until(lambda told: told["what"] == "disconnected")
        browser.do("reconnect", "ui")
        assert await connected(browser, "ui", 2) is True
        await browser.until(closed, 2)
    ends = browser.events("ui", "channel.closed")
    assert ends == [{"channel": granted, "reason": reason} for reason in ("token_expired", "forbidden_channel")]


@pytest.mark.parametrize("namespace", ["/chat", UI])
async def test_beyond_what_is_kept_it_is_not_recovered_and_told_to_load_anew(
    house: House, browser: OfficialClient, namespace: str
) -> None:
    bob, channel = uuid4(), news()
    async with own_topics(house) as own, node(own, limits=FORGETFUL) as one:
        log, publisher = KafkaLog(own.commands, own.codec), Publisher(own)
        given = {"transports": SOCKET, "recovery": True, "token": token(house, bob)}
        browser.do("connect", "bob", url=one.url, namespace=namespace, **given)
        await connected(browser, "bob", 1)
        if namespace == UI:
            await browser.call("bob", "channel.subscribe", {"channel": channel})
        await browser.until(lambda told: told["what"] == "event")
        browser.do("drop", "bob")
        await browser.until(lambda told: told["what"] == "disconnected")
        for number in range(20):
            await log.publish(message(uuid4(), [bob], str(number)))
            await publisher.say(channel, number)
        for topic in ("messages", "ui-updates"):
            await delete_records(own.kafka, topic)
        async with node(own, limits=FORGETFUL) as other:
            browser.do("move", "bob", url=other.url)
            browser.do("reconnect", "bob")
            assert await connected(browser, "bob", 2) is False
            await browser.until(lambda told: told["what"] == "event" and told["name"] == "resync.required")
            assert browser.events("bob", "resync.required") == [{"scope": "all"}]


async def test_nobody_goes_on_as_somebody_else(house: House) -> None:
    bob, eve = uuid4(), uuid4()
    async with node(house, limits=LIMITS) as at:
        async with device(at, bob, house) as phone:
            position = phone.session["position"]
        pid = OpaqueTokens(SECRET).seal(KIND, b"", f"/chat {bob}")
        for pid_, user in ((pid, bob), (pid, eve), ("nonsense", bob)):
            async with device(at, user, house, recovery=True, pid=pid_, offset=position) as phone:
                is_theirs = (pid_, user) == (pid, bob)
                assert phone.session["resumed"] is is_theirs
                if not is_theirs:
                    await phone.is_told("resync.required")


async def test_who_does_not_ask_for_it_hears_what_others_hear_with_no_argument_more(
    house: House, browser: OfficialClient
) -> None:
    ann, bob = uuid4(), uuid4()
    async with node(house, limits=LIMITS) as at:
        given = {"url": at.url, "transports": SOCKET, "token": token(house, bob)}
        browser.do("connect", "plain", **given)
        browser.do("connect", "recovered", recovery=True, **given)
        for socket in ("plain", "recovered"):
            await connected(browser, socket, 1)
        await browser.until(lambda told: told["what"] == "event" and told["name"] == "session.ready", 2)
        await KafkaLog(house.commands, house.codec).publish(message(ann, [bob], "hello"))
        for socket in ("plain", "recovered"):
            await hears(browser, socket, "message.created", ["hello"])
    heard = {
        socket: [told["args"] for told in browser.told if told["id"] == socket and told.get("name") in NAMES]
        for socket in ("plain", "recovered")
    }
    assert [len(args) for args in heard["plain"]] == [1, 1]
    assert [args[1:] for args in heard["recovered"]] == [[args[0]["position"]] for args in heard["recovered"]]
    assert heard["recovered"][1][0] == heard["plain"][1][0]
