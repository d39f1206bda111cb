"""A client that comes back with a position misses nothing and hears nothing twice, on any node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from uuid import uuid4

import pytest

from bounded_contexts.realtime.application.limits import Limits
from headwater.wiring import House
from infra.feed_positions import open_feed, seal_feed
from infra.kafka_log import KafkaLog
from infra.opaque import OpaqueTokens
from tests.conftest import SECRET
from tests.integration.nodes import Device, Node, delete_records, device, erasure, message, node, own_topics
from tests.probes import seen

TOKENS = OpaqueTokens(SECRET)
# So little is kept in memory that the topics have to be read again.
FORGETFUL = Limits(recent_records=20, lookback_records=10, drain_s=0.1)


@pytest.fixture
async def log(house: House) -> KafkaLog:
    return KafkaLog(house.commands, house.codec)


@pytest.fixture(params=["memory", "topics"])
def limits(request: pytest.FixtureRequest) -> Limits:
    """From where what was missed is taken."""
    return Limits(drain_s=0.1) if request.param == "memory" else FORGETFUL


@pytest.fixture
async def nodes(house: House, limits: Limits) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(node(house, limits=limits)) for _ in range(2)]


class Talk:
    """Ann tells bob a number of things, beside what others say."""

    def __init__(self, log: KafkaLog) -> None:
        self._log = log
        self.ann, self.bob = uuid4(), uuid4()
        self.said: list[str] = []

    async def go_on(self, count: int) -> list[str]:
        bodies = [str(len(self.said) + number) for number in range(count)]
        for body in bodies:
            await self._log.publish(message(self.ann, [self.bob], body))
            self.said.append(body)
        return bodies

    async def others(self, count: int) -> None:
        people = [uuid4() for _ in range(10)]
        await asyncio.gather(
            *(self._log.publish(message(people[n % 10], [people[(n + 1) % 10]], "noise")) for n in range(count))
        )


@pytest.fixture
async def talk(log: KafkaLog) -> Talk:
    return Talk(log)


async def test_what_was_missed_comes_first_then_what_happens(house: House, nodes: list[Node], talk: Talk) -> None:
    position = None
    for at in (nodes[0], nodes[0], nodes[1], nodes[0]):
        missed: list[str] = await talk.go_on(30) if position else []
        await talk.others(50)
        async with device(at, talk.bob, house, **({"position": position} if position else {})) as phone:
            assert (phone.session["resumed"], phone.session["was_resuming"]) == (bool(position), bool(position))
            await phone.hears(*missed)
            now = await talk.go_on(5)
            await phone.hears(*missed, *now)
            position = phone.position


async def test_one_comes_back_before_anything_happened(house: House, nodes: list[Node], talk: Talk) -> None:
    async with device(nodes[0], talk.bob, house) as phone:
        position = phone.position
    await talk.others(50)
    for at in (nodes[1], nodes[0], nodes[1]):
        async with device(at, talk.bob, house, position=position) as phone:
            assert phone.session["resumed"] is True
            assert phone.events == []
            position = phone.position
    said = await talk.go_on(3)
    async with device(nodes[0], talk.bob, house, position=position) as phone:
        await phone.hears(*said)


async def test_every_event_is_a_place_to_come_back_to(house: House, nodes: list[Node], talk: Talk) -> None:
    async with device(nodes[0], talk.bob, house) as phone:
        start = phone.position
    said = await talk.go_on(30)
    async with device(nodes[1], talk.bob, house, position=start) as phone:
        await phone.hears(*said)
        halfway = phone.events[14]["position"]
    async with device(nodes[0], talk.bob, house, position=halfway) as phone:
        await phone.hears(*said[15:])


async def test_the_seam_holds_while_messages_keep_coming(house: House, nodes: list[Node], talk: Talk) -> None:
    heard: list[str] = []
    async with device(nodes[0], talk.bob, house) as phone:
        position = phone.position
    talking = asyncio.create_task(talk.go_on(1500))
    turns = 0
    for at in cycle(nodes):
        async with device(at, talk.bob, house, position=position) as phone:
            assert phone.session["resumed"] is True
            turns += 1
            if talking.done():
                await phone.hears(*talk.said[len(heard) :])
            heard += phone.bodies
            position = phone.events[-1]["position"] if phone.events else position
        if talking.done() and len(heard) == len(talk.said):
            break

    assert heard == talk.said
    assert turns > 2


async def test_a_position_from_a_list_over_rest_is_one_to_start_from(
    house: House, nodes: list[Node], talk: Talk
) -> None:
    async with device(nodes[0], talk.bob, house) as phone:
        stored = {topic: dict(partitions) for topic, partitions in open_feed(TOKENS, phone.position).items()}
    stored["elsewhere"] = {0: 7}
    said = await talk.go_on(3)
    async with device(nodes[1], talk.bob, house, position=seal_feed(TOKENS, stored)) as phone:
        await phone.hears(*said)


async def test_a_record_that_comes_again_is_sent_once_when_one_comes_back(
    house: House, nodes: list[Node], talk: Talk, log: KafkaLog
) -> None:
    async with device(nodes[0], talk.bob, house) as phone:
        position = phone.position
    again = message(talk.ann, [talk.bob], "again")
    for _ in range(3):
        await log.publish(again)
        await talk.go_on(1)
    async with device(nodes[0], talk.bob, house, position=position) as phone:
        await phone.hears("again", "0", "1", "2")
        await log.publish(again)
        await talk.go_on(1)
        await phone.hears("again", "0", "1", "2", "3")


async def test_a_record_that_was_heard_and_comes_again_is_not_sent_when_one_comes_back(
    house: House, nodes: list[Node], talk: Talk, log: KafkaLog
) -> None:
    again = message(talk.ann, [talk.bob], "again")
    async with device(nodes[0], talk.bob, house) as phone:
        await log.publish(again)
        await phone.hears("again")
        position = phone.position
    await log.publish(again)
    await talk.others(25)
    said = await talk.go_on(2)
    async with device(nodes[0], talk.bob, house, position=position) as phone:
        await phone.hears(*said)


def types_of(phone: Device) -> list[str]:
    return [event["type"] for event in phone.events]


async def test_what_was_erased_meanwhile_comes_without_its_text(
    house: House, nodes: list[Node], talk: Talk, log: KafkaLog
) -> None:
    secret, admin = message(talk.ann, [talk.bob], "secret"), uuid4()
    async with device(nodes[0], talk.bob, house) as phone:
        position = phone.position
    await log.publish(secret)
    await talk.go_on(25)
    async with device(nodes[0], talk.bob, house) as here, device(nodes[-1], talk.bob, house) as there:
        await log.publish(erasure(secret, admin))
        for each in (here, there):
            await seen(partial(types_of, each), until=lambda types: "message.erased" in types)
    await talk.go_on(1)
    for at in nodes:
        async with device(at, talk.bob, house, position=position) as phone:
            await phone.hears("", *talk.said)
            assert types_of(phone) == ["message.created"] * 26 + ["message.erased", "message.created"]
            assert phone.events[0]["data"]["id"] == str(secret.message_id)


async def test_who_was_away_hears_nothing_of_what_went_on_without_it(
    house: House, nodes: list[Node], talk: Talk, log: KafkaLog
) -> None:
    cem = uuid4()
    async with device(nodes[0], talk.bob, house) as phone:
        position = phone.position
    await log.publish(message(talk.ann, [talk.bob, cem], "with bob"))
    await log.publish(message(talk.ann, [cem], "without bob"))
    async with device(nodes[1], talk.bob, house, position=position) as phone:
        await phone.hears("with bob")
        await talk.go_on(1)
        await phone.hears("with bob", "0")


@pytest.mark.parametrize("what", ["too much", "beyond the end", "gone"])
async def test_what_cannot_be_made_up_for_is_said_so_and_nothing_is_sent(house: House, what: str) -> None:
    limits = Limits(recent_records=20, lookback_records=0, past_records=30, drain_s=0.1)
    async with own_topics(house) as apart, node(apart, limits=limits) as small:
        talk = Talk(KafkaLog(apart.commands, apart.codec))
        async with device(small, talk.bob, apart) as phone:
            position = await _unusable(apart, what, phone, talk)
        async with device(small, talk.bob, apart, position=position) as phone:
            assert await phone.is_told("resync.required") == {"scope": "all"}
            assert (phone.session["resumed"], phone.session["was_resuming"]) == (False, True)
            said = await talk.go_on(2)
            await phone.hears(*said)
            fresh = phone.position
        async with device(small, talk.bob, apart, position=fresh) as phone:
            assert phone.session["resumed"] is True


async def _unusable(house: House, what: str, phone: Device, talk: Talk) -> str:
    """Return a position that the node cannot go on from; it has read all that was said by then."""
    offsets = {topic: dict(partitions) for topic, partitions in open_feed(TOKENS, phone.position).items()}
    match what:
        case "too much":
            await phone.hears(*await talk.go_on(60))
        case "beyond the end":
            offsets["messages"] = {number: at + 1000 for number, at in offsets["messages"].items()}
        case "gone":
            await phone.hears(*await talk.go_on(25))
            await delete_records(house.kafka, "messages")
    return seal_feed(TOKENS, offsets)
