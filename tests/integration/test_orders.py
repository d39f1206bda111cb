"""Orders over REST, on the real servers; the test is the saga."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from infra.access_tokens import SharedKeyTokens
from tests.conftest import SECRET
from tests.integration.conftest import WAIT, house_on_its_own_database, running
from tests.integration.shop import ORDER, TEA, Shop, confirmation
from tests.probes import eventually
from tests.servers import Servers


@pytest.fixture(scope="module")
async def shop(servers: Servers) -> AsyncIterator[Shop]:
    async with house_on_its_own_database(servers) as (house, owner), running(house, "ordering"):
        yield Shop(house, owner, SharedKeyTokens(SECRET))


def now() -> str:
    return datetime.now(UTC).isoformat()


async def order(api: httpx.AsyncClient, order_id: str, **query: str) -> dict[str, Any]:
    answer = await api.get(f"/orders/{order_id}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestPlacing:
    async def test_an_order_is_there_at_once_with_its_total(self, shop: Shop) -> None:
        ann = uuid4()

        answer = await shop.client(ann).post("/orders", json=ORDER)

        assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
        placed = answer.json()
        assert answer.headers["location"] == f"/api/v1/orders/{placed['id']}"
        assert (placed["status"], placed["buyer_id"], placed["lines"]) == ("placed", str(ann), ORDER["lines"])
        assert (placed["total_minor"], placed["currency"], placed["version"]) == (900, "EUR", 1)
        assert await order(shop.client(ann), placed["id"]) == placed

    async def test_the_same_key_is_one_order_however_often_and_at_once_it_is_sent(self, shop: Shop) -> None:
        ann = shop.client(uuid4())
        headers = {"Idempotency-Key": str(uuid4())}

        answers = await asyncio.gather(*(ann.post("/orders", json=ORDER, headers=headers) for _ in range(16)))
        others = await shop.client(uuid4()).post("/orders", json=ORDER, headers=headers)
        mismatch = await ann.post("/orders", json=ORDER | {"currency": "USD"}, headers=headers)
        listed = await eventually(lambda: ann.get("/orders"), until=lambda found: bool(found.json()["data"]))

        assert {answer.status_code for answer in answers} == {201}
        (id_,) = {answer.json()["id"] for answer in answers}
        assert others.json()["id"] != id_
        assert (mismatch.status_code, mismatch.json()["code"]) == (422, "idempotency_mismatch")
        assert [each["id"] for each in listed.json()["data"]] == [id_]

    async def test_without_a_key_each_is_an_order(self, shop: Shop) -> None:
        ann = shop.client(uuid4())

        first, second = [await shop.place(ann) for _ in range(2)]

        assert first != second

    @pytest.mark.parametrize(
        ("lines", "pointer"),
        [
            ([TEA, TEA | {"sku": "b", "quantity": 0}], "/lines/1/quantity"),
            ([TEA | {"quantity": 10_001}], "/lines/0/quantity"),
            ([TEA | {"quantity": 1.0}], "/lines/0/quantity"),
            ([TEA | {"quantity": "1"}], "/lines/0/quantity"),
            ([TEA | {"unit_price_minor": -1}], "/lines/0/unit_price_minor"),
            ([TEA | {"unit_price_minor": 10**12 + 1}], "/lines/0/unit_price_minor"),
            ([TEA | {"unit_price_minor": 4.5}], "/lines/0/unit_price_minor"),
            ([TEA | {"sku": "a b"}], "/lines/0/sku"),
            ([TEA | {"sku": "a\n"}], "/lines/0/sku"),
            ([TEA | {"sku": ""}], "/lines/0/sku"),
            ([TEA | {"sku": "x" * 65}], "/lines/0/sku"),
            ([TEA, TEA | {"sku": "b"}, TEA | {"quantity": 1}], "/lines/2/sku"),
            ([TEA | {"colour": "green"}], "/lines/0/colour"),
            ([{"sku": "a", "quantity": 1}], "/lines/0/unit_price_minor"),
            ([], "/lines"),
            ([TEA | {"sku": f"{n}"} for n in range(101)], "/lines"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_a_bad_line_is_pointed_at(self, shop: Shop, lines: list[Any], pointer: str) -> None:
        answer = await shop.client().post("/orders", json={"currency": "EUR", "lines": lines})

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"currency": "EUX"}, "unknown_currency"),
            ({"currency": "eur"}, "unknown_currency"),
            ({"lines": [TEA | {"unit_price_minor": 0}]}, "free_order"),
        ],
    )
    async def test_what_is_no_order_has_its_code(self, shop: Shop, changed: dict[str, Any], code: str) -> None:
        answer = await shop.client().post("/orders", json=ORDER | changed)

        assert (answer.status_code, answer.json()["code"]) == (422, code)

    async def test_the_largest_order_is_taken(self, shop: Shop) -> None:
        lines = [{"sku": f"{n}", "quantity": 10_000, "unit_price_minor": 10**12} for n in range(100)]
        ann = shop.client()

        id_ = await shop.place(ann, lines=lines)

        assert (await order(ann, id_))["total_minor"] == 10**18
        assert (await ann.get("/orders")).json()["data"][0]["total_minor"] == 10**18


class TestFulfilment:
    async def test_an_order_is_confirmed_shipped_and_returned(self, shop: Shop) -> None:
        ann = shop.client()
        id_ = await shop.place(ann)

        await shop.confirm(id_)
        await shop.asks(confirmation(id_))  # a saga may ask again
        parcel = {"carrier": "DHL", "tracking_code": "JD1"}
        shipped = [await shop.staff.post(f"/orders/{id_}:ship", json=parcel, headers=WAIT) for _ in range(2)]
        late = await ann.post(f"/orders/{id_}:cancel")
        returned = await shop.staff.post(f"/orders/{id_}:return", json={"reason": "broken"}, headers=WAIT)

        assert [answer.status_code for answer in shipped] == [200, 200]
        assert [answer.headers["etag"] for answer in shipped] == ['"3"'] * 2
        assert (late.status_code, late.json()["code"]) == (422, "wrong_status")
        assert (returned.json()["status"], returned.json()["carrier"]) == ("returned", "DHL")
        assert returned.headers["preference-applied"] == "wait"
        (listed,) = (await ann.get("/orders")).json()["data"]
        assert listed == await order(ann, id_) == returned.json()

    async def test_a_rejected_order_says_why(self, shop: Shop) -> None:
        ann = shop.client()
        id_ = await shop.place(ann)

        await shop.reject(id_, "out_of_stock")

        found = await order(ann, id_)
        assert (found["status"], found["reason"], found["payment_id"]) == ("rejected", "out_of_stock", None)
        assert (await shop.staff.post(f"/orders/{id_}:ship")).json()["code"] == "wrong_status"

    async def test_a_cancellation_in_time_is_a_wish_that_the_saga_answers(self, shop: Shop) -> None:
        ann = shop.client()
        rejected, confirmed = [await shop.place(ann) for _ in range(2)]
        for id_ in (rejected, confirmed):
            wish = await ann.post(f"/orders/{id_}:cancel", json={"reason": "too dear"})
            assert (wish.status_code, wish.json()["status"]) == (200, "cancelling")

        await shop.reject(rejected, "cancelled")
        await shop.confirm(confirmed)

        assert [(await order(ann, id_))["status"] for id_ in (rejected, confirmed)] == ["rejected", "cancelled"]
        story = (await ann.get(f"/orders/{confirmed}/history")).json()["data"]
        assert [each["type"] for each in story] == [
            "OrderPlaced",
            "OrderCancellationRequested",
            "OrderConfirmed",
            "OrderCancelled",
        ]

    async def test_a_confirmed_order_is_cancelled_at_once_and_twice_is_once(self, shop: Shop) -> None:
        ann = shop.client()
        id_ = await shop.place(ann)
        await shop.confirm(id_)

        answers = await asyncio.gather(*(ann.post(f"/orders/{id_}:cancel") for _ in range(8)))

        assert [(each.status_code, each.json()["status"]) for each in answers] == [(200, "cancelled")] * 8
        assert {each.headers["etag"] for each in answers} == {'"3"'}

    async def test_a_command_that_cannot_be_is_a_dead_letter_and_the_next_goes_on(self, shop: Shop) -> None:
        ann = shop.client()
        unknown, rejected, good = str(uuid4()), await shop.place(ann), await shop.place(ann)
        await shop.reject(rejected, "out_of_stock")

        for id_ in (unknown, rejected, good):
            await shop.asks(confirmation(id_))
        await shop.listed(good, "confirmed")

        async def letters() -> Counter[str]:
            query = "select error from ordering.dead_letter where consumer like '%ordering.commands'"
            async with shop.owner.driver() as connection:
                return Counter(row["error"].split(":")[1].strip() for row in await connection.fetch(query))

        await eventually(letters, until=lambda found: found == {"order_not_found": 1, "wrong_status": 1})
        assert (await order(ann, rejected))["status"] == "rejected"


class TestRaces:
    async def test_cancelling_and_confirming_end_in_one_outcome_for_all(self, shop: Shop) -> None:
        """16 people cancel while their orders are confirmed; whoever is first, an order ends cancelled, and has been confirmed
        once."""
        people = [shop.client() for _ in range(16)]
        orders = await asyncio.gather(*(shop.place(each) for each in people))

        async def cancel(api: httpx.AsyncClient, id_: str) -> httpx.Response:
            return await api.post(f"/orders/{id_}:cancel")

        both = await asyncio.gather(
            *(cancel(api, id_) for api, id_ in zip(people, orders, strict=True)),
            *(shop.asks(confirmation(id_)) for id_ in orders),
        )
        for id_ in orders:
            await shop.listed(id_, "cancelled")

        assert {answer.status_code for answer in both if answer} == {200}
        for api, id_ in zip(people, orders, strict=True):
            story = [each["type"] for each in (await api.get(f"/orders/{id_}/history")).json()["data"]]
            assert story.count("OrderConfirmed") == story.count("OrderCancelled") == 1
            assert story[-1] == "OrderCancelled"
            assert (await order(api, id_))["version"] == len(story)

    async def test_sixteen_who_cancel_and_ship_one_order_agree(self, shop: Shop) -> None:
        ann, staff = shop.client(), shop.staff
        id_ = await shop.place(ann)
        await shop.confirm(id_)

        answers = await asyncio.gather(
            *(ann.post(f"/orders/{id_}:cancel") for _ in range(8)),
            *(staff.post(f"/orders/{id_}:ship") for _ in range(8)),
        )

        assert {answer.status_code for answer in answers} <= {200, 422}
        assert {answer.json()["code"] for answer in answers if answer.status_code == 422} <= {"wrong_status"}
        (status,) = {answer.json()["status"] for answer in answers if answer.status_code == 200}
        assert status in ("cancelled", "shipped")
        assert (await order(ann, id_))["version"] == 3

    async def test_a_change_for_another_version_is_refused(self, shop: Shop) -> None:
        ann = shop.client()
        id_ = await shop.place(ann)

        stale = await ann.post(f"/orders/{id_}:cancel", headers={"If-Match": '"2"'})
        wrong = await ann.post(f"/orders/{id_}:cancel", headers={"If-Match": "x"})
        right = await ann.post(f"/orders/{id_}:cancel", headers={"If-Match": '"1"'})

        assert [each.status_code for each in (stale, wrong, right)] == [412, 422, 200]
        assert [each.json()["code"] for each in (stale, wrong)] == ["precondition_failed", "invalid_if_match"]


class TestReading:
    async def test_others_learn_nothing_and_staff_see_all(self, shop: Shop) -> None:
        ann, eve = shop.client(), shop.client()
        id_ = await shop.place(ann)

        refused = [
            await eve.get(f"/orders/{id_}"),
            await eve.get(f"/orders/{id_}/history"),
            await eve.post(f"/orders/{id_}:cancel"),
        ]

        assert [each.json()["code"] for each in refused] == ["order_not_found"] * 3
        assert (await order(shop.staff, id_))["status"] == "placed"
        assert (await shop.staff.get(f"/orders/{id_}/history")).status_code == 200

    async def test_an_order_is_shown_as_it_was(self, shop: Shop) -> None:
        ann = shop.client()
        before = now()
        id_ = await shop.place(ann)
        placed = now()
        await shop.confirm(id_)
        confirmed = now()
        await shop.staff.post(f"/orders/{id_}:ship", json={"carrier": "DHL"})

        async def at(as_of: str) -> dict[str, Any]:
            return await order(ann, id_, as_of=as_of)

        assert [(await at(each))["status"] for each in (placed, confirmed, now())] == ["placed", "confirmed", "shipped"]
        assert [(await at(each))["version"] for each in (placed, confirmed)] == [1, 2]
        early = await ann.get(f"/orders/{id_}", params={"as_of": before})
        assert (early.status_code, early.json()["code"]) == (404, "not_there_yet")
        stranger = await shop.client().get(f"/orders/{id_}", params={"as_of": placed})
        assert stranger.json()["code"] == "order_not_found"

    async def test_the_history_says_when_who_and_why(self, shop: Shop) -> None:
        ann_id = uuid4()
        ann = shop.client(ann_id)
        id_ = await shop.place(ann)
        await shop.confirm(id_)
        await shop.staff.post(f"/orders/{id_}:cancel", json={"reason": "fraud"})

        story = (await ann.get(f"/orders/{id_}/history")).json()["data"]

        told = [(each["version"], each["type"], each["by"], each["reason"]) for each in story]
        assert told == [
            (1, "OrderPlaced", str(ann_id), None),
            (2, "OrderConfirmed", None, None),
            (3, "OrderCancelled", str(shop.staff_id), "fraud"),
        ]
        assert [each["at"] for each in story] == sorted(each["at"] for each in story)

    async def test_ones_orders_are_listed_by_cursor_and_by_offset(self, shop: Shop) -> None:
        ann = shop.client()
        ids = [await shop.place(ann) for _ in range(5)][::-1]

        first = (await ann.get("/orders", params={"limit": 2})).json()
        cursor = first["page"]["next_cursor"]
        newer = await shop.place(ann)  # comes before what was read, and shifts nothing
        second = (await ann.get("/orders", params={"limit": 2, "cursor": cursor})).json()
        third = (await ann.get("/orders", params={"limit": 2, "cursor": second["page"]["next_cursor"]})).json()
        by_offset = (await ann.get("/orders", params={"limit": 3, "offset": 2})).json()

        assert [each["id"] for page in (first, second, third) for each in page["data"]] == ids
        assert [page["page"]["has_more"] for page in (first, second, third)] == [True, True, False]
        assert [each["id"] for each in by_offset["data"]] == [newer, *ids][2:5]
        both = await ann.get("/orders", params={"cursor": cursor, "offset": 1})
        foreign = await shop.client().get("/orders", params={"cursor": cursor})
        assert [each.json()["code"] for each in (both, foreign)] == ["validation_failed", "invalid_cursor"]

    async def test_staff_list_everybodys_orders_and_others_do_not(self, shop: Shop) -> None:
        ann, bob = shop.client(), shop.client()
        ids = [await shop.place(ann), await shop.place(bob), await shop.place(ann)][::-1]
        await shop.confirm(ids[1])
        all_: dict[str, str] = {"everybody": "true", "limit": "2"}

        first = (await shop.staff.get("/orders", params=all_)).json()
        cursor = first["page"]["next_cursor"]
        rest = (await shop.staff.get("/orders", params=all_ | {"cursor": cursor})).json()
        confirmed = (await shop.staff.get("/orders", params=all_ | {"status": "confirmed", "limit": "1"})).json()
        foreign = [
            await bob.get("/orders", params=all_),
            await bob.get("/orders", params={"cursor": cursor}),
            await shop.staff.get("/orders", params=all_ | {"status": "placed", "cursor": cursor}),
        ]

        assert [each["id"] for each in first["data"] + rest["data"][:1]] == ids
        assert [each["id"] for each in confirmed["data"]] == [ids[1]]
        assert (await bob.get("/orders", params={"status": "confirmed"})).json()["data"] == confirmed["data"]
        assert (await bob.get("/orders", params={"status": "shipped"})).json()["data"] == []
        assert [each.json()["code"] for each in foreign] == ["forbidden", "invalid_cursor", "invalid_cursor"]

    async def test_buyers_are_listed_for_staff_the_newest_first(self, shop: Shop) -> None:
        people = [uuid4() for _ in range(3)]
        for each in people:
            await shop.place(shop.client(each))
        last = await shop.place(shop.client(people[0]))

        newest = (await shop.staff.get("/orders/buyers", params={"limit": 2})).json()
        rest = await shop.staff.get("/orders/buyers", params={"limit": 1, "cursor": newest["page"]["next_cursor"]})
        by_offset = await shop.staff.get("/orders/buyers", params={"limit": 1, "offset": 2})

        assert [each["id"] for each in newest["data"]] == [str(each) for each in people[:0:-1]]
        (first,) = rest.json()["data"]
        assert (first["id"], first["orders"], first["name"]) == (str(people[0]), 2, None)
        assert first["last_order_at"] == (await order(shop.staff, last))["placed_at"] > first["since"]
        assert by_offset.json()["data"] == rest.json()["data"]
