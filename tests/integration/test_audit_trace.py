"""Traces over REST: from a request to the records it led to, on the real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa

from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.consumer import ConsumerRunner
from infra.dead_letters import Choice
from infra.health import Health
from infra.recorder import RecorderRunner
from schemas.messaging.events import MessageSent
from shared_kernel.module import Consumer, on
from tests.integration.conftest import client_of, rest_client
from tests.integration.nodes import device, node
from tests.integration.test_group_operations import Hearer
from tests.probes import during, eventually

BOB = uuid4()


@pytest.fixture
async def house(own_house: House) -> AsyncIterator[House]:
    """A house whose audit log runs."""
    (module,) = [each for each in own_house.modules if each.recorder]
    assert module.recorder
    groups = own_house.groups[module.name]
    runner = RecorderRunner(module.recorder, own_house.broker, own_house.codec, groups, own_house.bulk)
    async with during(runner.run()):
        yield own_house


@pytest.fixture
def auditor(house: House, tokens: SharedKeyTokens) -> httpx.AsyncClient:
    return client_of(application(house, {"web"}, Health(("web",), {})), tokens, uuid4(), ("auditor",))


async def send(house: House, tokens: SharedKeyTokens, ann: UUID, request_id: str) -> dict[str, Any]:
    body = {"participants": [str(ann), str(BOB)], "body": "Hello", "client_id": "1"}
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


async def test_each_group_says_what_became_of_the_record(
    house: House, tokens: SharedKeyTokens, auditor: httpx.AsyncClient
) -> None:
    request_id = uuid4().hex
    hearer = Hearer({"Hello"})
    consumer = Consumer("messaging.history", (on(MessageSent, hearer),), parks=True)
    groups = house.groups["messaging"]
    operations = house.group_operations
    ann = uuid4()
    await send(house, tokens, ann, request_id)
    await send(house, tokens, ann, request_id)  # once more: it waits behind the first

    async def outcomes() -> list[dict[str, dict[str, Any]]]:
        (event,) = (await found(auditor, f"/audit/trace/{request_id}"))["events"]
        return [{each["group"]: each for each in at["handled"]} for at in event["positions"]]

    def of_history(until: list[str]) -> Callable[[list[dict[str, dict[str, Any]]]], bool]:
        return lambda found: [each["messaging.history"]["outcome"] for each in found] == until

    before = await eventually(outcomes, until=lambda found: len(found) == 2)
    assert {group: each["outcome"] for group, each in before[0].items()} == {
        "messaging.history": "not_yet",
        "notifications.inbox": "not_yet",
        "audit.log": "done",
    }
    assert before[0]["audit.log"]["attempts"] == 1
    runner = ConsumerRunner(consumer, house.broker, house.codec, groups, house.bulk)
    task = asyncio.create_task(runner.run())
    dead, waits = await eventually(outcomes, until=of_history(["dead_letter", "waits_behind_letter"]))
    assert (dead["messaging.history"]["attempts"], waits["messaging.history"]["attempts"]) == (3, 0)
    assert dead["messaging.history"]["error"] == "ValueError: cannot bear Hello"
    hearer.refuses = set()
    first, _ = await operations.letters("messaging.history", Choice())
    await operations.discard("messaging.history", Choice(id=first.id))
    await operations.redrive("messaging.history", Choice())
    given_up, done = await eventually(outcomes, until=of_history(["discarded", "done"]))
    task.cancel()
    await asyncio.wait([task])

    assert (given_up["messaging.history"]["at"], given_up["messaging.history"]["error"]) == (None, None)
    assert done["messaging.history"]["attempts"] == 1
    assert datetime.fromisoformat(done["messaging.history"]["at"]) <= datetime.now(UTC)


async def test_devices_it_was_queued_for_and_devices_that_came_back_behind_it(
    house: House, tokens: SharedKeyTokens, auditor: httpx.AsyncClient
) -> None:
    ann, request_id = uuid4(), uuid4().hex

    async def devices() -> dict[str, tuple[str, str, bool]]:
        (event,) = (await found(auditor, f"/audit/trace/{request_id}"))["events"]
        ((*known,),) = [at["devices"] for at in event["positions"]]
        return {each["session"]: (each["user_id"], each["state"], each["ended_at"] is None) for each in known}

    async with node(house) as gateway:
        async with device(gateway, BOB, house) as phone, device(gateway, uuid4(), house):
            await send(house, tokens, ann, request_id)
            await phone.hears("Hello")
            first, position = phone.session["sid"], phone.position
            assert await eventually(devices) == {first: (str(BOB), "queued", True)}
        async with device(gateway, BOB, house) as fresh:  # it begins behind the message, without a word about it
            sid = fresh.session["sid"]

            async def noted() -> object:
                async with house.databases["realtime"].transaction() as connection:
                    return await connection.scalar(sa.text("select sid from session where sid = :sid"), {"sid": sid})

            await eventually(noted)
            assert await eventually(devices, until=lambda found: not found[first][2]) == {
                first: (str(BOB), "queued", False)
            }
        async with device(gateway, BOB, house, position=position) as phone:
            again = phone.session["sid"]
            assert await eventually(devices, until=lambda found: again in found) == {
                first: (str(BOB), "queued", False),
                again: (str(BOB), "acknowledged", True),
            }
    late = await devices()
    assert late[again] == (str(BOB), "acknowledged", False)


@pytest.mark.parametrize(
    ("path", "code"),
    [("trace/nothing", "correlation_not_found"), (f"messages/{UUID(int=404)}/trace", "message_not_found")],
)
async def test_what_was_never_kept_is_not_found_and_only_auditors_learn_that(
    own_house: House, tokens: SharedKeyTokens, path: str, code: str
) -> None:
    app = application(own_house, {"web"}, Health(("web",), {}))

    auditors = await client_of(app, tokens, uuid4(), ("auditor",)).get(f"/audit/{path}")
    somebodys = await client_of(app, tokens, uuid4()).get(f"/audit/{path}")

    assert (auditors.status_code, auditors.json()["code"]) == (404, code)
    assert (somebodys.status_code, somebodys.json()["code"]) == (403, "forbidden")
