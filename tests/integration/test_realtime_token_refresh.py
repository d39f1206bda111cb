"""A token that ends while its socket is open: the warning, another token, and the end without one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from bounded_contexts.realtime.adapters import token_expiry
from headwater.configured import shared_key_tokens
from headwater.wiring import House
from infra.access_tokens import LEEWAY, User
from infra.feed import FeedRunner
from infra.kafka_log import KafkaLog
from schemas.identity.events import UserBlocked
from tests.integration.nodes import Device, Node, message, node, token
from tests.probes import during, eventually

LIFE = timedelta(seconds=5)
NOTICE_PART = 0.8  # of it: most is left when the client is warned, for a client that is slow


@pytest.fixture
async def gateway(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(token_expiry, "NOTICE_PART", NOTICE_PART)
    async with node(house) as running:
        yield running


def short_token(house: House, user: UUID) -> str:
    """Return one that ends soon: what holds by the leeway alone."""
    return shared_key_tokens(house.settings).issue(user, lifetime=LIFE - LEEWAY)


async def ending_device(house: House, gateway: Node, user: UUID) -> Device:
    return await Device(gateway.url, {"token": short_token(house, user)}).connect()


async def test_a_socket_goes_on_with_another_token(house: House, gateway: Node) -> None:
    ann, bob = uuid4(), uuid4()
    phone = await ending_device(house, gateway, bob)
    warned = await phone.is_told("auth.expiring")
    answer = await phone.ask("auth.refresh", {"token": token(house, bob)})
    tablet = await ending_device(house, gateway, bob)
    await tablet.is_gone()  # its token ended later than the first of the phone
    await KafkaLog(house.commands, house.codec).publish(message(ann, [bob], "still here"))
    await phone.hears("still here")

    assert timedelta(0) < datetime.fromisoformat(warned["expires_at"]) - datetime.now(UTC) + 2 * LIFE < 4 * LIFE
    assert answer["ok"] is True
    assert datetime.fromisoformat(answer["data"]["expires_at"]) > datetime.now(UTC) + timedelta(hours=1)
    assert [name for name, _ in phone.about] == ["session.ready", "auth.expiring"]  # one session, and the same
    await phone.client.disconnect()


async def test_a_token_that_ends_as_well_is_warned_of_again(house: House, gateway: Node) -> None:
    ann = uuid4()
    phone = await ending_device(house, gateway, ann)
    await phone.is_told("auth.expiring")
    assert (await phone.ask("auth.refresh", {"token": short_token(house, ann)}))["ok"]
    await phone.is_gone()

    told = [name for name, _ in phone.about]
    assert told == ["session.ready", "auth.expiring", "auth.expiring", "session.revoked"]
    assert await phone.is_told("session.revoked") == {"reason": "token_expired"}


async def test_what_is_no_token_of_the_user_changes_nothing(house: House, gateway: Node) -> None:
    ann, stale = uuid4(), timedelta(minutes=-5)
    phone = await ending_device(house, gateway, ann)
    payloads: list[tuple[Any, str]] = [
        ({"token": token(house, uuid4())}, "another_user"),
        ({"token": shared_key_tokens(house.settings).issue(ann, lifetime=stale)}, "token_expired"),
        ({"token": "nonsense"}, "unauthenticated"),
        ({"token": 7}, "validation_failed"),
        ({}, "validation_failed"),
    ]
    for payload, code in payloads:
        refused = await phone.ask("auth.refresh", payload)
        assert (refused["ok"], refused["error"]["code"]) == (False, code)

    assert await phone.is_told("session.revoked") == {"reason": "token_expired"}
    await phone.is_gone()


async def test_who_was_revoked_refreshes_nothing(house: House, gateway: Node) -> None:
    ann = uuid4()
    phone = await ending_device(house, gateway, ann)
    runner = FeedRunner(house.revocations.feed, house.kafka, house.codec)
    async with during(runner.run()):
        blocked = UserBlocked(user_id=ann, blocked_by=uuid4(), blocked_at=datetime.now(UTC))
        await KafkaLog(house.commands, house.codec).publish(blocked)

        async def refused() -> str | None:
            return house.revocations.reason(User(ann, frozenset(), datetime.now(UTC)))

        assert await eventually(refused) == "blocked"
    answer = await phone.ask("auth.refresh", {"token": token(house, ann)})

    assert answer["error"]["code"] == "session_revoked"
    assert await phone.is_told("session.revoked") == {"reason": "token_expired"}
