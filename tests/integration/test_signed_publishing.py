"""Publish keys and the requests that are signed with them, on the real servers."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from bounded_contexts.realtime.adapters import publish_keys_postgres
from bounded_contexts.realtime.adapters.tables import publish_key, signed_request
from headwater.web import application
from headwater.wiring import House
from infra.health import Health
from infra.kafka_log import KafkaLog
from shared_kernel.errors import Unavailable
from tests.integration.accounts import registered
from tests.integration.conftest import Anybody, Client
from tests.integration.test_publishing import on_topic, records_of
from tests.probes import eventually

URL = "http://test/api/v1/realtime/publish"
NEWS = {"channel": "news", "payload": {"text": "é"}}


def signed(
    key: dict[str, Any],
    body: Any,
    id_: str | None = None,
    at: float | None = None,
    target: str = "/api/v1/realtime/publish",
    method: str = "POST",
) -> dict[str, Any]:
    """Return the request's content and headers, by another implementation than the one under test."""
    content = json.dumps(body).encode()
    id_, timestamp = id_ or f"msg_{uuid4().hex}", str(int(time.time() if at is None else at))
    mac = HMAC(base64.b64decode(key["secret"].removeprefix("whsec_")), SHA256())
    mac.update(f"{method}\n{target}\n{id_}.{timestamp}.".encode() + content)
    headers = {
        "content-type": "application/json",
        "x-key-id": key["id"],
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac.finalize()).decode()}",
    }
    return {"content": content, "headers": headers}


async def made(admin: httpx.AsyncClient, *channels: str, public: bool = False) -> dict[str, Any]:
    answer = await admin.post("/realtime/keys", json={"name": "Shop", "channels": channels or ("*",), "public": public})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


@pytest.fixture
async def key(admin: httpx.AsyncClient) -> dict[str, Any]:
    return await made(admin, "news", "orders/*")


@pytest.fixture
async def shop(anybody: Anybody) -> AsyncIterator[httpx.AsyncClient]:
    async with anybody() as api:
        yield api


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def test_what_is_signed_is_published(key: dict[str, Any], shop: httpx.AsyncClient, web_house: House) -> None:
    answer = await shop.post(URL, **signed(key, {"updates": [NEWS, NEWS]}))
    assert answer.status_code == 202, answer.text
    events = await records_of(web_house, answer.json()["updates"])

    assert [event.payload for event in events] == ['{"text":"é"}'] * 2
    assert {event.published_by for event in events} == {f"key:{key['id']}"}


async def test_a_request_is_accepted_once(
    key: dict[str, Any], shop: httpx.AsyncClient, admin: httpx.AsyncClient, web_house: House
) -> None:
    request = signed(key, NEWS)
    first = await shop.post(URL, **request)
    answers = [await shop.post(URL, **request) for _ in range(3)]
    other = await shop.post(URL, **signed(await made(admin), NEWS, id_=request["headers"]["webhook-id"]))

    assert [told(each) for each in answers] == [(409, "replayed")] * 3
    assert len(await records_of(web_house, first.json()["updates"])) == 1
    assert other.status_code == 202  # of another key


async def test_of_many_at_once_one_is_accepted(key: dict[str, Any], shop: httpx.AsyncClient, web_house: House) -> None:
    request = signed(key, NEWS)
    answers = await asyncio.gather(*(shop.post(URL, **request) for _ in range(10)))

    assert sorted(each.status_code for each in answers) == [202] + [409] * 9
    (won,) = [each for each in answers if each.status_code == 202]
    assert len(await records_of(web_house, won.json()["updates"])) == 1


