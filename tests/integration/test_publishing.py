"""Updates of user interfaces, from the request to the record on the topic, on the real servers."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from headwater.wiring import House
from infra.kafka_reader import KafkaReader
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.events import Event
from tests.integration.conftest import Anybody, Client
from tests.probes import eventually

PATH = "/realtime/publish"


async def on_topic(house: House, wanted: Callable[[Event], bool], topic: str) -> list[Any]:
    """Return these events of the topic, in the order of their partitions."""
    found: list[Event] = []
    async with KafkaReader(house.kafka).open([topic]) as reader:
        ends = await reader.ends()
        reader.seek(await reader.beginnings())
        async for batch in reader.batches():
            await house.codec.learn(raw.value for raw in batch)
            events = [house.codec.decode(raw.value) for raw in batch]
            found += [event for event in events if event and wanted(event)]
            if all(at >= ends[key] for key, at in (await reader.positions()).items()):
                return found
    raise AssertionError("batches never end")


async def accepted(api: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> list[dict[str, str]]:
    answer = await api.post(PATH, json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return list(answer.json()["updates"])


async def records_of(house: House, made: list[dict[str, str]]) -> list[UiUpdatePublished]:
    ids = {each["update_id"] for each in made}
    return await on_topic(house, lambda event: str(getattr(event, "update_id", "")) in ids, "ui-updates")


async def test_an_update_lies_on_the_topic_once_it_is_accepted(admin: httpx.AsyncClient, web_house: House) -> None:
    ann = uuid4()
    body = {"user_id": str(ann), "payload": {"é": [1, None]}, "ttl_s": 60, "version": 3, "keep": True, "region": "eu"}
    (made,) = await accepted(admin, body)
    (event,) = await records_of(web_house, [made])

    assert made["channel"] == event.channel == f"user:{ann}"
    assert made["position"]
    assert (event.payload, event.version, event.is_kept, event.region) == ('{"é":[1,null]}', 3, True, "eu")
    assert event.expires_at
    assert (event.expires_at - event.published_at).total_seconds() == 60
    assert event.published_by.startswith("user:")
    assert not event.is_public


async def test_a_batch_keeps_the_order_of_a_channel(admin: httpx.AsyncClient, web_house: House) -> None:
    channel = f"news/{uuid4()}"
    made = await accepted(admin, {"updates": [{"channel": channel, "payload": n, "public": True} for n in range(100)]})
    events = await records_of(web_house, made)

    assert [event.payload for event in events] == [str(n) for n in range(100)]
    assert [str(event.update_id) for event in events] == [each["update_id"] for each in made]
    assert all(event.is_public for event in events)


async def test_the_same_idempotency_key_is_the_same_update(admin: httpx.AsyncClient) -> None:
    body = {"channel": "news", "payload": 1}
    several = {"updates": [body, body]}
    first, second = [await accepted(admin, several, **{"Idempotency-Key": "several"}) for _ in range(2)]
    (named,) = await accepted(admin, body | {"idempotency_key": "one"})
    (by_header,) = await accepted(admin, body, **{"Idempotency-Key": "one"})
    (without,) = await accepted(admin, body)

    assert [each["update_id"] for each in first] == [each["update_id"] for each in second]
    assert len({each["update_id"] for each in (*first, named, without)}) == 4
    assert named["update_id"] == by_header["update_id"]


@pytest.mark.parametrize(
    ("body", "status", "code", "pointers"),
    [
        ({"payload": 1}, 422, "validation_failed", []),
        ({"channel": "news"}, 422, "validation_failed", [""]),
        ({"channel": "news", "payload": 1, "ttl_s": 0}, 422, "validation_failed", ["/ttl_s"]),
        ({"channel": "news", "payload": 1, "public": 0}, 422, "validation_failed", ["/public"]),
        ({"channel": "news", "payload": 1, "version": "3"}, 422, "validation_failed", ["/version"]),
        ({"updates": [{"channel": "news"}]}, 422, "validation_failed", ["/updates/0/payload"]),
        ({"updates": [{"channel": "news", "payload": 1}] * 101}, 422, "validation_failed", ["/updates"]),
        ({"updates": [], "channel": "news", "payload": 1}, 422, "validation_failed", ["/updates"]),
        ({"updates": [{"channel": "news", "payload": 1}], "public": True}, 422, "validation_failed", [""]),
        ({"channel": "role:admin", "payload": 1}, 422, "invalid_channel", []),
        ({"channel": "news", "payload": "x" * 65_535}, 422, "payload_length", []),
    ],
)
async def test_what_is_no_update_is_refused(
    admin: httpx.AsyncClient, body: dict[str, Any], status: int, code: str, pointers: list[str]
) -> None:
    answer = await admin.post(PATH, json=body)
    said = answer.json()

    assert (answer.status_code, said["code"]) == (status, code), answer.text
    assert [each["pointer"] for each in said.get("errors", [])] == pointers


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"channel": "role:admin", "payload": 1}, 422, "invalid_channel"),
        ({"channel": "news", "user_id": str(uuid4()), "payload": 1}, 422, "validation_failed"),
        ({"channel": "n ws", "payload": 1}, 422, "invalid_channel"),
        ({"channel": "news", "payload": "\ud83d"}, 422, "validation_failed"),
        ({"channel": "news", "payload": "x" * 65_535}, 422, "payload_length"),
        ({"role": "user", "payload": 1, "public": True}, 422, "validation_failed"),
    ],
)
async def test_the_refusal_of_a_batch_says_which_update_it_is_about(
    admin: httpx.AsyncClient, wrong: dict[str, Any], status: int, code: str
) -> None:
    batch = json.dumps({"updates": [{"channel": "news", "payload": 1}, wrong, wrong]})
    answer = await admin.post(PATH, content=batch, headers={"Content-Type": "application/json"})
    said = answer.json()

    assert (answer.status_code, said["code"]) == (status, code), answer.text
    assert said["errors"] == [{"pointer": "/updates/1", "code": code, "detail": said["detail"]}]


async def test_only_who_may_publishes(client: Client) -> None:
    body = {"channel": "news", "payload": 1}

    assert (await client().post(PATH, json=body)).status_code == 401
    assert (await client(uuid4()).post(PATH, json=body)).status_code == 403
    assert (await client(uuid4(), "moderator").post(PATH, json=body)).status_code == 403


async def test_a_service_publishes_where_its_scopes_say(
    admin: httpx.AsyncClient, anybody: Anybody, web_house: House
) -> None:
    scopes = ["realtime:publish:orders/*", "realtime:publish:news"]
    robot = (await admin.post("/service-accounts", json={"name": "Shop", "scopes": scopes})).json()
    api = anybody()
    token = await api.post(
        "http://test/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(robot["id"], robot["client_secret"]),
    )
    api.headers["authorization"] = f"Bearer {token.json()['access_token']}"
    (event,) = await records_of(web_house, await accepted(api, {"channel": "orders/7", "payload": 1}))
    refused = await api.post(PATH, json={"channel": "orders", "payload": 1})

    assert event.published_by == f"service:{robot['id']}"
    assert (refused.status_code, refused.json()["code"]) == (403, "channel_not_allowed")


@pytest.mark.usefixtures("groups")
async def test_what_a_rule_names_is_published(client: Client, web_house: House) -> None:
    ann = uuid4()
    answer = await client(ann).post("/notifications:mark", json={"state": "read", "all_until": "2026-01-31T12:00:00Z"})

    async def shown() -> list[Any]:
        return await on_topic(web_house, lambda event: getattr(event, "channel", "") == f"user:{ann}", "ui-updates")

    assert answer.is_success, answer.text
    (update,) = await eventually(shown, until=bool)
    assert update.published_by == "rule:notifications-read"
    assert '"all_until":"2026-01-31T12:00:00Z"' in update.payload
