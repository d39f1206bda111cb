"""Whose sockets are open on all nodes, and their end by an administrator or a service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from tests.conftest import SECRET
from tests.integration.channels import PUBLIC, UI, Publisher, screen
from tests.integration.conftest import client_of
from tests.integration.nodes import Device, Node, device, node, token
from tests.probes import eventually

PATH = "/realtime/connections"


@pytest.fixture(scope="module")
async def nodes(house: House) -> AsyncIterator[tuple[Node, Node]]:
    async with node(house) as one, node(house) as other:
        yield one, other


@pytest.fixture(scope="module")
def app(house: House) -> Any:
    return application(house, {"web"}, Health(("web",), {}))


@pytest.fixture
def admin(app: Any, tokens: SharedKeyTokens) -> httpx.AsyncClient:
    return client_of(app, tokens, uuid4(), ("admin",))


async def listed(admin: httpx.AsyncClient, user: UUID, count: int) -> list[dict[str, Any]]:
    """Wait until so many of the user's sockets are shown."""

    async def shown() -> list[dict[str, Any]]:
        answer = await admin.get(PATH, params={"user_id": str(user)})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"])

    return await eventually(shown, until=lambda found: len(found) == count)


@asynccontextmanager
async def as_program(app: Any, roles: set[str], scopes: set[str] | None) -> AsyncIterator[httpx.AsyncClient]:
    """Lend a client with a token of these roles, and limited to the scopes if there are any."""
    program = str(uuid4())
    claims: dict[str, Any] = {"sub": program, "roles": list(roles), "exp": datetime.now(UTC) + timedelta(minutes=1)}
    if scopes is not None:
        claims |= {"client_id": program, "scope": " ".join(scopes)}
    headers = {"authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers) as api:
        yield api


async def test_sockets_on_every_node_are_listed_and_ended_with_a_reason(
    house: House, nodes: tuple[Node, Node], admin: httpx.AsyncClient
) -> None:
    one, other = nodes
    ann = uuid4()
    async with device(one, uuid4(), house) as bystander:
        near = await Device(one.url, {"token": token(house, ann)}).connect()
        far = await Device(other.url, {"token": token(house, ann)}).connect()
        data = await listed(admin, ann, 2)
        assert {each["sid"] for each in data} == {near.session["sid"], far.session["sid"]}
        assert len({each["node_id"] for each in data}) == 2
        assert {each["user_id"] for each in data} == {str(ann)}

        body = {"user_id": str(ann), "sid": far.session["sid"], "reason": "moved"}
        ended = await admin.post(f"{PATH}/disconnect", json=body)
        assert (ended.status_code, ended.json()) == (202, {"status": "accepted"})
        assert await far.is_told("session.revoked") == {"reason": "moved"}
        await far.is_gone()
        assert [each["sid"] for each in await listed(admin, ann, 1)] == [near.session["sid"]]

        assert (await admin.post(f"{PATH}/disconnect", json={"user_id": str(ann)})).status_code == 202
        assert await near.is_told("session.revoked") == {"reason": "disconnected"}
        await near.is_gone()
        await listed(admin, ann, 0)
        assert bystander.client.connected
        assert [name for name, _ in bystander.about] == ["session.ready"]


async def test_who_hears_updates_is_listed_and_there(
    house: House, nodes: tuple[Node, Node], admin: httpx.AsyncClient
) -> None:
    one, other = nodes
    ann = uuid4()
    async with device(one, uuid4(), house) as watcher:
        await watcher.ask("presence.subscribe", {"user_ids": [str(ann)]})
        async with screen(other, house, ann) as phone, screen(other, house, namespaces=(PUBLIC,)):
            (shown,) = await listed(admin, ann, 1)
            assert shown["sid"] == phone.client.get_sid(UI)
            assert (await watcher.is_told("presence.changed"))["status"] == "online"
            assert (await admin.post(f"{PATH}/disconnect", json={"user_id": str(ann)})).status_code == 202
            assert await phone.is_told("session.revoked") == {"reason": "disconnected"}
            await listed(admin, ann, 0)


async def test_channels_are_given_and_taken_on_every_node(
    house: House, nodes: tuple[Node, Node], admin: httpx.AsyncClient
) -> None:
    one, other = nodes
    ann, publisher = uuid4(), Publisher(house)
    orders, news, own = f"orders.{uuid4().hex}", f"news.{uuid4().hex}", f"user:{ann}"
    async with (
        screen(one, house, ann) as near,
        screen(other, house, ann) as far,
        screen(one, house, ann, (PUBLIC,)) as public,
        screen(one, house) as bystander,
        device(one, ann, house),
    ):
        await near.subscribe(own)
        given = await admin.post(f"{PATH}/subscribe", json={"user_id": str(ann), "channels": [orders, own]})
        assert (given.status_code, given.json()) == (202, {"status": "accepted"})
        assert (await near.is_told_of(orders, "channel.subscribed"))["resumed"] is False
        await far.is_told_of(orders, "channel.subscribed")
        await publisher.say(orders, 1)
        for each in (near, far):
            await each.hears(orders, [1])
        renewed = await near.ask("auth.refresh", {"token": token(house, ann)})
        assert renewed["ok"]

        sid = far.client.get_sid(UI)
        body = {"user_id": str(ann), "sid": sid, "channels": [news]}
        assert (await admin.post(f"{PATH}/subscribe", json=body)).status_code == 202
        await far.is_told_of(news, "channel.subscribed")
        taken = {"user_id": str(ann), "channels": [orders, "unknown"], "reason": "left_team"}
        assert (await admin.post(f"{PATH}/unsubscribe", json=taken)).status_code == 202
        for each in (near, far):
            assert await each.is_told_of(orders, "channel.closed") == {"channel": orders, "reason": "left_team"}
        refused = await near.ask("channel.subscribe", {"channel": orders})
        assert refused["error"]["code"] == "forbidden_channel"
        for channel in (orders, news, own):
            await publisher.say(channel, 2)
        await far.hears(news, [2])
        await far.hears(own, [2])
        await near.hears(own, [2])
        assert (near.payloads(orders), far.payloads(orders), near.payloads(news)) == ([1], [1], [])
        assert [each.about for each in (bystander, public)] == [[], []]


async def test_a_given_channel_is_closed_when_its_time_is_over(
    house: House, nodes: tuple[Node, Node], admin: httpx.AsyncClient
) -> None:
    ann = uuid4()
    async with screen(nodes[0], house, ann) as phone:
        body = {"user_id": str(ann), "channels": ["orders"], "ttl_s": 1}
        assert (await admin.post(f"{PATH}/subscribe", json=body)).status_code == 202
        assert await phone.is_told("channel.closed") == {"channel": "orders", "reason": "token_expired"}


@pytest.mark.parametrize(
    ("roles", "scopes", "channel", "code"),
    [
        ({"service"}, {"realtime:connections", "realtime:grant"}, "orders.1", None),
        ({"service"}, {"realtime:connections", "realtime:grant:orders.*"}, "orders.1", None),
        ({"service"}, {"realtime:connections", "realtime:grant:orders.*"}, "role:admin", "channel_not_allowed"),
        ({"service"}, {"realtime:connections"}, "orders.1", "scope_missing"),
        ({"service"}, {"realtime:grant"}, "orders.1", "scope_missing"),
        ({"admin"}, {"realtime:connections", "realtime:grant"}, "orders.1", "scope_missing"),  # a key of theirs
        ({"user"}, None, "orders.1", "forbidden"),
    ],
)
async def test_who_gives_channels_may_give_these(
    app: Any, roles: set[str], scopes: set[str] | None, channel: str, code: str | None
) -> None:
    async with as_program(app, roles, scopes) as api:
        answer = await api.post(f"{PATH}/subscribe", json={"user_id": str(uuid4()), "channels": [channel]})
        assert (answer.status_code, answer.json().get("code")) == (403 if code else 202, code)


@pytest.mark.parametrize(
    ("roles", "scopes", "status"),
    [
        ({"service"}, {"realtime:connections"}, 200),
        ({"service"}, {"messages:read"}, 403),
        ({"admin"}, {"realtime:connections"}, 200),  # a key of theirs
        ({"admin"}, {"admin:read"}, 403),
        ({"user"}, {"realtime:connections"}, 403),
        ({"service"}, None, 403),
    ],
)
async def test_a_program_needs_the_scope_and_an_owner_who_may(
    app: Any, roles: set[str], scopes: set[str] | None, status: int
) -> None:
    """Whoever makes a key may give it any scope, so that alone opens nothing."""
    user = str(uuid4())
    async with as_program(app, roles, scopes) as api:
        assert (await api.get(PATH, params={"user_id": user})).status_code == status
        bodies: dict[str, dict[str, Any]] = {"disconnect": {}, "unsubscribe": {"channels": ["orders"]}}
        for path, more in bodies.items():
            answer = await api.post(f"{PATH}/{path}", json={"user_id": user} | more)
            assert answer.status_code == (202 if status == 200 else status)


async def test_nonsense_is_refused(admin: httpx.AsyncClient) -> None:
    for body in (
        {},
        {"user_id": "?"},
        {"user_id": str(uuid4()), "reason": "No words"},
        {"user_id": str(uuid4()), "x": 1},
    ):
        answer = await admin.post(f"{PATH}/disconnect", json=body)
        assert answer.json()["code"] == "validation_failed"
    assert (await admin.get(PATH)).status_code == 422
    ann = {"user_id": str(uuid4())}
    wrong: list[dict[str, Any]] = [{}, {"channels": []}, {"channels": ["a b"]}, {"channels": ["a"] * 31}]
    for more in (*wrong, {"channels": ["a"], "ttl_s": 0}):
        answer = await admin.post(f"{PATH}/subscribe", json=ann | more)
        assert answer.json()["code"] == "validation_failed"
