"""The way of an order through every context: over REST in, over REST out."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.e2e.conftest import Stack
from tests.integration.channels import UI, Screen
from tests.probes import eventually

PRICE = 450  # minor units
DECLINED = 413  # the simulated provider declines amounts that end like this
ENDS = ("confirmed", "rejected", "shipped", "cancelled", "returned")


class Shop:
    """A buyer, somebody of the staff, and a thing to sell of which there are five."""

    def __init__(self, stack: Stack) -> None:
        self.buyer_id = uuid4()
        self.sku = f"tea-{uuid4().hex[:8]}"
        self.buyer = client(stack, self.buyer_id)
        self.staff = client(stack, uuid4(), "staff")
        found = stack.home.read()
        assert found
        assert found.payment_provider_url
        self.provider = httpx.AsyncClient(base_url=found.payment_provider_url)

    async def open(self) -> None:
        """Add the thing, and five of it."""
        added = await self.staff.post("/stock-items", json={"sku": self.sku, "name": "Tea"})
        assert added.status_code == 201, added.text
        received = await self.staff.post(f"/stock-items/{self.sku}:receive", json={"quantity": 5})
        assert received.status_code == 200, received.text

    async def place(self, quantity: int = 2, price: int = PRICE) -> str:
        """Place an order and return its id."""
        line = {"sku": self.sku, "quantity": quantity, "unit_price_minor": price}
        answer = await self.buyer.post("/orders", json={"currency": "EUR", "lines": [line]})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def order(self, id_: str) -> dict[str, Any]:
        """Return the order."""
        return dict((await self.buyer.get(f"/orders/{id_}")).raise_for_status().json())

    async def settled(self, id_: str, status: str) -> dict[str, Any]:
        """Wait until the order is at an end, which has to be this one."""
        order = await eventually(lambda: self.order(id_), until=lambda order: order["status"] in ENDS)
        assert order["status"] == status, order
        return order

    async def do(self, id_: str, what: str, **body: str) -> dict[str, Any]:
        """Have the buyer cancel, or staff do anything else."""
        who = self.buyer if what == "cancel" else self.staff
        answer = await who.post(f"/orders/{id_}:{what}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def units(self, free: int, reserved: int, sold: int) -> None:
        """Wait until the units are there."""

        async def counts() -> tuple[int, ...]:
            item = (await self.buyer.get(f"/stock-items/{self.sku}")).raise_for_status().json()
            return item["free"], item["reserved"], item["sold"]

        await eventually(counts, until=lambda found: found == (free, reserved, sold))

    async def paid(self, order: dict[str, Any], *steps: str) -> None:
        """Wait until the provider has done these steps for a confirmed order, each of its whole price."""

        async def done() -> list[tuple[str, int]]:
            lines = (await self.provider.get("/ledger")).raise_for_status().json()
            mine = [line for line in lines if line["reference"] == order["payment_id"] and line["status"] < 300]
            return [(line["operation"], line["amount"]) for line in mine]

        await eventually(done, until=lambda found: found == [(step, order["total_minor"]) for step in steps])


def client(stack: Stack, user: UUID, *roles: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {stack.token(user, *roles)}"}
    return httpx.AsyncClient(base_url=f"{stack.url}/api/v1", headers=headers, timeout=30)


@pytest.fixture
async def shop(stack: Stack) -> AsyncIterator[Shop]:
    opened = Shop(stack)
    async with opened.buyer, opened.staff, opened.provider:
        await opened.open()
        yield opened


async def test_an_order_is_confirmed_when_its_stock_is_sold_and_its_money_is_taken(shop: Shop) -> None:
    order = await shop.place()

    confirmed = await shop.settled(order, "confirmed")

    await shop.units(3, 0, 2)
    await shop.paid(confirmed, "authorize", "capture")
    history = (await shop.buyer.get(f"/orders/{order}/history")).raise_for_status().json()["data"]
    assert [each["type"] for each in history] == ["OrderPlaced", "OrderConfirmed"]


async def test_the_buyer_hears_each_status_live_and_finds_one_entry_of_each_in_the_inbox(
    stack: Stack, shop: Shop
) -> None:
    channel = f"user:{shop.buyer_id}"
    url = f"http://127.0.0.1:{stack.process('realtime.delivery.1')['port']}"
    screen = Screen(url, {"token": stack.token(shop.buyer_id)}, (UI,))
    await screen.connect()
    try:
        await screen.subscribe(channel)
        order, dear = await shop.place(), await shop.place(quantity=1, price=DECLINED)
        await shop.settled(order, "confirmed")
        await shop.settled(dear, "rejected")
        await shop.do(order, "ship", carrier="Post", tracking_code="JD014")
        await shop.do(order, "return", reason="It was coffee")

        def heard(id_: str) -> list[tuple[str, str | None]]:
            shown = [each for each in screen.payloads(channel) if each["type"] == "order"]
            return [(each["status"], each["reason"]) for each in shown if each["order_id"] == id_]

        async def count() -> int:
            return len(heard(order)) + len(heard(dear))

        await eventually(count, until=lambda found: found >= 6)
    finally:
        await screen.client.disconnect()

    async def filed() -> list[tuple[str, str]]:
        entries = (await shop.buyer.get("/notifications")).raise_for_status().json()["data"]
        return sorted((entry["kind"], entry["order_id"]) for entry in entries if entry["order_id"])

    assert [status for status, _ in heard(order)] == ["placed", "confirmed", "shipped", "returned"]
    assert heard(dear) == [("placed", None), ("rejected", "payment_declined")]
    assert await eventually(filed, until=lambda entries: len(entries) >= 4) == [
        ("order.confirmed", order),
        ("order.rejected", dear),
        ("order.returned", order),
        ("order.shipped", order),
    ]


async def test_the_buyer_is_sent_an_invoice_of_a_confirmed_order_by_a_link(shop: Shop) -> None:
    order = await shop.place()
    await shop.settled(order, "confirmed")

    async def links() -> list[str]:
        entries = (await shop.buyer.get("/notifications")).raise_for_status().json()["data"]
        return [entry["download"] for entry in entries if entry["kind"] == "document.rendered"]

    (link,) = await eventually(links, until=bool)
    (invoice,) = (await shop.buyer.get("/documents")).raise_for_status().json()["data"]
    anybody = await shop.buyer.get(link.removeprefix("/api/v1"), headers={"authorization": ""})

    assert (invoice["origin"], invoice["source_id"], invoice["status"]) == ("order", order, "rendered")
    assert anybody.content.startswith(b"%PDF")


async def test_an_order_of_more_than_there_is_is_rejected(shop: Shop) -> None:
    order = await shop.place(quantity=6)

    assert (await shop.settled(order, "rejected"))["reason"] == "out_of_stock"

    await shop.units(5, 0, 0)


async def test_an_order_that_is_not_paid_is_rejected_and_its_stock_is_free_again(shop: Shop) -> None:
    order = await shop.place(quantity=1, price=DECLINED)

    assert (await shop.settled(order, "rejected"))["reason"] == "payment_declined"

    await shop.units(5, 0, 0)


async def test_an_order_that_is_called_off_costs_nothing_whenever_that_was(shop: Shop) -> None:
    order = await shop.place()
    await shop.do(order, "cancel", reason="Changed my mind")

    order_now = await eventually(lambda: shop.order(order), until=lambda order: order["status"] in ENDS)

    assert order_now["status"] in ("rejected", "cancelled")
    await shop.units(5, 0, 0)


async def test_a_confirmed_order_that_is_cancelled_is_paid_back(shop: Shop) -> None:
    order = await shop.place()
    await shop.settled(order, "confirmed")

    cancelled = await shop.do(order, "cancel", reason="Too late for tea")

    assert cancelled["status"] == "cancelled"
    await shop.paid(cancelled, "authorize", "capture", "refund")
    await shop.units(5, 0, 0)


async def test_an_order_that_was_shipped_and_comes_back_is_paid_back(shop: Shop) -> None:
    order = await shop.place()
    await shop.settled(order, "confirmed")

    shipped = await shop.do(order, "ship", carrier="Post", tracking_code="JD014")
    assert (shipped["status"], shipped["tracking_code"]) == ("shipped", "JD014")
    refused = await shop.buyer.post(f"/orders/{order}:cancel", json={})
    assert (refused.status_code, refused.json()["code"]) == (422, "wrong_status")
    returned = await shop.do(order, "return", reason="It was coffee")

    assert returned["status"] == "returned"
    await shop.paid(returned, "authorize", "capture", "refund")
    await shop.units(5, 0, 0)
