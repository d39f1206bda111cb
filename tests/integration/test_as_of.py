"""Time travel over REST, on the real servers."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.conftest import WAIT, Client, send
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")


def now() -> str:
    return datetime.now(UTC).isoformat()


async def at(api: httpx.AsyncClient, url: str, as_of: str) -> httpx.Response:
    return await api.get(url, params={"as_of": as_of})


class TestConversations:
    async def test_a_group_is_shown_as_it_was_to_those_who_are_in_it(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        before = now()
        new = {"title": "Crew", "member_ids": [str(bob)]}
        url = f"/conversations/{(await client(ann).post('/conversations', json=new, headers=WAIT)).json()['id']}"
        begun = now()
        await client(ann).patch(url, json={"title": "Deck"})
        await client(ann).post(f"{url}/members", json={"member_id": str(eve)}, headers=WAIT)
        await client(ann).delete(f"{url}/members/{bob}", headers=WAIT)

        then = (await at(client(eve), url, begun)).json()
        latest = (await at(client(eve), url, now())).json()

        assert (then["title"], set(then["member_ids"])) == ("Crew", {str(ann), str(bob)})
        assert (latest["title"], set(latest["member_ids"])) == ("Deck", {str(ann), str(eve)})
        gone, outside = await at(client(bob), url, begun), await at(client(uuid4()), url, begun)
        assert [each.json()["code"] for each in (gone, outside)] == ["conversation_not_found"] * 2
        early = await at(client(ann), url, before)
        assert (early.status_code, early.json()["code"]) == (404, "not_there_yet")

    async def test_a_direct_conversation_begins_with_its_first_message(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        before = now()
        sent = await send(client(ann), [ann, bob])
        url, between = f"/conversations/{sent['conversation_id']}", now()
        await send(client(bob), [ann, bob])
        await client(ann).put("/conversations/direct", json={"participant_ids": [str(bob)]})
        first = (await client(ann).get(f"/messages/{sent['message_id']}")).json()["created_at"]

        then = (await at(client(bob), url, between)).json()

        assert (then["kind"], then["started_at"], then["last_message_at"]) == ("direct", first, first)
        assert (await at(client(bob), url, before)).json()["code"] == "not_there_yet"

    @pytest.mark.parametrize(
        ("as_of", "code"),
        [
            ("yesterday", "validation_failed"),
            ("2026-01-01T00:00:00", "validation_failed"),  # whose midnight?
            ("2999-01-01T00:00:00Z", "as_of_in_future"),
        ],
    )
    async def test_what_is_no_time_of_the_past_is_refused(self, client: Client, as_of: str, code: str) -> None:
        for url in (f"/conversations/{uuid4()}", f"/messages/{uuid4()}"):
            answer = await at(client(uuid4()), url, as_of)

            assert (answer.status_code, answer.json()["code"]) == (422, code)


class TestMessages:
    async def test_texts_come_back_for_moderators_until_they_are_erased(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        before = now()
        sent = await send(client(ann), [ann, bob], "first")
        url, position = f"/messages/{sent['message_id']}", {"min_position": sent["position"]}
        written = now()
        await client(ann).patch(url, json={"body": "second"}, headers=WAIT, params=position)
        changed = now()
        await client(ann).delete(url, headers=WAIT)
        moderator = client(bob, "moderator")

        async def seen(as_of: str) -> dict[str, Any]:
            return dict((await at(moderator, url, as_of)).json())

        assert [(await seen(each))["body"] for each in (written, changed, now())] == ["first", "second", ""]
        assert (await seen(changed))["deleted_at"] is None
        assert [(await at(client(bob), url, each)).json()["code"] for each in (written, changed)] == ["former_text"] * 2
        assert (await at(client(bob), url, now())).json()["body"] == ""
        assert (await at(client(bob), url, before)).json()["code"] == "not_there_yet"
        assert (await at(client(uuid4(), "moderator"), url, written)).json()["code"] == "message_not_found"

        await client(uuid4(), "admin").post(f"{url}:erase", headers=WAIT)

        async def erased() -> bool:
            return (await seen(written))["erased_at"] is not None

        await eventually(erased)
        assert [(await seen(each))["body"] for each in (written, changed, now())] == ["", "", ""]
