"""What clients are told when their session ends, in each namespace and over server-sent events."""

import asyncio
from datetime import UTC, datetime
from types import CoroutineType
from uuid import uuid4

import pytest

from bounded_contexts.realtime.adapters.connections_postgres import PostgresConnections
from headwater.configured import shared_key_tokens
from headwater.wiring import House
from infra.access_tokens import LEEWAY
from infra.kafka_log import KafkaLog
from schemas.identity.events import UserBlocked
from tests.integration.channels import PUBLIC, UI, Publisher, Screen
from tests.integration.nodes import CHAT, node, token
from tests.integration.test_realtime_events import process, streamed
from tests.integration.test_realtime_token_refresh import LIFE
from tests.integration.test_realtime_ui import LIMITS, news
from tests.probes import eventually


async def ends_everywhere_but_without_login(screen: Screen, publisher: Publisher, reason: str) -> None:
    """The namespaces of who has signed in are told and left; the public one goes on."""

    async def told() -> int:
        return len(screen.told("session.revoked"))

    assert await eventually(told, until=lambda count: count == 2) == 2
    assert screen.told("session.revoked") == [{"reason": reason}] * 2

    async def stayed() -> list[str]:
        return list(screen.client.namespaces)

    assert await eventually(stayed, until=lambda names: len(names) == 1) == [PUBLIC]
    channel = news()
    await screen.subscribe(channel, PUBLIC)
    await publisher.say(channel, "still here", is_public=True)
    await screen.hears(channel, ["still here"])
    await screen.client.disconnect()


@pytest.mark.parametrize("reason", ["token_expired", "signed_out", "moved"])
async def test_each_namespace_with_a_login_is_told_why(house: House, reason: str) -> None:
    user = uuid4()
    ends = reason == "token_expired"
    given = shared_key_tokens(house.settings).issue(user, lifetime=LIFE - LEEWAY) if ends else token(house, user)
    async with node(house, limits=LIMITS) as at:
        screen = await Screen(at.url, {"token": given}, (PUBLIC, CHAT, UI)).connect()
        if reason == "signed_out":
            at.gateway.revoked(user, None, reason)
        elif reason == "moved":
            await PostgresConnections(house.databases["realtime"]).end(user, None, reason)
        await ends_everywhere_but_without_login(screen, Publisher(house), reason)


async def test_a_stream_with_a_token_is_told_and_ends(house: House) -> None:
    user, channel = uuid4(), news()
    who = {"authorization": f"Bearer {token(house, user)}"}
    async with process(house.settings) as url, streamed(url, channel, who) as stream:
        await stream.take("channel.subscribed")
        blocked = UserBlocked(user_id=user, blocked_by=uuid4(), blocked_at=datetime.now(UTC))
        await KafkaLog(house.commands, house.codec).publish(blocked)
        assert await stream.take("session.revoked") == {"reason": "blocked"}
        async with asyncio.timeout(60):
            assert await stream.rest() == []


async def test_nothing_of_a_node_that_was_closed_goes_on(house: House) -> None:
    before = asyncio.all_tasks()
    async with node(house, limits=LIMITS):
        assert asyncio.all_tasks() - before

    async def left() -> list[str]:
        coroutines = [task.get_coro() for task in asyncio.all_tasks() - before]
        files = [each.cr_code.co_filename for each in coroutines if isinstance(each, CoroutineType)]
        return [name for name in files if "bounded_contexts" in name]

    await eventually(left, until=lambda names: not names)
