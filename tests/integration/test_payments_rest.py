"""Payments over REST, GraphQL and by webhooks of the provider, on real servers."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from time import perf_counter, time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from starlette.types import ASGIApp

from bounded_contexts.payments.domain.commands import payment_id_of
from headwater.web import application
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from schemas.payments.events import AuthorizePayment
from tests.integration.conftest import client_of, house_of_its_own
from tests.integration.serving import served
from tests.integration.test_crashes import running
from tests.integration.test_payments import QUICK, Shop, relayed
from tests.payment_provider import SECRET, ProviderProcess
from tests.probes import eventually
from tests.servers import Servers

HOOKS = "http://test/api/v1/payments/webhooks"
People = Callable[..., httpx.AsyncClient]


@pytest.fixture(scope="module")
async def door(migrated: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Shop, ASGIApp]]:
    """A shop and its front door, which the provider tells what it did. No chore runs: what is not known then, a webhook says."""
    provider = ProviderProcess(tmp_path_factory.mktemp("provider"))
    async with house_of_its_own(migrated, **provider.settings, **QUICK) as house:
        app = application(house, {"web"}, Health(("web",), {}))
        async with served(app) as port:
            provider.webhooks = f"http://127.0.0.1:{port}/api/v1/payments/webhooks"
            await asyncio.to_thread(provider.start)
            try:
                async with relayed(house), running(house, "payments.commands"), running(house, "payments.payments"):
                    yield Shop(house, provider), app
            finally:
                provider.kill()


@pytest.fixture
def shop(door: tuple[Shop, ASGIApp]) -> Shop:
    door[0].provider.fail()
    return door[0]


@pytest.fixture
def person(door: tuple[Shop, ASGIApp], tokens: SharedKeyTokens) -> People:
    def of(user: UUID | None = None, *roles: str) -> httpx.AsyncClient:
        return client_of(door[1], tokens, user, roles)

    return of


async def paid(shop: Shop, buyer: UUID, amount: int = 1250) -> UUID:
    """Return an order whose payment has begun."""
    order = uuid4()
    fields: dict[str, Any] = {"amount_minor": amount, "currency": "EUR"}
    await shop.ask(AuthorizePayment(order_id=order, buyer_id=buyer, asked_at=datetime.now(UTC), **fields))
    return order


def signed(body: Any, id_: str = "", at: float | None = None, secret: str = SECRET) -> dict[str, Any]:
    """Return a webhook's content and headers, by another implementation than the one under test."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    id_, timestamp = id_ or f"evt_{uuid4().hex}", str(int(time() if at is None else at))
    mac = HMAC(base64.b64decode(secret.removeprefix("whsec_")), SHA256())
    mac.update(f"{id_}.{timestamp}.".encode() + content)
    headers = {
        "content-type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac.finalize()).decode()}",
    }
    return {"content": content, "headers": headers}


def event(order: UUID, state: str = "authorized", **more: Any) -> dict[str, Any]:
    payment = {"id": "pay_1", "reference": str(payment_id_of(order)), "state": state, "amount": 1250, "currency": "EUR"}
    return {"type": f"payment.{state}", "data": payment | more}


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


async def test_a_payment_is_shown_to_its_buyer_and_to_staff_and_to_nobody_else(shop: Shop, person: People) -> None:
    buyer = uuid4()
    order = await paid(shop, buyer)
    await shop.listed(order, "authorized")

    mine = await person(buyer).get(f"/payments/{order}")
    theirs = await person(uuid4(), "admin").get(f"/payments/{order}")
    another = await person(uuid4()).get(f"/payments/{order}")

    assert mine.json() == theirs.json()
    assert {
        name: mine.json()[name] for name in ("status", "amount_minor", "captured_minor", "currency", "waiting")
    } == {
        "status": "authorized",
        "amount_minor": 1250,
        "captured_minor": 0,
        "currency": "EUR",
        "waiting": False,
    }
    assert told(another) == (404, "payment_not_found")
    assert told(await person(uuid4()).get("/payments")) == (403, "forbidden")


async def test_staff_page_through_payments_of_a_status(shop: Shop, person: People) -> None:
    orders = [await paid(shop, uuid4(), amount=1013) for _ in range(3)]
    for order in orders:
        await shop.listed(order, "declined")
    staff = person(uuid4(), "admin")

    found, query = [], {"limit": "1", "status": "declined"}
    for _ in orders:
        page = (await staff.get("/payments", params=query)).json()
        found += [each["order_id"] for each in page["data"]]
        query["cursor"] = page["page"]["next_cursor"]

    assert sorted(found) == sorted(map(str, orders))
    assert told(await staff.get("/payments", params={"cursor": query["cursor"] or "x", "status": "voided"}))[0] == 422


