"""A subscriber that comes back with a position misses nothing and hears nothing twice, on any node."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from bounded_contexts.realtime.application.limits import Limits
from headwater.wiring import House
from infra.feed_positions import open_feed, seal_feed
from infra.opaque import OpaqueTokens
from tests.conftest import SECRET
from tests.integration.channels import OPEN, PUBLIC, Publisher, Screen, screen
from tests.integration.nodes import Node, delete_records, device, node, own_topics
from tests.integration.test_realtime_ui import news
from tests.probes import eventually

TOKENS = OpaqueTokens(SECRET)
LIMITS = Limits(drain_s=0.1, open_channels=OPEN)
# So little is kept in memory that the topic has to be read again.
FORGETFUL = dataclasses.replace(LIMITS, recent_records=20, lookback_records=10)


@pytest.fixture(params=["memory", "topics"])
async def nodes(house: House, request: pytest.FixtureRequest) -> AsyncIterator[list[Node]]:
    limits = LIMITS if request.param == "memory" else FORGETFUL
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(node(house, limits=limits)) for _ in range(2)]


@pytest.fixture
def publisher(house: House) -> Publisher:
    return Publisher(house)


@pytest.mark.parametrize("namespace", ["/ui", PUBLIC])
async def test_what_was_missed_comes_first_then_what_happens_on_any_node_and_repeatedly(
    house: House, nodes: list[Node], publisher: Publisher, namespace: str
) -> None:
    channel, other = news(), news()
    is_public = namespace == PUBLIC
    async with screen(nodes[0], house, namespaces=(namespace,)) as phone:
        position = (await phone.subscribe(channel))["position"]
    had = 0
    for at in (nodes[0], nodes[1], nodes[0]):
        await asyncio.gather(*(publisher.numbers(each, 20, is_public=is_public) for each in (channel, other)))
        async with screen(at, house, namespaces=(namespace,)) as phone:
            assert (await phone.subscribe(channel, position=position))["resumed"] is True
            await publisher.numbers(channel, 3, is_public=is_public)
            await phone.hears(channel, publisher.said[channel][had:])
            assert phone.payloads(other) == []
            position, had = phone.position, len(publisher.said[channel])


async def test_there_is_no_gap_where_the_past_meets_what_happens(
    house: House, nodes: list[Node], publisher: Publisher
) -> None:
    channels = [news() for _ in range(3)]
    async with screen(nodes[0], house) as phone:
        position = (await phone.subscribe(channels[0]))["position"]
    stop = asyncio.Event()

    async def publish() -> None:
        while not stop.is_set():
            for channel in channels:
                await publisher.numbers(channel, 1)

    publishing = asyncio.create_task(publish())
    try:
        # By id: one channel's updates may come again where another was behind when the connection ended.
        heard: dict[str, dict[str, int]] = {channel: {} for channel in channels}
        for turn in range(6):
            async with screen(nodes[turn % 2], house, position=position) as phone:
                for channel in channels:
                    await phone.subscribe(channel)
                await _hears_some(phone, channels)
                await phone.client.disconnect()
                position = phone.position
                for each in phone.updates:
                    heard[each["data"]["channel"]].setdefault(each["id"], each["data"]["payload"])
    finally:
        stop.set()
        await publishing
    for channel in channels:
        assert [*heard[channel].values()] == list(range(len(heard[channel])))


async def _hears_some(phone: Screen, channels: list[str]) -> None:
    async def least() -> int:
        return min(len(phone.payloads(channel)) for channel in channels)

    await eventually(least, until=lambda count: count >= 5)


async def test_the_newest_position_is_good_for_every_channel_while_one_is_behind(
    house: House, publisher: Publisher
) -> None:
    behind, live = news(), news()
    async with node(house, limits=FORGETFUL) as at:
        async with screen(at, house) as phone:
            start = (await phone.subscribe(live))["position"]
            await publisher.numbers(behind, 400)
            await publisher.numbers(live, 1)
            await phone.hears(live, [0])
            asking = asyncio.create_task(phone.subscribe(behind, position=start))
            await publisher.numbers(live, 20)
            await phone.client.disconnect()  # wherever it is
            asking.cancel()
            heard = phone.payloads(behind)
            position = phone.position
        async with screen(at, house) as phone:
            await phone.subscribe(behind, position=position)
            await publisher.numbers(behind, 1)

            async def last() -> int:
                return max(phone.payloads(behind), default=0)

            await eventually(last, until=lambda number: number == 400)
            heard += [number for number in phone.payloads(behind) if number not in heard]
    assert heard == list(range(401))


async def test_from_before_the_first_update_everything_is_sent(house: House) -> None:
    async with own_topics(house) as apart, node(apart, limits=FORGETFUL) as at:
        publisher = Publisher(apart)
        async with screen(at, apart) as phone:
            position = (await phone.subscribe("news"))["position"]
        await publisher.numbers("news", 60)
        async with screen(at, apart, position=position) as phone:
            await phone.subscribe("news")
            await phone.hears("news", list(range(60)))


@pytest.mark.parametrize("what", ["too much", "beyond the end", "gone", "of messages"])
async def test_what_cannot_be_made_up_for_is_said_so_and_nothing_is_sent(house: House, what: str) -> None:
    limits = dataclasses.replace(FORGETFUL, lookback_records=0, past_records=30)
    async with own_topics(house) as apart, node(apart, limits=limits) as at:
        publisher = Publisher(apart)
        async with screen(at, apart) as phone:
            position = (await phone.subscribe("news"))["position"]
            await publisher.numbers("news", 60)
            await publisher.say("news", "kept", is_kept=True)
            await phone.hears("news", publisher.said["news"])
            if what == "gone":
                position = phone.position
                await publisher.numbers("board.other", 25)
                await delete_records(apart.kafka, "ui-updates")
                async with screen(at, apart) as other:
                    await other.subscribe("board.x")
                    await publisher.numbers("board.x", 1)
                    await other.hears("board.x", [0])
        if what == "beyond the end":
            offsets = open_feed(TOKENS, phone.position)
            beyond = {number: offset + 1000 for number, offset in offsets["ui-updates"].items()}
            position = seal_feed(TOKENS, {"ui-updates": beyond})
        if what == "of messages":
            async with device(at, uuid4(), apart) as chat:
                position = chat.position
        async with screen(at, apart) as phone:
            assert (await phone.subscribe("news", position=position))["resumed"] is False
            assert await phone.is_told("resync.required") == {"scope": "channel", "channel": "news"}
            await publisher.say("news", "live")
            await phone.hears("news", ["kept", "live"])
            fresh = phone.position
        async with screen(at, apart) as phone:
            assert (await phone.subscribe("news", position=fresh))["resumed"] is True


async def test_a_position_that_was_not_given_out_here_is_refused(house: House) -> None:
    async with node(house, limits=LIMITS) as at, screen(at, house) as phone:
        answer = await phone.ask("channel.subscribe", {"channel": "news", "position": "nonsense"})
        assert answer["error"]["code"] == "invalid_stream_position"


async def test_a_client_that_lags_hears_all_of_every_channel(house: House, publisher: Publisher) -> None:
    channels = [news() for _ in range(4)]
    async with (
        node(house, limits=dataclasses.replace(LIMITS, queue_events=10)) as at,
        screen(at, house) as phone,
    ):
        for channel in channels:
            await phone.subscribe(channel)
        await asyncio.gather(*(publisher.numbers(channel, 100) for channel in channels))
        for channel in channels:
            await phone.hears(channel, list(range(100)))
        assert phone.client.connected
