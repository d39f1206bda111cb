"""Traces over REST: from a request to the records it led to, on the real servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from infra.recorder import RecorderRunner
from tests.integration.conftest import client_of, rest_client
from tests.probes import eventually


@pytest.fixture
async def house(own_house: House) -> AsyncIterator[House]:
    """A house whose audit log runs."""
    (module,) = [each for each in own_house.modules if each.recorder]
    assert module.recorder
    groups = own_house.groups[module.name]
    runner = RecorderRunner(module.recorder, own_house.broker, own_house.codec, groups, own_house.bulk)
    task = asyncio.create_task(runner.run())
    yield own_house
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def auditor(house: House, tokens: SharedKeyTokens) -> httpx.AsyncClient:
    return client_of(application(house, {"web"}, Health(("web",), {})), tokens, uuid4(), ("auditor",))


async def send(house: House, tokens: SharedKeyTokens, ann: UUID, request_id: str) -> dict[str, Any]:
    body = {"participants": [str(ann), str(uuid4())], "body": "Hello", "client_id": "1"}
    answer = await rest_client(house, tokens, ann).post("/messages", json=body, headers={"x-request-id": request_id})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def found(auditor: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await eventually(lambda: auditor.get(path), until=lambda answer: answer.status_code == 200)
    return dict(answer.json())


async def test_a_request_leads_to_its_event_and_its_place(
    house: House, tokens: SharedKeyTokens, auditor: httpx.AsyncClient
) -> None:
    ann, request_id = uuid4(), uuid4().hex
    sent = await send(house, tokens, ann, request_id)

    answer = await found(auditor, f"/audit/trace/{request_id}")

    (event,) = answer["events"]
    assert answer["complete"]
    assert (event["depth"], event["caused_by"], event["actor"]) == (0, request_id, str(ann))
    assert event["type"] == "headwater.messaging.MessageSent"
    assert event["key"] == sent["conversation_id"]
    (position,) = event["positions"]
    assert position["topic"] == "messages"
    lines = await auditor.get("/audit/events", params={"topic": "messages", "correlation_id": request_id})
    assert [(lines.json()["partition"], lines.json()["offset"])] == [(position["partition"], position["offset"])]


async def test_a_message_leads_to_what_was_done_with_it(
    house: House, tokens: SharedKeyTokens, auditor: httpx.AsyncClient
) -> None:
    sent = await send(house, tokens, uuid4(), "the-sending")

    answer = await found(auditor, f"/audit/messages/{sent['message_id']}/trace")

    assert [trace["correlation_id"] for trace in answer["traces"]] == ["the-sending"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("trace/nothing", "correlation_not_found"), (f"messages/{uuid4()}/trace", "message_not_found")],
)
async def test_what_was_never_kept_is_not_found_and_only_auditors_learn_that(
    own_house: House, tokens: SharedKeyTokens, path: str, code: str
) -> None:
    app = application(own_house, {"web"}, Health(("web",), {}))

    auditors = await client_of(app, tokens, uuid4(), ("auditor",)).get(f"/audit/{path}")
    somebodys = await client_of(app, tokens, uuid4()).get(f"/audit/{path}")

    assert (auditors.status_code, auditors.json()["code"]) == (404, code)
    assert (somebodys.status_code, somebodys.json()["code"]) == (403, "forbidden")