async def test_graphql_says_the_same(shop: Shop, person: People) -> None:
    buyer = uuid4()
    order = await paid(shop, buyer, amount=10**12)
    await shop.listed(order, "authorized")
    one = "query ($id: UUID!) { payment(orderId: $id) { status amountMinor waiting } }"
    all_ = "{ payments(first: 1, status: AUTHORIZED) { edges { node { orderId } } pageInfo { hasNextPage } } }"

    async def ask(api: httpx.AsyncClient, query: str, **variables: Any) -> Any:
        return (await api.post("http://test/graphql", json={"query": query, "variables": variables})).json()

    mine = await ask(person(buyer), one, id=str(order))
    assert mine["data"]["payment"] == {"status": "AUTHORIZED", "amountMinor": 10**12, "waiting": False}
    assert (await ask(person(uuid4()), one, id=str(order)))["data"] == {"payment": None}
    assert len((await ask(person(uuid4(), "admin"), all_))["data"]["payments"]["edges"]) == 1
    refused = await ask(person(uuid4()), all_)
    assert refused["errors"][0]["extensions"]["code"] == "forbidden"


async def test_a_webhook_settles_what_was_not_known(shop: Shop) -> None:
    shop.provider.fail(next={"authorize": ["lost"] * 3})

    order = await paid(shop, uuid4())

    await shop.said(order, "Requested", "Authorized")
    assert shop.done(order) == ["authorize"]


@pytest.mark.parametrize("faults", [{"webhook_copies": 3}, {"webhooks_reversed": True}])
async def test_webhooks_that_come_twice_or_out_of_order_have_one_effect(shop: Shop, faults: dict[str, Any]) -> None:
    order = uuid4()
    shop.provider.fail(**faults)

    await shop.authorize(order)
    await shop.said(order, "Requested", "Authorized")
    await shop.capture(order)
    await shop.said(order, "Requested", "Authorized", "CaptureRequested", "Captured")
    await shop.refund(order)

    await shop.said(order, "Requested", "Authorized", "CaptureRequested", "Captured", "RefundRequested", "Refunded")


async def test_a_webhook_is_taken_only_signed_fresh_and_once(shop: Shop, person: People) -> None:
    order, nobody = uuid4(), person()
    await shop.authorize(order)
    await shop.said(order, "Requested", "Authorized")
    good, again = signed(event(order), "evt_1"), signed(event(order), "evt_1", time() + 1)
    forged = signed(event(order), secret="whsec_" + base64.b64encode(b"another" * 5).decode())
    changed = {**good, "content": good["content"].replace(b"1250", b"1251")}

    assert told(await nobody.post(HOOKS, **good)) == (204, "")
    assert told(await nobody.post(HOOKS, **good)) == (409, "replayed")
    assert told(await nobody.post(HOOKS, **again)) == (204, "")
    assert told(await nobody.post(HOOKS, **forged)) == (401, "invalid_signature")
    assert told(await nobody.post(HOOKS, **changed)) == (401, "invalid_signature")
    assert told(await nobody.post(HOOKS, json=event(order))) == (401, "invalid_signature")
    for late in (-400, 400):
        answer = await nobody.post(HOOKS, **signed(event(order), at=time() + late))
        assert told(answer) == (401, "stale_timestamp")
    assert told(await nobody.post(HOOKS, **signed(b'{"a": "' + b"x" * 70_000 + b'"}'))) == (401, "unauthenticated")
    assert told(await nobody.post(HOOKS, **signed({"type": "x"}))) == (422, "validation_failed")
    assert told(await nobody.post(HOOKS, **signed(event(order, amount=1251)))) == (422, "payment_differs")
    assert told(await nobody.post(HOOKS, **signed(event(uuid4())))) == (204, "")


async def test_other_routes_are_as_fast_while_the_provider_hangs(shop: Shop, person: People) -> None:
    api = person(uuid4())

    async def typical(**shares: float) -> float:
        """Return the median time of a read while thirty payments are made."""
        shop.provider.fail(shares=shares)
        orders = [await paid(shop, uuid4()) for _ in range(30)]
        await eventually(lambda: shop.events(orders[0]))
        took = []
        for _ in range(100):
            began = perf_counter()
            (await api.get("/notifications")).raise_for_status()
            took.append(perf_counter() - began)
        return sorted(took)[50]

    await typical()
    sound = await typical()
    hanging = await typical(hang=1.0)
    shop.provider.fail()

    assert hanging < 3 * sound
