"""What operators see of sagas and do with them, over REST and on the command line."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY

from headwater.web import application
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from infra.outbox_relay import OutboxRelay
from infra.sagas.module import NAME
from schemas.inventory.events import ReleaseStock
from schemas.ordering.events import ConfirmOrder
from schemas.payments.events import AuthorizePayment
from tests.crash.small import ROOT, Small, small
from tests.integration.conftest import client_of
from tests.participants import Participants
from tests.probes import during, eventually
from tests.saga_role import running_sagas
from tests.servers import Servers

SAGAS = "/admin/sagas"
PARK = "update sagas.step set tries = 6, due_at = now() where status = 'undoing' and saga = $1"


@pytest.fixture(scope="module")
async def own(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Small]:
    async with small(servers, tmp_path_factory.mktemp("sagas")) as own:
        yield own


@pytest.fixture(scope="module")
async def participants(own: Small) -> AsyncIterator[Participants]:
    participants = Participants(own.house)
    relay = OutboxRelay(own.house.databases[NAME], NAME, own.house.bulk)
    async with participants.running(), during(relay.run()):
        yield participants


@pytest.fixture
def operator_id() -> UUID:
    return uuid4()


@pytest.fixture
def operator(own: Small, tokens: SharedKeyTokens, operator_id: UUID) -> httpx.AsyncClient:
    app = application(own.house, {"web"}, Health(("web",), {}))
    return client_of(app, tokens, operator_id, ("operator",))


async def listed(api: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await api.get(SAGAS, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def stands_at(api: httpx.AsyncClient, order: UUID, step: str, status: str) -> dict[str, Any]:
    """Return the order's saga as soon as the step is like that."""

    async def ask() -> dict[str, Any]:
        for each in await listed(api, order_id=str(order), saga="order_fulfilment"):
            return dict((await api.get(f"{SAGAS}/{each['id']}")).json())
        return {"steps": []}

    def is_there(found: dict[str, Any]) -> bool:
        return any(each["name"] == step and each["status"] == status for each in found["steps"])

    return await eventually(ask, until=is_there)


async def test_a_saga_is_shown_with_its_steps_and_its_history(
    own: Small, participants: Participants, operator: httpx.AsyncClient
) -> None:
    order = uuid4()
    async with running_sagas(own.house):
        await participants.place(order)
        saga = await stands_at(operator, order, "confirm order", "answered")

    assert (saga["state"], saga["order_id"], saga["is_stuck"]) == ("done", str(order), False)
    assert [each["name"] for each in saga["steps"]] == [
        "place order",
        "reserve stock",
        "authorise payment",
        "commit stock",
        "capture payment",
        "confirm order",
    ]
    assert saga["data"]["total_minor"] == 2500
    assert [each["what"] for each in saga["history"]][:3] == ["started", "asked", "went_on"]
    assert all(each["causation_id"] for each in saga["history"])


async def test_sagas_are_listed_by_state_order_and_page(
    own: Small, participants: Participants, operator: httpx.AsyncClient
) -> None:
    orders = [uuid4() for _ in range(3)]
    participants.muted |= {(order, AuthorizePayment) for order in orders}
    async with running_sagas(own.house):
        for order in orders:
            await participants.place(order)
            await stands_at(operator, order, "authorise payment", "asked")

    first = (await operator.get(SAGAS, params={"state": "running", "limit": 2})).json()
    rest = (await operator.get(SAGAS, params={"state": "running", "cursor": first["page"]["next_cursor"]})).json()
    pages = [each["order_id"] for each in (*first["data"], *rest["data"])]
    assert [each for each in pages if UUID(each) in orders] == [str(order) for order in reversed(orders)]
    assert (len(first["data"]), rest["page"]) == (2, {"next_cursor": None, "has_more": False})
    assert [each["order_id"] for each in await listed(operator, order_id=str(orders[1]))] == [str(orders[1])]
    assert await listed(operator, order_id=str(orders[1]), state="done") == []
    assert await listed(operator, saga="order_refund", order_id=str(orders[1])) == []