async def test_a_repeat_passes_after_the_broker_was_away(
    key: dict[str, Any], shop: httpx.AsyncClient, web_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("broker_unavailable", "not acknowledged")

    request = signed(key, {"updates": [NEWS]})
    with monkeypatch.context() as patch:
        patch.setattr(KafkaLog, "publish", away)
        lost = await shop.post(URL, **request)
    again = await shop.post(URL, **request)

    assert told(lost) == (503, "broker_unavailable")
    assert again.status_code == 202, again.text
    assert len(await records_of(web_house, again.json()["updates"])) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"x-key-id": str(UUID(int=1))}, "invalid_signature"),
        ({"x-key-id": "nobody"}, "invalid_signature"),
        ({"webhook-id": "msg_other"}, "invalid_signature"),
        ({"webhook-id": "msg.1"}, "invalid_signature"),
        ({"webhook-id": ""}, "invalid_signature"),
        ({"webhook-timestamp": "now"}, "invalid_signature"),
        ({"webhook-signature": ""}, "invalid_signature"),
        ({"webhook-signature": "v1,AAAA"}, "invalid_signature"),
        ({"content-type": "application/json; charset=utf-8"}, ""),  # which is not signed
    ],
)
async def test_what_is_signed_otherwise_is_refused(
    key: dict[str, Any], shop: httpx.AsyncClient, change: dict[str, str], code: str
) -> None:
    request = signed(key, NEWS)
    answer = await shop.post(URL, content=request["content"], headers=request["headers"] | change)

    assert told(answer) == ((401, code) if code else (202, ""))


@pytest.mark.parametrize(
    "change", [{"target": "/api/v1/realtime/keys"}, {"target": "/api/v1/realtime/publish?x=1"}, {"method": "PUT"}]
)
async def test_a_signature_is_for_one_method_and_target(
    key: dict[str, Any], shop: httpx.AsyncClient, change: dict[str, str]
) -> None:
    assert told(await shop.post(URL, **signed(key, NEWS, **change))) == (401, "invalid_signature")  # type: ignore[arg-type]


async def test_the_query_is_signed(key: dict[str, Any], shop: httpx.AsyncClient) -> None:
    request = signed(key, NEWS, target="/api/v1/realtime/publish?x=%20y")

    assert (await shop.post(f"{URL}?x=%20y", **request)).status_code == 202


async def test_another_body_is_refused(key: dict[str, Any], shop: httpx.AsyncClient) -> None:
    request = signed(key, NEWS)

    assert told(await shop.post(URL, headers=request["headers"], content=b'{"channel":"news","payload":2}')) == (
        401,
        "invalid_signature",
    )


@pytest.mark.parametrize(("off", "status"), [(-310, 401), (-280, 202), (280, 202), (310, 401)])
async def test_five_minutes_either_way_are_good(
    key: dict[str, Any], shop: httpx.AsyncClient, off: float, status: int
) -> None:
    answer = await shop.post(URL, **signed(key, NEWS, at=time.time() + off))

    assert told(answer) == (status, "stale_timestamp" if status == 401 else "")


