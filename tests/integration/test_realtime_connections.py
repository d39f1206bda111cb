"""Whose sockets are open on all nodes, and their end by an administrator or a service."""

from collections.abc import AsyncIterator
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
    program = str(uuid4())
    claims: dict[str, Any] = {"sub": program, "roles": list(roles), "exp": datetime.now(UTC) + timedelta(minutes=1)}
    if scopes is not None:
        claims |= {"client_id": program, "scope": " ".join(scopes)}
    headers = {"authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers) as api:
        assert (await api.get(PATH, params={"user_id": program})).status_code == status
        assert (await api.post(f"{PATH}/disconnect", json={"user_id": program})).status_code == (
            202 if status == 200 else status
        )


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
