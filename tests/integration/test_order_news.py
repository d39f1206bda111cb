"""What others see of orders: the buyer live, in the inbox and over GraphQL, staff in the list of buyers; all of it built anew."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from infra.access_tokens import SharedKeyTokens
from tests.conftest import SECRET
from tests.integration.channels import screen
from tests.integration.conftest import house_on_its_own_database, running
from tests.integration.nodes import node
from tests.integration.shop import TEA, Shop, confirmation
from tests.integration.test_graphql import codes, nodes, statements
from tests.integration.test_graphql import data as of_graph
from tests.integration.test_group_operations import command, environment
from tests.probes import eventually
from tests.servers import Servers

ORDERS = (
    "query ($first: Int!, $after: String) { orders(first: $first, after: $after) { edges { cursor node { %s } } } }"
)
FIELDS = "id status totalMinor currency version lines { sku quantity unitPriceMinor } buyer { id name }"
PLACE = "mutation ($input: NewOrderInput!) { placeOrder(input: $input) { id status totalMinor version } }"
CANCEL = 'mutation ($id: UUID!) { cancelOrder(id: $id, reason: "no", waitSeconds: 10) { status version } }'


@pytest.fixture(scope="module")
async def shop(servers: Servers) -> AsyncIterator[Shop]:
    contexts = ("ordering", "notifications", "realtime", "identity")
    async with house_on_its_own_database(servers) as (house, owner), running(house, *contexts):
        yield Shop(house, owner, SharedKeyTokens(SECRET))


async def inbox(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await api.get("/notifications")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def person(shop: Shop, name: str) -> tuple[UUID, httpx.AsyncClient]:
    """Return somebody with an account, and their client."""
    new = {"email": f"{uuid4().hex}@example.org", "name": name}
    made = await shop.client(uuid4(), "admin").post("/users", json=new)
    assert made.status_code == 201, made.text
    id_ = UUID(made.json()["id"])
    return id_, shop.client(id_)


async def test_the_buyer_sees_every_step_on_screen(shop: Shop) -> None:
    ann_id = uuid4()
    ann, channel = shop.client(ann_id), f"user:{ann_id}"
    async with node(shop.house) as at, screen(at, shop.house, ann_id) as screen_:
        await screen_.subscribe(channel)
        shipped, rejected = await shop.place(ann), await shop.place(ann)
        await shop.confirm(shipped)
        await shop.staff.post(f"/orders/{shipped}:ship")
        await ann.post(f"/orders/{rejected}:cancel", json={"reason": "private"})
        await shop.reject(rejected, "cancelled")

        def steps(of: str) -> list[tuple[str, str | None]]:
            return [(each["status"], each["reason"]) for each in screen_.payloads(channel) if each["order_id"] == of]

        async def both() -> int:
            return len(steps(shipped)) + len(steps(rejected))

        await eventually(both, until=lambda count: count >= 6)

    assert steps(shipped) == [("placed", None), ("confirmed", None), ("shipped", None)]
    assert steps(rejected) == [("placed", None), ("cancelling", None), ("rejected", "cancelled")]
    assert "private" not in str(screen_.updates)


async def test_the_inbox_tells_once_what_became_of_an_order(shop: Shop) -> None:
    ann = shop.client()
    shipped, rejected = await shop.place(ann), await shop.place(ann)
    await shop.confirm(shipped)
    for _ in range(3):
        await shop.asks(confirmation(shipped))
    await shop.reject(rejected, "out_of_stock")
    await shop.staff.post(f"/orders/{shipped}:ship", json={"carrier": "DHL"})

    found = await eventually(lambda: inbox(ann), until=lambda entries: len(entries) >= 3)

    told = {(each["kind"], each["order_id"], each["actor_id"], each["preview"]) for each in found}
    assert told == {
        ("order.confirmed", shipped, None, "Your order is confirmed"),
        ("order.rejected", rejected, None, "Your order was rejected: out_of_stock"),
        ("order.shipped", shipped, str(shop.staff_id), "Your order was shipped: DHL"),
    }
    assert len(found) == 3
    assert {(each["message_id"], each["conversation_id"]) for each in found} == {(None, None)}
    query = "{ notifications { edges { node { kind orderId messageId actor { id } } } } }"
    by_graph = nodes((await of_graph(ann, query))["notifications"])
    assert {each["orderId"] for each in by_graph} == {shipped, rejected}
    marked = await ann.post("/notifications:mark", json={"state": "read", "ids": [each["id"] for each in found]})
    assert marked.status_code == 202


class TestGraphQL:
    async def test_orders_are_placed_listed_and_cancelled(self, shop: Shop) -> None:
        ann_id, ann = await person(shop, "Ann")
        line = {"sku": "tea-100", "quantity": 2, "unitPriceMinor": 10**11}
        new = {"currency": "EUR", "lines": [line], "clientId": "first", "waitSeconds": 10}

        placed, again = [(await of_graph(ann, PLACE, input=new))["placeOrder"] for _ in range(2)]
        (listed,) = nodes((await of_graph(ann, ORDERS % FIELDS, first=5))["orders"])
        cancelled = (await of_graph(ann, CANCEL, id=placed["id"]))["cancelOrder"]
        rest = (await ann.get(f"/orders/{placed['id']}")).json()

        assert placed == again == {"id": placed["id"], "status": "placed", "totalMinor": 2 * 10**11, "version": 1}
        assert (listed["id"], listed["lines"]) == (placed["id"], [line])
        assert listed["buyer"]["id"] == str(ann_id)
        assert cancelled == {"status": "cancelling", "version": 2}
        assert (rest["status"], rest["total_minor"]) == ("cancelling", 2 * 10**11)

    async def test_a_page_is_one_statement_and_goes_on_over_rest(self, shop: Shop) -> None:
        _, ann = await person(shop, "Ann")
        ids = [await shop.place(ann) for _ in range(4)][::-1]

        with statements(shop.house) as seen:
            page = (await of_graph(ann, ORDERS % FIELDS, first=3))["orders"]
        cursor = page["edges"][-1]["cursor"]
        rest = (await ann.get("/orders", params={"cursor": cursor})).json()
        onward = (await of_graph(ann, ORDERS % "id", first=3, after=cursor))["orders"]

        assert [each["id"] for each in nodes(page)] == ids[:3]
        assert [each["id"] for each in rest["data"]] == [each["id"] for each in nodes(onward)] == ids[3:]
        assert len([each for each in seen if "select" in each.lower()]) == 2  # the orders, and their buyer

    async def test_bad_lines_are_pointed_at_and_strangers_find_nothing(self, shop: Shop) -> None:
        ann, eve = shop.client(), shop.client()
        id_ = await shop.place(ann)

        def order(quantity: int, price: float) -> dict[str, Any]:
            return {"currency": "EUR", "lines": [{"sku": "a", "quantity": quantity, "unitPriceMinor": price}]}

        refused = await ask(ann, PLACE, input=order(0, 1))
        free = await ask(ann, PLACE, input=order(1, 0))
        broken = [await ask(ann, PLACE, input=order(1, price)) for price in (1.5, True)]
        stranger = await ask(eve, f'{{ order(id: "{id_}") {{ id }} }}')

        assert [each["pointer"] for each in refused["errors"][0]["extensions"]["errors"]] == ["/lines/0/quantity"]
        assert codes(free) == [("free_order", 422)]
        assert codes(stranger) == [("order_not_found", 404)]
        assert all(each["errors"] and not each.get("data") for each in broken)

    async def test_staff_list_everybodys_of_a_status_and_others_do_not(self, shop: Shop) -> None:
        ann, query = shop.client(), "{ orders(first: 1, everybody: true, status: REJECTED) { edges { node { id } } } }"
        id_ = await shop.place(ann)
        await shop.reject(id_, "out_of_stock")
        await shop.place(ann)

        (found,) = nodes((await of_graph(shop.staff, query))["orders"])
        assert found == {"id": id_}
        assert codes(await ask(ann, query)) == [("forbidden", 403)]

    @pytest.mark.parametrize("client_id", ["", "x" * 129])
    async def test_a_name_of_no_length_or_of_any_is_refused(self, shop: Shop, client_id: str) -> None:
        line = {"sku": "tea-100", "quantity": 1, "unitPriceMinor": 1}
        order = {"currency": "EUR", "lines": [line], "clientId": client_id}
        group = "mutation ($input: NewGroupInput!) { startGroup(input: $input) { id } }"

        answers = [
            await ask(shop.client(), PLACE, input=order),
            await ask(shop.client(), group, input={"title": "Tea", "memberIds": [], "clientId": client_id}),
        ]

        found = [each["errors"][0]["extensions"]["errors"][0]["pointer"] for each in answers]
        assert found == ["/client_id", "/client_id"]

    async def test_lines_count_for_the_size_of_an_answer(self, shop: Shop) -> None:
        answer = await ask(shop.client(), ORDERS % FIELDS, first=200)

        assert codes(answer) == [("query_too_large", 422)]


async def ask(api: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    """Return the whole answer, whatever its status."""
    return dict((await api.post("http://test/graphql", json={"query": query, "variables": variables})).json())


async def test_buyers_have_names_and_the_blocked_are_left_out(shop: Shop) -> None:
    (ann, anns), (bob, bobs) = await person(shop, "Ann"), await person(shop, "Bob")
    admin = shop.client(uuid4(), "admin")
    for each in (anns, bobs):
        await shop.place(each)

    async def listed() -> dict[str, str]:
        answer = await shop.staff.get("/orders/buyers", params={"limit": 200})
        return {each["id"]: each["name"] for each in answer.json()["data"] if each["id"] in (str(ann), str(bob))}

    await eventually(listed, until=lambda found: found == {str(ann): "Ann", str(bob): "Bob"})
    assert (await admin.post(f"/users/{bob}/block")).status_code == 200
    await eventually(listed, until=lambda found: found == {str(ann): "Ann"})
    assert (await admin.post(f"/users/{bob}/unblock")).status_code == 200
    await eventually(listed, until=lambda found: len(found) == 2)


async def test_the_lists_are_the_same_when_they_are_built_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(shop.house).items():
        monkeypatch.setenv(name, value)
    ann = shop.client()
    orders = [await shop.place(ann) for _ in range(6)]
    await asyncio.gather(*(shop.confirm(each) for each in orders[:3]))
    await shop.staff.post(f"/orders/{orders[0]}:ship", json={"carrier": "DHL"})
    await shop.listed(orders[0], "shipped")
    await ann.post(f"/orders/{orders[1]}:cancel")
    await shop.listed(orders[1], "cancelled")
    await shop.reject(orders[4], "out_of_stock")
    before = await rows(shop)
    async with shop.owner.driver() as connection:
        await connection.execute("update ordering.listed_order set status = 'lost', total_minor = 0")
        await connection.execute("delete from ordering.buyer")

    answer = await command("rebuild", "ordering.orders")

    assert answer.exit_code == 0, answer.output
    assert await rows(shop) == before
    later = await shop.place(ann, lines=[TEA])
    assert [each["id"] for each in (await ann.get("/orders")).json()["data"]] == [later, *orders[::-1]]


async def rows(shop: Shop) -> list[list[tuple[Any, ...]]]:
    found = []
    async with shop.owner.driver() as connection:
        for table in ("listed_order", "buyer"):
            fetched = await connection.fetch(f"select * from ordering.{table} order by 1")
            found.append([tuple(row) for row in fetched])
    return found
