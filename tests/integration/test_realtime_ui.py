"""UI updates: who may hear what, over Socket.IO; what is dropped; coming back."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from bounded_contexts.realtime.adapters.channel_tokens import sealed
from bounded_contexts.realtime.application.limits import Limits
from headwater.configured import shared_key_tokens
from headwater.wiring import House
from infra.opaque import OpaqueTokens
from tests.conftest import SECRET
from tests.integration.channels import OPEN, PUBLIC, UI, Publisher, Screen, screen, update
from tests.integration.nodes import Node, device, message, node, token

LIMITS = Limits(drain_s=0.1, open_channels=OPEN, region="eu")


@pytest.fixture
async def at(house: House) -> AsyncIterator[Node]:
    async with node(house, limits=LIMITS) as running:
        yield running


@pytest.fixture
def publisher(house: House) -> Publisher:
    return Publisher(house)


def news() -> str:
    """Return an open channel that no other test uses."""
    return f"news.{uuid4().hex}"


async def test_an_update_goes_to_the_subscribers_of_its_channel_alone(
    house: House, at: Node, publisher: Publisher
) -> None:
    ours, theirs = news(), news()
    async with screen(at, house) as near, screen(at, house) as far:
        await near.subscribe(ours)
        await far.subscribe(ours)
        await far.subscribe(theirs)
        await publisher.say(theirs, "not for near")
        await publisher.say(ours, {"a": [1, "ü\n", None]}, version=7)
        for each in (near, far):
            await each.hears(ours, [{"a": [1, "ü\n", None]}])
        assert near.payloads(theirs) == []
        (event,) = near.updates
    assert event["data"] == {"channel": ours, "payload": {"a": [1, "ü\n", None]}, "version": 7}
    assert {"id", "type", "source", "subject", "time", "data", "position", "traceparent"} == event.keys()


async def test_private_updates_reach_no_public_socket_and_public_ones_no_private_socket(
    house: House, at: Node, publisher: Publisher
) -> None:
    channel = news()
    async with (
        screen(at, house) as private,
        screen(at, house, namespaces=(PUBLIC,)) as public,
        screen(at, house, namespaces=(PUBLIC, UI)) as both,
    ):
        for each in (private, public, both):
            await each.subscribe(channel)
        await both.subscribe(channel, UI)
        await publisher.say(channel, "secret")
        await publisher.say(channel, "for all", is_public=True)
        await publisher.say(channel, "secret again")
        await publisher.say(channel, "for all again", is_public=True)
        await private.hears(channel, ["secret", "secret again"])
        await public.hears(channel, ["for all", "for all again"])
        await both.hears(channel, ["secret", "for all", "secret again", "for all again"])


async def test_a_user_subscribes_to_their_own_channels_and_what_is_open(house: House, at: Node) -> None:
    ann, bob = uuid4(), uuid4()
    roles = shared_key_tokens(house.settings).issue(ann, ("moderator", "tenant:acme"))
    allowed = [f"user:{ann}", "role:moderator", "role:user", "tenant:acme", "board.1", "newsroom"]
    foreign = [f"user:{bob}", "role:admin", "tenant:other", "orders", f"user:{ann}/x", "role:tenant:acme2"]
    async with screen(at, house, token=roles) as phone:
        for channel in allowed:
            await phone.subscribe(channel)
        for channel in foreign:
            answer = await phone.ask("channel.subscribe", {"channel": channel})
            assert (answer["ok"], answer["error"]["code"]) == (False, "forbidden_channel"), channel
        for nonsense in ({}, {"channel": ""}, {"channel": "a b"}, {"channel": "x" * 201}, {"channel": 7}):
            assert (await phone.ask("channel.subscribe", nonsense))["error"]["code"] == "validation_failed"


async def test_no_glob_opens_channels_that_belong_to_somebody(house: House) -> None:
    async with (
        node(house, limits=dataclasses.replace(LIMITS, open_channels=("*",))) as open_node,
        screen(open_node, house) as phone,
    ):
        await phone.subscribe("anything")
        for channel in (f"user:{uuid4()}", "role:admin", "tenant:acme"):
            answer = await phone.ask("channel.subscribe", {"channel": channel})
            assert answer["error"]["code"] == "forbidden_channel"


async def test_a_channel_token_opens_one_channel_for_one_user_for_a_while(
    house: House, at: Node, publisher: Publisher
) -> None:
    ann, channel = uuid4(), f"orders.{uuid4().hex}"
    make = partial(sealed, OpaqueTokens(SECRET))
    soon, past = datetime.now(UTC) + timedelta(minutes=1), datetime.now(UTC) - timedelta(seconds=1)
    good = make(ann, channel, soon)
    async with screen(at, house, ann) as phone:
        for wrong in (make(uuid4(), channel, soon), make(ann, "orders", soon), good[:-2], "nonsense", "ü"):
            answer = await phone.ask("channel.subscribe", {"channel": channel, "token": wrong})
            assert answer["error"]["code"] == "invalid_channel_token", wrong
        over = {"channel": channel, "token": make(ann, channel, past)}
        assert (await phone.ask("channel.subscribe", over))["error"]["code"] == "forbidden_channel"
        await phone.subscribe(channel, token=good)
        await publisher.say(channel, 1)
        await phone.hears(channel, [1])
        short = make(ann, channel, datetime.now(UTC) + timedelta(seconds=2))
        assert (await phone.ask("channel.subscribe", {"channel": channel, "token": short}))["ok"]
        assert await phone.is_told("channel.closed") == {"channel": channel, "reason": "token_expired"}
        await publisher.say(channel, 2)
        await phone.subscribe("news")
        assert phone.payloads(channel) == [1]


async def test_a_refreshed_token_takes_along_the_channels_that_it_does_not_give(
    house: House, at: Node, publisher: Publisher
) -> None:
    ann, open_, granted = uuid4(), news(), f"orders.{uuid4().hex}"
    tokens = shared_key_tokens(house.settings)
    tenant, other = f"tenant:{uuid4().hex}", f"tenant:{uuid4().hex}"
    lost, kept = [tenant, "role:moderator"], [f"user:{ann}", other, open_, granted]
    channel_token = sealed(OpaqueTokens(SECRET), ann, granted, datetime.now(UTC) + timedelta(minutes=1))
    async with screen(at, house, token=tokens.issue(ann, ("moderator", tenant, other))) as phone:
        for channel in (*lost, *kept):
            await phone.subscribe(channel, token=channel_token)
        assert (await phone.ask("auth.refresh", {"token": token(house, uuid4())}))["error"]["code"] == "another_user"
        assert phone.told("channel.closed") == []

        assert (await phone.ask("auth.refresh", {"token": tokens.issue(ann, (other,))}))["ok"]
        assert phone.told("channel.closed") == [{"channel": each, "reason": "forbidden_channel"} for each in lost]
        for channel in (*lost, *kept):
            await publisher.say(channel, 1)
        for channel in kept:
            await phone.hears(channel, [1])
        await phone.subscribe(news())
        assert [phone.payloads(channel) for channel in lost] == [[], []]
        refused = await phone.ask("channel.subscribe", {"channel": tenant})
        assert refused["error"]["code"] == "forbidden_channel"


async def test_a_socket_leaves_a_channel_and_has_only_so_many(house: House, publisher: Publisher) -> None:
    channel, other = news(), news()
    async with (
        node(house, limits=dataclasses.replace(LIMITS, channels=2)) as small,
        screen(small, house) as phone,
    ):
        await phone.subscribe(channel)
        await phone.subscribe(other)
        answer = await phone.ask("channel.subscribe", {"channel": news()})
        assert answer["error"]["code"] == "too_many_channels"
        assert (await phone.ask("channel.unsubscribe", {"channel": channel}))["ok"]
        assert await phone.is_told("channel.closed") == {"channel": channel, "reason": "unsubscribed"}
        await publisher.say(channel, "unheard")
        await publisher.say(other, "heard")
        await phone.hears(other, ["heard"])
        assert phone.payloads(channel) == []
        await phone.subscribe(news())


@pytest.mark.parametrize("namespace", [UI, PUBLIC])
async def test_many_channels_are_subscribed_to_at_once_and_those_refused_are_named(
    house: House, publisher: Publisher, namespace: str
) -> None:
    had, *ours = (news() for _ in range(4))
    is_public = namespace == PUBLIC
    foreign = [] if is_public else ["role:admin"]
    async with (
        node(house, limits=dataclasses.replace(LIMITS, channels=4)) as small,
        screen(small, house, namespaces=(namespace,)) as phone,
    ):
        await phone.subscribe(had)
        answer = await phone.ask("channel.subscribe", {"channels": [had, *foreign, *ours, ours[0], news()]})
        assert answer["ok"], answer
        assert answer["data"]["channels"] == [had, *ours]
        refused = {name: why["code"] for name, why in answer["data"]["refused"].items()}
        assert sorted(refused.values()) == ["forbidden_channel"] * len(foreign) + ["too_many_channels"]
        for channel in (had, *ours):
            await publisher.say(channel, 1, is_public=is_public)
            await phone.hears(channel, [1])
        position = phone.position
        for channel in ours:
            await publisher.say(channel, 2, is_public=is_public)
        async with screen(small, house, namespaces=(namespace,)) as phone:
            await phone.ask("channel.subscribe", {"channels": ours, "position": position})
            for channel in ours:
                await phone.hears(channel, [2])
            assert all(told["resumed"] for told in phone.told("channel.subscribed"))


async def test_channel_tokens_come_with_the_channels_they_open(house: House, at: Node) -> None:
    ann, first, second = uuid4(), f"orders.{uuid4().hex}", f"orders.{uuid4().hex}"
    good = sealed(OpaqueTokens(SECRET), ann, first, datetime.now(UTC) + timedelta(minutes=1))
    async with screen(at, house, ann) as phone:
        asked = {"channels": [first, second, "news"], "tokens": {first: good, second: good}}
        answer = await phone.ask("channel.subscribe", asked)
        assert answer["data"]["channels"] == [first, "news"]
        assert answer["data"]["refused"][second]["code"] == "invalid_channel_token"
        for nonsense in ([], ["a b"], "news", [news() for _ in range(101)]):
            answer = await phone.ask("channel.subscribe", {"channels": nonsense})
            assert answer["error"]["code"] == "validation_failed"


async def test_chat_and_updates_share_a_connection_and_leaving_one_leaves_the_other(
    house: House, at: Node, publisher: Publisher
) -> None:
    ann, channel = uuid4(), news()
    async with device(at, ann, house) as plain:
        phone = Screen(at.url, {"token": token(house, ann)}, ("/chat", UI))
        await phone.connect()
        await phone.subscribe(channel, UI)
        await publisher.log.publish(message(uuid4(), [ann], "hello"))
        await plain.hears("hello")
        await publisher.say(channel, 1)
        await phone.hears(channel, [1])
        assert [data["data"]["body"] for name, data in phone.about if name == "message.created"] == ["hello"]
        at.gateway.revoked(ann, None, "signed_out")
        await plain.is_gone()
        await phone.is_told("session.revoked")
    assert at.gateway.load.sessions == 0


async def test_who_is_not_signed_in_gets_no_private_updates(at: Node) -> None:
    refused = await Screen(at.url, None, (UI,)).connect()
    unknown = await Screen(at.url, None, ("/ui-private",)).connect()

    assert refused.refusals[UI]["data"]["code"] == "unauthenticated"
    assert unknown.refusals["/ui-private"] == {"message": "Invalid namespace"}


async def test_sockets_without_login_are_counted_by_address_and_on_the_whole(house: House) -> None:
    few: list[dict[str, Any]] = [{"connections_per_address": 2}, {"public_connections": 2}]
    for more in few:
        async with (
            node(house, limits=dataclasses.replace(LIMITS, **more)) as small,
            screen(small, house, namespaces=(PUBLIC,)),
        ):
            async with screen(small, house, namespaces=(PUBLIC,)):
                refused = await Screen(small.url, None, (PUBLIC,)).connect()
                assert refused.refusals[PUBLIC]["data"]["code"] == "too_many_connections"
            async with screen(small, house, namespaces=(PUBLIC,)), screen(small, house):
                pass


async def test_a_page_of_a_foreign_origin_gets_no_public_updates(house: House, at: Node) -> None:
    foreign = await Screen(at.url, None, (PUBLIC,), headers={"Origin": "https://evil.example"}).connect()
    own = await Screen(at.url, None, (PUBLIC,), headers={"Origin": at.url}).connect()

    assert foreign.refusals
    assert not own.refusals
    await own.client.disconnect()


async def test_what_is_over_elsewhere_older_or_a_repeat_is_delivered_to_nobody(
    house: House, at: Node, publisher: Publisher
) -> None:
    channel, repeated = news(), uuid4()
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with screen(at, house) as phone:
        position = (await phone.subscribe(channel))["position"]
        await publisher.say(channel, "over", expires_at=past)
        await publisher.say(channel, "elsewhere", region="us")
        await publisher.say(channel, "here", region="eu", version=5)
        async with screen(at, house) as late:  # what it has had says nothing of versions
            await phone.hears(channel, ["here"])
            await late.subscribe(channel)
            await publisher.say(channel, "older", version=4)
            await publisher.say(channel, "marker")
            await late.hears(channel, ["marker"])
        await publisher.say(channel, "as old", version=5)
        await publisher.say(channel, "unversioned")
        await publisher.say(channel, "once", update_id=repeated)
        await publisher.say(channel, "once", update_id=repeated)
        await publisher.log.publish(dataclasses.replace(update(channel, 0), payload='{"no": NaN}'))
        await publisher.log.publish(dataclasses.replace(update(channel, 0), payload='1},"position":"forged"}]'))
        await publisher.say(channel, "newer", version=6)
        expected = ["here", "marker", "unversioned", "once", "newer"]
        await phone.hears(channel, expected)
    async with screen(at, house) as phone:
        await phone.subscribe(channel, position=position)
        await phone.hears(channel, expected)


async def test_who_comes_without_a_position_gets_the_last_kept_value_first(
    house: House, at: Node, publisher: Publisher
) -> None:
    channel, over = news(), news()
    async with screen(at, house) as first:
        await first.subscribe(channel)
        await first.subscribe(over)
        await publisher.say(channel, "old", is_kept=True)
        await publisher.say(channel, "kept", is_kept=True)
        await publisher.say(channel, "not kept")
        await publisher.say(over, "soon over", is_kept=True, expires_at=datetime.now(UTC) + timedelta(seconds=1))
        await first.hears(channel, ["old", "kept", "not kept"])
        position = first.position
    await asyncio.sleep(1)  # until it is over
    async with node(house, limits=LIMITS) as later:
        for each in (at, later):
            async with screen(each, house) as phone:
                assert (await phone.subscribe(channel))["resumed"] is False
                await phone.hears(channel, ["kept"])
                await phone.subscribe(over)
                await publisher.say(over, "live")
                await phone.hears(over, ["live"])
                assert phone.payloads(channel) == ["kept"]
            async with screen(each, house) as phone:
                await phone.subscribe(channel, position=position)
                await phone.subscribe(over, position=position)
                await phone.hears(over, publisher.said[over][1:])
                assert phone.payloads(channel) == []