async def test_a_parked_saga_is_stuck_until_an_operator_retries_it(
    own: Small, participants: Participants, operator: httpx.AsyncClient, operator_id: UUID
) -> None:
    order = uuid4()
    participants.muted.add((order, ReleaseStock))
    connection = await asyncpg.connect(own.sources.database_url)
    async with running_sagas(own.house) as runner:
        await participants.place(order, "AuthorizePayment")
        saga = await stands_at(operator, order, "reserve stock", "undoing")
        await connection.execute(PARK, UUID(saga["id"]))
        (stuck,) = await eventually(lambda: listed(operator, stuck=True), until=lambda found: len(found) == 1)
        assert (stuck["order_id"], stuck["state"], stuck["parked"]) == (str(order), "parked", "unanswered_undo")
        await runner.count()
        assert REGISTRY.get_sample_value("headwater_sagas_stuck", {"saga": "order_fulfilment"}) == 1

        participants.muted.clear()
        for _ in range(2):
            answer = await operator.post(f"{SAGAS}/{saga['id']}:retry")
            assert answer.status_code in (200, 422), answer.text
        saga = await stands_at(operator, order, "place order", "undone")
    await connection.close()

    assert await listed(operator, stuck=True) == []
    assert (saga["state"], participants.worlds[order].is_clean) == ("undone", True)
    assert str(operator_id) in [each["actor_id"] for each in saga["history"] if each["what"] == "retried"]


async def test_an_operator_undoes_a_running_saga_once(
    own: Small, participants: Participants, operator: httpx.AsyncClient
) -> None:
    order = uuid4()
    participants.muted.add((order, AuthorizePayment))
    async with running_sagas(own.house):
        await participants.place(order)
        saga = await stands_at(operator, order, "authorise payment", "asked")

        answers = await asyncio.gather(*(operator.post(f"{SAGAS}/{saga['id']}:compensate") for _ in range(3)))
        assert [each.status_code for each in answers] == [200, 200, 200]
        saga = await stands_at(operator, order, "place order", "undone")

    assert [each["what"] for each in saga["history"]].count("compensated") == 1
    assert participants.worlds[order].order == "rejected"


async def test_what_is_being_confirmed_is_not_undone_and_what_ended_not_repaired(
    own: Small, participants: Participants, operator: httpx.AsyncClient
) -> None:
    order = uuid4()
    participants.muted.add((order, ConfirmOrder))
    async with running_sagas(own.house):
        await participants.place(order)
        saga = await stands_at(operator, order, "confirm order", "asked")
        refused = await operator.post(f"{SAGAS}/{saga['id']}:compensate")
        await participants.do(await participants.asked(order, ConfirmOrder))
        await stands_at(operator, order, "confirm order", "answered")
    ended = [await operator.post(f"{SAGAS}/{saga['id']}:{repair}") for repair in ("retry", "compensate")]
    unknown = await operator.get(f"{SAGAS}/{uuid4()}")

    assert (refused.status_code, refused.json()["code"]) == (422, "saga_past_undoing")
    assert [(each.status_code, each.json()["code"]) for each in ended] == [(422, "saga_ended")] * 2
    assert (unknown.status_code, unknown.json()["code"]) == (404, "saga_not_found")


async def headwater(own: Small, *arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headwater", "sagas", *arguments),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **own.environment},
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def test_the_command_line_does_the_same(
    own: Small, participants: Participants, operator: httpx.AsyncClient
) -> None:
    order = uuid4()
    participants.muted.add((order, AuthorizePayment))
    async with running_sagas(own.house):
        await participants.place(order)
        saga = await stands_at(operator, order, "authorise payment", "asked")
        code, printed = await headwater(own, "list", "--order", str(order), "--json")
        (row,) = json.loads(printed)
        assert (code, row["id"], row["state"]) == (0, saga["id"], "running")
        code, printed = await headwater(own, "retry", saga["id"])
        assert (code, printed) == (0, f"{saga['id']} asks again\n")
        code, printed = await headwater(own, "compensate", saga["id"])
        assert (code, printed) == (0, f"{saga['id']} undoes what it has done\n")
        await stands_at(operator, order, "place order", "undone")

    code, printed = await headwater(own, "show", saga["id"], "--json")
    found = json.loads(printed)
    assert (code, found["state"]) == (0, "undone")
    assert {"asked_again", "retried", "compensated"} <= {each["what"] for each in found["history"]}
    code, printed = await headwater(own, "retry", saga["id"])
    assert (code, "saga_ended" in printed) == (1, True)