async def test_a_key_publishes_to_its_channels_only(
    key: dict[str, Any], shop: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    elsewhere = signed(key, {"updates": [NEWS, {"channel": "stock", "payload": 1}]})

    assert told(await shop.post(URL, **elsewhere)) == (403, "channel_not_allowed")
    assert told(await shop.post(URL, **signed(key, NEWS | {"public": True}))) == (403, "channel_not_allowed")
    assert (await shop.post(URL, **signed(key, {"channel": "orders/7", "payload": 1}))).status_code == 202
    open_one = await made(admin, public=True)
    assert (await shop.post(URL, **signed(open_one, NEWS | {"public": True}))).status_code == 202


async def test_the_former_secret_holds_beside_the_new_one_until_the_next(
    key: dict[str, Any], shop: httpx.AsyncClient, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_keys_postgres, "FRESH_S", 0)

    async def status(secret: str) -> int:
        return (await shop.post(URL, **signed(key | {"secret": secret}, NEWS))).status_code

    secrets = [key["secret"]]
    for _ in range(2):
        rotated = await admin.post(f"/realtime/keys/{key['id']}/secrets")
        assert rotated.status_code == 201, rotated.text
        assert rotated.json()["rotated_at"]
        secrets.append(rotated.json()["secret"])
        assert [await status(each) for each in secrets[-2:]] == [202, 202]

    assert await status(secrets[0]) == 401


async def test_the_former_secret_holds_for_a_day(
    key: dict[str, Any], shop: httpx.AsyncClient, admin: httpx.AsyncClient, web_house: House
) -> None:
    await admin.post(f"/realtime/keys/{key['id']}/secrets")
    async with web_house.databases["realtime"].transaction() as connection:
        this = publish_key.c.key_id == UUID(key["id"])
        until = await connection.scalar(sa.select(publish_key.c.former_until).where(this))
        await connection.execute(sa.update(publish_key).where(this).values(former_until=sa.func.now()))

    assert until
    assert 86_000 < until.timestamp() - time.time() <= 86_400
    assert told(await shop.post(URL, **signed(key, NEWS))) == (401, "invalid_signature")


async def test_a_key_that_was_revoked_is_refused_within_seconds(
    key: dict[str, Any], shop: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    async def status() -> int:
        return (await shop.post(URL, **signed(key, NEWS))).status_code

    assert await status() == 202
    assert [(await admin.delete(f"/realtime/keys/{key['id']}")).status_code for _ in range(2)] == [204, 204]
    assert await eventually(status, until=lambda found: found == 401) == 401
    assert (await admin.post(f"/realtime/keys/{key['id']}/secrets")).json()["code"] == "publish_key_not_found"
    assert key["id"] not in [each["id"] for each in (await admin.get("/realtime/keys")).json()["data"]]


async def test_secrets_are_shown_once_and_lie_sealed(
    key: dict[str, Any], admin: httpx.AsyncClient, web_house: House
) -> None:
    listed = await admin.get("/realtime/keys")
    async with web_house.databases["realtime"].transaction() as connection:
        query = sa.select(publish_key).where(publish_key.c.key_id == UUID(key["id"]))
        row = (await connection.execute(query)).one()

    (found,) = [each for each in listed.json()["data"] if each["id"] == key["id"]]
    assert found == {name: value for name, value in key.items() if name != "secret"}
    assert base64.b64decode(key["secret"].removeprefix("whsec_")) not in bytes(row.sealed)


@pytest.mark.usefixtures("groups")
async def test_what_administrators_do_with_keys_is_on_a_topic(admin: httpx.AsyncClient, web_house: House) -> None:
    key = await made(admin)
    await admin.post(f"/realtime/keys/{key['id']}/secrets")
    await admin.delete(f"/realtime/keys/{key['id']}")

    async def types() -> list[str]:
        found = await on_topic(web_house, lambda event: str(getattr(event, "key_id", "")) == key["id"], "publish-keys")
        return [type(event).__name__ for event in found]

    assert await eventually(types, until=lambda found: len(found) == 3) == [
        "PublishKeyMade",
        "PublishKeyRotated",
        "PublishKeyRevoked",
    ]


@pytest.mark.usefixtures("groups")
async def test_keys_are_for_administrators_who_have_signed_in_lately(anybody: Anybody, client: Client) -> None:
    owner = await registered(anybody())
    body = {"name": "Shop", "channels": ["*"]}

    assert told(await owner.api.post("/realtime/keys", json=body)) == (403, "forbidden")
    assert told(await client(uuid4(), "operator").get("/realtime/keys")) == (403, "forbidden")


async def test_old_requests_are_forgotten(
    key: dict[str, Any], web_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_keys_postgres, "PRUNE_S", -1)
    async with web_house.databases["realtime"].transaction() as connection:
        values = {"key_id": UUID(key["id"]), "request_id": "old", "seen_at": sa.text("now() - interval '601 seconds'")}
        await connection.execute(sa.insert(signed_request).values(values))
    app = application(web_house, {"web"}, Health(("web",), {}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as api:
        assert (await api.post(URL, **signed(key, NEWS, id_="new"))).status_code == 202

    async with web_house.databases["realtime"].transaction() as connection:
        query = sa.select(signed_request.c.request_id).where(signed_request.c.key_id == UUID(key["id"]))
        assert (await connection.scalars(query)).all() == ["new"]


async def test_a_published_request_costs_one_write_and_no_read(
    key: dict[str, Any], shop: httpx.AsyncClient, web_house: House
) -> None:
    statements: list[str] = []
    engine = web_house.databases["realtime"]._engine.sync_engine
    assert (await shop.post(URL, **signed(key, NEWS))).status_code == 202

    def heard(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    sa.event.listen(engine, "before_cursor_execute", heard)
    try:
        assert (await shop.post(URL, **signed(key, {"updates": [NEWS] * 10}))).status_code == 202
    finally:
        sa.event.remove(engine, "before_cursor_execute", heard)

    assert [each.split()[:3] for each in statements] == [["INSERT", "INTO", "signed_request"]]
