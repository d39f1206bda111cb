"""Groups and direct conversations over REST, on the real servers."""

from functools import partial
from uuid import uuid4

import pytest

from tests.integration.conftest import WAIT, Client, history, send
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")


class TestGroups:
    async def test_members_come_and_go(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        started = await client(ann).post(
            "/conversations", json={"title": "Crew", "member_ids": [str(bob)]}, headers=WAIT
        )
        assert started.status_code == 201, started.text
        url = f"/conversations/{started.json()['id']}"

        assert (await client(eve).get(url)).status_code == 404
        added = await client(bob).post(f"{url}/members", json={"member_id": str(eve)}, headers=WAIT)
        assert str(eve) in added.json()["member_ids"]
        said = await client(eve).post(f"{url}/messages", json={"body": "hi"}, headers=WAIT)
        assert said.status_code == 201
        removed = await client(ann).delete(f"{url}/members/{eve}")
        assert removed.status_code == 204
        assert (await client(eve).post(f"{url}/messages", json={"body": "still here?"})).status_code == 404
        assert (await client(eve).get(f"{url}/messages")).status_code == 404
        assert len(await history(client(bob), started.json()["id"])) == 1

    async def test_a_public_group_is_found_joined_and_left(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        new = {"title": "Harbour", "public": True, "metadata": {"colour": "blue"}}
        harbour = (await client(ann).post("/conversations", json=new, headers=WAIT)).json()
        closed = (await client(ann).post("/conversations", json={"title": "Crew"}, headers=WAIT)).json()
        members = f"/conversations/{harbour['id']}/members"

        found = (await client(bob).get("/conversations/public", params={"limit": 200})).json()["data"]
        joined = await client(bob).post(members, json={"member_id": str(bob)})
        refused = await client(bob).post(f"/conversations/{closed['id']}/members", json={"member_id": str(bob)})
        others = await client(uuid4()).post(members, json={"member_id": str(uuid4())})
        left = await client(bob).delete(f"{members}/{bob}")

        assert [each["metadata"] for each in found if each["id"] == harbour["id"]] == [{"colour": "blue"}]
        assert closed["id"] not in [each["id"] for each in found]
        assert [joined.status_code, refused.status_code, others.status_code, left.status_code] == [200, 404, 404, 204]
        assert str(bob) in joined.json()["member_ids"]

    async def test_metadata_is_replaced_as_a_whole(self, client: Client) -> None:
        ann = client(uuid4())
        new = {"title": "Crew", "metadata": {"a": "1"}}
        url = f"/conversations/{(await ann.post('/conversations', json=new)).json()['id']}"

        changed = await ann.patch(url, json={"metadata": {"b": "2"}}, headers=WAIT)
        both = await ann.patch(url, json={"metadata": {}, "title": "x"})
        too_many = await ann.patch(url, json={"metadata": {str(n): "x" for n in range(21)}})

        assert changed.json()["metadata"] == {"b": "2"}
        assert (await ann.get(url)).json()["metadata"] == {"b": "2"}
        assert [both.status_code, too_many.status_code] == [422, 422]

    async def test_an_archived_group_is_read_and_that_is_all(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        new = {"title": "Crew", "member_ids": [str(bob)]}
        group = (await client(ann).post("/conversations", json=new, headers=WAIT)).json()
        url = f"/conversations/{group['id']}"
        await client(bob).post(f"{url}/messages", json={"body": "before"}, headers=WAIT)

        not_his = await client(bob).delete(url)
        over = [await client(ann).delete(url) for _ in range(2)]
        refused = [
            await client(bob).post(f"{url}/messages", json={"body": "after"}),
            await client(ann).patch(url, json={"title": "x"}),
            await client(ann).post(f"{url}/members", json={"member_id": str(uuid4())}),
        ]

        assert not_his.status_code == 403
        assert [answer.status_code for answer in over] == [204, 204]
        assert [answer.json()["code"] for answer in refused] == ["conversation_archived"] * 3
        assert [message["body"] for message in await history(client(bob), group["id"])] == ["before"]

        async def listed(archived: bool) -> list[str]:
            answer = await client(bob).get("/conversations", params={"archived": archived})
            return [each["id"] for each in answer.json()["data"]]

        await eventually(partial(listed, True), until=lambda ids: ids == [group["id"]])
        assert await listed(False) == []

    async def test_every_decision_can_be_waited_for(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        api = client(ann)
        plain = await api.post("/conversations", json={"title": "Deck"})
        started = await api.post("/conversations", json={"title": "Crew"}, headers=WAIT)
        url = f"/conversations/{started.json()['id']}"
        answers = [
            started,
            await api.put("/conversations/direct", json={"participant_ids": [str(bob)]}, headers=WAIT),
            await api.post(f"{url}/members", json={"member_id": str(bob)}, headers=WAIT),
            await api.patch(url, json={"title": "Deck"}, headers=WAIT),
            await api.delete(f"{url}/members/{bob}", headers=WAIT),
        ]
        without_bob = [each["id"] for each in (await client(bob).get("/conversations")).json()["data"]]
        answers.append(await api.delete(url, headers=WAIT))
        archived = (await api.get("/conversations", params={"archived": True})).json()["data"]

        assert "preference-applied" not in plain.headers
        assert [answer.status_code for answer in answers] == [201, 201, 200, 200, 204, 204]
        assert [answer.headers.get("preference-applied") for answer in answers] == ["wait"] * 6
        assert started.json()["id"] not in without_bob
        assert [each["id"] for each in archived] == [started.json()["id"]]

    async def test_leaving_tells_an_outsider_nothing(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        group = (await client(ann).post("/conversations", json={"title": "Crew"}, headers=WAIT)).json()["id"]
        unopened = (await send(client(ann), [ann, bob]))["conversation_id"]

        left = [
            await client(eve).delete(f"/conversations/{each}/members/{eve}", headers=WAIT)
            for each in (group, unopened, uuid4())
        ]
        of_two = await client(bob).delete(f"/conversations/{unopened}/members/{bob}")

        assert [answer.status_code for answer in left] == [204] * 3
        assert {"preference-applied" in answer.headers for answer in left} == {False}
        assert (of_two.status_code, of_two.json()["code"]) == (422, "direct_is_fixed")

    async def test_a_cursor_is_of_one_user_and_one_list(self, client: Client) -> None:
        ann = uuid4()
        for n in range(2):
            await client(ann).post("/conversations", json={"title": f"{n}", "public": True}, headers=WAIT)
        own, public = [
            (await client(ann).get(path, params={"limit": 1})).json()["page"]["next_cursor"]
            for path in ("/conversations", "/conversations/public")
        ]

        right = await client(ann).get("/conversations", params={"cursor": own})
        wrong = [
            await client(uuid4()).get("/conversations", params={"cursor": own}),
            await client(ann).get("/conversations", params={"cursor": own, "archived": True}),
            await client(ann).get("/conversations/public", params={"cursor": own}),
            await client(ann).get("/conversations", params={"cursor": public}),
            await client(uuid4()).get("/conversations/public", params={"cursor": public}),
        ]

        assert right.status_code == 200
        assert [answer.json().get("code") for answer in wrong] == ["invalid_cursor"] * 5

    async def test_the_same_key_starts_one_group(self, client: Client) -> None:
        ann = uuid4()
        headers = {"Idempotency-Key": "crew"}

        first, second = [
            await client(ann).post("/conversations", json={"title": "Crew"}, headers=headers) for _ in range(2)
        ]

        assert first.json()["id"] == second.json()["id"]

    async def test_renaming_and_listing(self, client: Client) -> None:
        ann = uuid4()
        ids = []
        for n in range(5):
            answer = await client(ann).post("/conversations", json={"title": f"Crew {n}"}, headers=WAIT)
            ids.append(answer.json()["id"])
        await client(ann).patch(f"/conversations/{ids[0]}", json={"title": " Deck "}, headers=WAIT)

        first = (await client(ann).get("/conversations", params={"limit": 3})).json()
        second = (
            await client(ann).get("/conversations", params={"limit": 3, "cursor": first["page"]["next_cursor"]})
        ).json()

        assert [each["id"] for each in first["data"] + second["data"]] == ids[::-1]
        assert second["data"][-1]["title"] == "Deck"
        assert second["page"] == {"next_cursor": None, "prev_cursor": None, "has_more": False}

    async def test_a_direct_conversation_is_one_and_fixed(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        body = {"participant_ids": [str(bob)]}

        first = await client(ann).put("/conversations/direct", json=body)
        second = await client(bob).put("/conversations/direct", json={"participant_ids": [str(ann), str(bob)]})
        url = f"/conversations/{first.json()['id']}"
        said = await client(ann).post(f"{url}/messages", json={"body": "hi"})
        by_people = await send(client(bob), [ann, bob])
        added = await client(ann).post(f"{url}/members", json={"member_id": str(eve)})

        assert [first.status_code, second.status_code, said.status_code] == [201, 200, 202]
        assert first.json()["id"] == second.json()["id"] == by_people["conversation_id"]
        assert added.status_code == 422
        assert added.json()["code"] == "direct_is_fixed"
