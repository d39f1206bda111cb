"""Inventory on the real servers: many buyers, processes that die, time that runs out; and its REST routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from bounded_contexts.inventory.adapters.stock_postgres import PostgresStock
from bounded_contexts.inventory.application import commands
from bounded_contexts.inventory.domain.identity import item_stream
from bounded_contexts.inventory.domain.stock_item import StockEvent
from headwater.wiring_inventory import ports_of_inventory
from infra.access_tokens import SharedKeyTokens
from infra.state_store_postgres import KEEP_EVERY
from schemas.inventory.events import (
    CommitStock,
    ReleaseStock,
    ReturnStock,
    StockCommitRefused,
    StockCommitted,
    StockReceived,
    StockRefused,
    StockReleased,
    StockReserved,
    UnitsCommitted,
    UnitsReleased,
    UnitsReserved,
)
from shared_kernel.events import EventStore
from tests.integration.conftest import WAIT, Client
from tests.integration.shops import NAME, Shop, line, opened, reserve
from tests.integration.test_graphql import ask, codes, data, nodes
from tests.integration.test_group_operations import command, environment
from tests.probes import eventually
from tests.servers import Servers

COMMANDS, STOCK = "inventory.commands", "inventory.stock"
TABLES = ("stock_item", "stock_movement", "reservation")
BUYERS, LAST = 64, 10


@pytest.fixture
async def shop(servers: Servers, tokens: SharedKeyTokens) -> AsyncIterator[Shop]:
    async with opened(servers, tokens) as shop:
        yield shop


async def test_64_buyers_of_the_last_10_get_exactly_10_between_two_processes(shop: Shop) -> None:
    await shop.stocked("LAST", LAST)
    await shop.stocked("PLENTY", 1000)
    orders = [uuid4() for _ in range(BUYERS)]

    async with shop.process(COMMANDS), shop.process(COMMANDS):
        await shop.members(COMMANDS, 2)
        await shop.send(*(reserve(order, line("PLENTY", 2), line("LAST")) for order in orders))
        await eventually(lambda: shop.recorded(StockReserved, StockRefused), until=lambda count: count == BUYERS)
        assert await shop.recorded(StockReserved) == LAST
        assert await shop.units("LAST") == (0, LAST, 0)
        assert await shop.units("PLENTY") == (1000 - 2 * LAST, 2 * LAST, 0)
        await shop.send(*(CommitStock(order_id=order, asked_at=datetime.now(UTC)) for order in orders))
        await eventually(lambda: shop.recorded(StockCommitted, StockCommitRefused), until=lambda count: count == BUYERS)

    assert await shop.recorded(StockCommitted) == LAST
    assert await shop.units("LAST") == (0, 0, LAST)
    assert await shop.units("PLENTY") == (1000 - 2 * LAST, 0, 2 * LAST)
    assert await shop.rows("dead_letter") == []


@pytest.mark.parametrize("point", ["batch.after-position", "batch.before-commit", "batch.after-commit"])
async def test_a_process_that_is_killed_round_its_commit_has_each_effect_once(shop: Shop, point: str) -> None:
    await shop.stocked("CUP", 100)
    orders = [uuid4() for _ in range(24)]
    await shop.send(*(reserve(order, line("CUP", 3)) for order in orders))

    async with shop.process(COMMANDS, HEADWATER_CRASH_AT=f"{point}:2") as doomed:
        assert await asyncio.wait_for(doomed.wait(), 120) == -9
    assert await shop.recorded(StockReserved) < len(orders)
    async with shop.process(COMMANDS):
        await eventually(lambda: shop.recorded(StockReserved), within=120, until=lambda count: count == len(orders))

    assert await shop.recorded(UnitsReserved) == len(orders)
    assert await shop.units("CUP") == (100 - 72, 72, 0)


async def test_what_expires_is_freed_once_by_two_processes(shop: Shop) -> None:
    await shop.stocked("CUP", 100)
    short_lived = replace(ports_of_inventory(shop.house), lifetime=timedelta())
    orders = [uuid4() for _ in range(20)]
    for order in orders:
        await commands.reserve(reserve(order, line("CUP")), short_lived)

    async with shop.listing():
        await shop.listed("CUP", 80, 20, 0)
        async with shop.process(COMMANDS), shop.process(COMMANDS):
            await shop.members(COMMANDS, 2)
            await shop.listed("CUP", 100, 0, 0)

    assert await shop.recorded(StockReleased) == await shop.recorded(UnitsReleased) == len(orders)
    assert {(await shop.state(order)).expired for order in orders} == {True}


async def test_expiry_and_commit_at_once_leave_units_sold_or_free(shop: Shop) -> None:
    await shop.stocked("CUP", 20)
    short_lived = replace(ports_of_inventory(shop.house), lifetime=timedelta())
    orders = [uuid4() for _ in range(20)]
    for order in orders:
        await commands.reserve(reserve(order, line("CUP")), short_lived)

    now = datetime.now(UTC)
    asks = [commands.commit(CommitStock(order_id=order, asked_at=now), short_lived) for order in orders]
    await asyncio.gather(*asks, *(commands.expire(order, short_lived) for order in orders))

    sold, freed = await shop.recorded(UnitsCommitted), await shop.recorded(UnitsReleased)
    assert sold + freed == 20
    assert await shop.units("CUP") == (freed, 0, sold)


class Overtaken:
    """Stock items that somebody else moves between the look at a reservation and the look at its items."""

    def __init__(self, store: EventStore[StockEvent], meanwhile: Awaitable[object]) -> None:
        self._store = store
        self._meanwhile: Awaitable[object] | None = meanwhile

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[StockEvent], int]:
        if self._meanwhile:
            meanwhile, self._meanwhile = self._meanwhile, None
            await meanwhile
        return await self._store.load(stream, as_of)

    async def append(self, stream: UUID, version: int, events: Sequence[StockEvent]) -> None:
        raise AssertionError("items are moved together with their reservation")


async def test_who_is_overtaken_between_two_looks_decides_again(shop: Shop) -> None:
    await shop.stocked("CUP", 1)
    ports, order = replace(ports_of_inventory(shop.house), lifetime=timedelta()), uuid4()
    await commands.reserve(reserve(order, line("CUP")), ports)

    late = replace(ports, items=Overtaken(ports.items, commands.expire(order, ports)))
    (answer,) = await commands.commit(CommitStock(order_id=order, asked_at=datetime.now(UTC)), late)

    assert isinstance(answer, StockCommitRefused)
    assert await shop.units("CUP") == (1, 0, 0)


async def test_the_state_of_a_popular_item_is_kept_and_decided_on(shop: Shop) -> None:
    await shop.stocked("CUP", 100)
    ports = ports_of_inventory(shop.house)

    for _ in range(KEEP_EVERY // 2):
        order = uuid4()
        await commands.reserve(reserve(order, line("CUP")), ports)
        await commands.release(ReleaseStock(order_id=order, asked_at=datetime.now(UTC)), ports)
    (kept,) = await eventually(lambda: shop.rows("snapshot"))
    await commands.reserve(reserve(uuid4(), line("CUP", 3)), ports)

    assert kept["stream"] == item_stream("CUP")
    assert kept["version"] >= KEEP_EVERY
    assert await shop.units("CUP") == (97, 3, 0)
    async with shop.owner.driver() as connection:
        await connection.execute("delete from inventory.snapshot")
    assert await shop.units("CUP") == (97, 3, 0)


async def fill(shop: Shop) -> None:
    """Have orders that hold, have bought, gave back, were refused and ran out of time."""
    await shop.stocked("CUP", 50)
    await shop.stocked("PLATE", 50)
    ports, at = ports_of_inventory(shop.house), datetime.now(UTC)
    orders = [uuid4() for _ in range(12)]
    for number, order in enumerate(orders):
        lifetime = timedelta() if number % 4 == 3 else timedelta(minutes=30)
        ask = reserve(order, line("CUP", number + 1), line("PLATE"))
        await commands.reserve(ask, replace(ports, lifetime=lifetime))
    for order in orders[::2]:
        await commands.commit(CommitStock(order_id=order, asked_at=at), ports)
    for order in orders[::3]:
        await commands.take_back(ReturnStock(order_id=order, asked_at=at), ports)
        await commands.release(ReleaseStock(order_id=order, asked_at=at), ports)
    for order in orders:
        await commands.expire(order, ports)
    shown = [await shop.units(sku) for sku in ("CUP", "PLATE")]
    for sku, units in zip(("CUP", "PLATE"), shown, strict=True):
        await shop.listed(sku, *units)


async def test_a_rebuilt_list_equals_the_former(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(shop.house).items():
        monkeypatch.setenv(name, value)

    async with shop.listing():
        await fill(shop)
        await shop.caught_up()
        before = {table: await shop.rows(table) for table in TABLES}
        result = await command("rebuild", STOCK)

    assert result.exit_code == 0, result.output
    assert {table: await shop.rows(table) for table in TABLES} == before
    assert {len(rows) > 1 for rows in before.values()} == {True}


async def test_movements_that_are_heard_again_change_nothing(shop: Shop) -> None:
    async with shop.listing():
        await shop.stocked("CUP", 10)
        await shop.listed("CUP", 10, 0, 0)
    stock, at, order = PostgresStock(shop.house.databases[NAME]), datetime.now(UTC), uuid4()
    received = StockReceived(sku="CUP", receipt_id=uuid4(), quantity=5, received_by=uuid4(), received_at=at)
    held = UnitsReserved(sku="CUP", order_id=order, quantity=3, expires_at=at, reserved_at=at)
    sold = UnitsCommitted(sku="CUP", order_id=order, quantity=3, committed_at=at)

    await stock.moved([received, held, held, sold, received])
    await stock.moved([held, sold])

    await shop.listed("CUP", 12, 0, 3)
    assert [each.kind for each in await stock.movements("CUP", 10, None)].count("received") == 2


async def test_an_order_that_is_none_is_a_dead_letter_and_the_next_ones_go_on(shop: Shop) -> None:
    await shop.stocked("CUP", 10)
    bad, good = uuid4(), uuid4()

    async with shop.process(COMMANDS):
        await shop.members(COMMANDS, 1)
        await shop.send(reserve(bad, line("CUP", 0)), reserve(good, line("CUP")))
        letters = await eventually(lambda: shop.rows("dead_letter"))
        await shop.send(ReleaseStock(order_id=bad, asked_at=datetime.now(UTC)))
        await eventually(lambda: shop.recorded(StockReserved, StockReleased), until=lambda count: count == 2)

    assert "invalid_quantity" in letters[0]["error"]
    assert await shop.units("CUP") == (9, 1, 0)


def sku() -> str:
    return f"T-{uuid4().hex}"


@pytest.fixture
async def staff(client: Client, groups: None) -> httpx.AsyncClient:
    return client(uuid4(), "staff")


async def stocked(staff: httpx.AsyncClient, of: str, quantity: int = 10) -> dict[str, Any]:
    """Add an item and receive units of it."""
    assert (await staff.post("/stock-items", json={"sku": of, "name": "Cup"}, headers=WAIT)).status_code == 201
    answer = await staff.post(f"/stock-items/{of}:receive", json={"quantity": quantity}, headers=WAIT)
    assert answer.status_code == 200, answer.text
    assert answer.headers["preference-applied"] == "wait"
    return dict(answer.json())


async def test_staff_add_an_item_and_everybody_reads_it(staff: httpx.AsyncClient, client: Client) -> None:
    of = sku()

    added = await staff.post("/stock-items", json={"sku": of, "name": " Cup "}, headers=WAIT)
    again = await staff.post("/stock-items", json={"sku": of, "name": "Cup"})
    other = await staff.post("/stock-items", json={"sku": of, "name": "Mug"})

    assert (added.status_code, added.headers["location"]) == (201, f"/api/v1/stock-items/{of}")
    assert again.status_code == 200
    assert (other.status_code, other.json()["code"]) == (409, "sku_taken")
    shown = (await client(uuid4()).get(f"/stock-items/{of}")).json()
    assert shown == added.json() == {"sku": of, "name": "Cup", "free": 0, "reserved": 0, "sold": 0}


async def test_a_receipt_of_one_key_counts_once(staff: httpx.AsyncClient) -> None:
    of, key = sku(), {"Idempotency-Key": "delivery-1"}
    await stocked(staff, of, 10)

    answers = [await staff.post(f"/stock-items/{of}:receive", json={"quantity": 5}, headers=key) for _ in range(3)]
    other = await staff.post(f"/stock-items/{of}:receive", json={"quantity": 6}, headers=key)

    assert [(each.status_code, each.json()["free"]) for each in answers] == [(200, 15)] * 3
    assert (other.status_code, other.json()["code"]) == (422, "id_taken")


async def test_receipts_at_once_all_count_when_conflicts_are_asked_again(staff: httpx.AsyncClient) -> None:
    of = sku()
    await stocked(staff, of, 1)

    async def receive(number: int) -> None:
        key = {"Idempotency-Key": str(number)}
        while (await staff.post(f"/stock-items/{of}:receive", json={"quantity": 2}, headers=key)).status_code == 409:
            pass

    await asyncio.gather(*(receive(number) for number in range(32)))

    assert (await staff.get(f"/stock-items/{of}")).json()["free"] == 1 + 2 * 32


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"sku": "", "name": "x"}, "/sku"),
        ({"sku": "..", "name": "x"}, "/sku"),
        ({"sku": "a/b", "name": "x"}, "/sku"),
        ({"sku": "a" * 65, "name": "x"}, "/sku"),
        ({"sku": "a\n", "name": "x"}, "/sku"),
        ({"sku": "a", "name": ""}, "/name"),
        ({"sku": "a", "name": "x" * 201}, "/name"),
        ({"sku": "a"}, "/name"),
        ({"sku": "a", "name": "x", "free": 3}, "/free"),
    ],
)
async def test_a_bad_item_is_refused_with_where_it_is_bad(
    staff: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await staff.post("/stock-items", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize("quantity", [0, -1, 1.5, "3", True, None, 1_000_001, 2**70])
async def test_a_bad_quantity_is_refused(staff: httpx.AsyncClient, quantity: object) -> None:
    answer = await staff.post(f"/stock-items/{sku()}:receive", json={"quantity": quantity})

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_what_nobody_has_added_is_not_found(staff: httpx.AsyncClient) -> None:
    for answer in (
        await staff.get(f"/stock-items/{sku()}"),
        await staff.get(f"/stock-items/{sku()}/movements"),
        await staff.post(f"/stock-items/{sku()}:receive", json={"quantity": 1}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "stock_item_not_found")


async def test_items_are_listed_by_prefix_page_by_page(staff: httpx.AsyncClient) -> None:
    prefix = sku()
    skus = [f"{prefix}{end}" for end in ("-1", "-2", "-a", ".B", "_x")]
    for each in (*skus, f"{prefix[:-1]}~"[:-1] + "ZZ"):
        await staff.post("/stock-items", json={"sku": each, "name": "Cup"}, headers=WAIT)

    found, cursor = [], None
    while True:
        query = {"prefix": prefix, "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await staff.get("/stock-items", params=query)).json()
        found += [each["sku"] for each in page["data"]]
        cursor = page["page"]["next_cursor"]
        if not page["page"]["has_more"]:
            break

    assert found == sorted(skus)
    assert cursor is None
    literal = (await staff.get("/stock-items", params={"prefix": f"{prefix}_"})).json()["data"]
    assert [each["sku"] for each in literal] == [f"{prefix}_x"]


async def test_a_cursor_serves_its_own_list(staff: httpx.AsyncClient) -> None:
    prefix = sku()
    for end in "ab":
        await staff.post("/stock-items", json={"sku": prefix + end, "name": "Cup"}, headers=WAIT)
    page = (await staff.get("/stock-items", params={"prefix": prefix, "limit": 1})).json()

    answer = await staff.get("/stock-items", params={"cursor": page["page"]["next_cursor"]})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_an_item_as_of_a_time_is_what_it_was(staff: httpx.AsyncClient) -> None:
    of, before = sku(), datetime.now(UTC)
    await stocked(staff, of, 10)
    between = datetime.now(UTC)
    await staff.post(f"/stock-items/{of}:receive", json={"quantity": 5})

    then = await staff.get(f"/stock-items/{of}", params={"as_of": between.isoformat()})
    early = await staff.get(f"/stock-items/{of}", params={"as_of": before.isoformat()})
    never = await staff.get(f"/stock-items/{sku()}", params={"as_of": before.isoformat()})

    assert then.json()["free"] == 10
    assert (early.status_code, early.json()["code"]) == (404, "not_there_yet")
    assert (never.status_code, never.json()["code"]) == (404, "stock_item_not_found")


ITEM = "{ sku name free reserved sold }"
ADD = f"mutation ($sku: String!, $name: String!) {{ addStockItem(sku: $sku, name: $name) {ITEM} }}"
RECEIVE = f"mutation ($input: ReceiptInput!) {{ receiveUnits(input: $input) {ITEM} }}"
PAGE = f"""query ($after: String, $prefix: String!) {{
    stockItems(first: 2, after: $after, prefix: $prefix) {{ edges {{ node {ITEM} }} pageInfo {{ hasNextPage endCursor }} }}
}}"""


async def test_graphql_says_and_does_the_same(staff: httpx.AsyncClient, client: Client) -> None:
    prefix, before = sku(), datetime.now(UTC).isoformat()
    for end in "abc":
        added = await data(staff, ADD, sku=prefix + end, name="Cup")
        assert added["addStockItem"] == {"sku": prefix + end, "name": "Cup", "free": 0, "reserved": 0, "sold": 0}
    receipt = {"sku": f"{prefix}a", "quantity": 7, "idempotencyKey": "delivery-1"}
    for _ in range(2):
        assert (await data(staff, RECEIVE, input=receipt))["receiveUnits"]["free"] == 7

    reader = client(uuid4())
    query = f"query ($sku: String!, $asOf: DateTime) {{ stockItem(sku: $sku, asOf: $asOf) {ITEM} }}"
    rest = (await reader.get(f"/stock-items/{prefix}a")).json()
    assert (await data(reader, query, sku=f"{prefix}a"))["stockItem"] == rest
    assert codes(await ask(reader, query, sku=f"{prefix}a", asOf=before)) == [("not_there_yet", 404)]
    assert codes(await ask(reader, ADD, sku=f"{prefix}d", name="Cup")) == [("forbidden", 403)]
    assert codes(await ask(reader, RECEIVE, input=receipt)) == [("forbidden", 403)]
    assert codes(await ask(staff, ADD, sku="a/b", name="Cup")) == [("validation_failed", 422)]
    assert codes(await ask(reader, PAGE, prefix="\0")) == [("validation_failed", 422)]
    first = await eventually(
        lambda: data(reader, PAGE, prefix=prefix), until=lambda found: found["stockItems"]["pageInfo"]["hasNextPage"]
    )
    rest_page = await data(reader, PAGE, prefix=prefix, after=first["stockItems"]["pageInfo"]["endCursor"])
    assert [each["sku"][-1] for page in (first, rest_page) for each in nodes(page["stockItems"])] == ["a", "b", "c"]


async def test_movements_are_listed_last_first_for_staff(staff: httpx.AsyncClient) -> None:
    of = sku()
    await stocked(staff, of, 1)
    for quantity in (2, 3, 4):
        await staff.post(f"/stock-items/{of}:receive", json={"quantity": quantity}, headers=WAIT)

    first = (await staff.get(f"/stock-items/{of}/movements", params={"limit": 3})).json()
    rest = (await staff.get(f"/stock-items/{of}/movements", params={"cursor": first["page"]["next_cursor"]})).json()

    assert [each["quantity"] for each in (*first["data"], *rest["data"])] == [4, 3, 2, 1]
    assert {(each["kind"], each["order_id"]) for each in first["data"]} == {("received", None)}
    assert rest["page"] == {"next_cursor": None, "has_more": False}
