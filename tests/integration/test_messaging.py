"""Messaging over REST, on the real servers."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from headwater.wiring import House
from infra.kafka_log import KafkaLog
from schemas.messaging.events import MessageSent
from tests.integration.conftest import WAIT, Client, history, send
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")


class TestSending:
    async def test_accepted_once_the_broker_has_it_and_readable_by_its_position(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        body = {"participants": [str(ann), str(bob)], "body": "Hello", "client_id": "first"}

        answer = await client(ann).post("/messages", json=body)

        assert answer.status_code == 202
        accepted = answer.json()
        assert answer.headers["location"] == f"/api/v1/messages/{accepted['message_id']}"
        (message,) = await history(client(bob), accepted["conversation_id"], min_position=accepted["position"])
        assert message["id"] == accepted["message_id"]
        assert message["body"] == "Hello"
        assert message["sender_id"] == str(ann)
        assert message["seq"] == 1

    async def test_the_order_of_participants_does_not_matter(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()

        first = await send(client(ann), [ann, bob, eve])
        second = await send(client(bob), [eve, bob, ann, ann])

        assert first["conversation_id"] == second["conversation_id"]

    async def test_fifty_parallel_retries_are_one_message(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        body = {"participants": [str(ann), str(bob)], "body": "once", "client_id": "the same"}
        api = client(ann)

        answers = await asyncio.gather(*(api.post("/messages", json=body, headers=WAIT) for _ in range(50)))

        assert {answer.json()["message_id"] for answer in answers} == {answers[0].json()["message_id"]}
        assert len(await history(api, answers[0].json()["conversation_id"])) == 1

    async def test_the_idempotency_key_stands_for_the_client_id(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        body = {"participants": [str(ann), str(bob)], "body": "once"}
        headers = {"Idempotency-Key": str(uuid4())}

        first, second = [await client(ann).post("/messages", json=body, headers=headers) for _ in range(2)]

        assert first.json()["message_id"] == second.json()["message_id"]

    async def test_an_outsider_neither_sends_nor_reads(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        sent = await send(client(ann), [ann, bob])
        body = {"participants": [str(ann), str(bob)], "body": "let me in", "client_id": "1"}

        to_people = await client(eve).post("/messages", json=body)
        to_id = await client(eve).post(f"/conversations/{sent['conversation_id']}/messages", json={"body": "hi"})
        read = await client(eve).get(f"/conversations/{sent['conversation_id']}/messages")
        one = await client(eve).get(f"/messages/{sent['message_id']}")

        assert to_people.status_code == 403
        assert to_people.json()["code"] == "not_a_member"
        assert [answer.status_code for answer in (to_id, read, one)] == [404, 404, 404]
        assert len(await history(client(ann), sent["conversation_id"])) == 1

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"body": ""}, "/body"),
            ({"body": "x" * 4001}, "/body"),
            ({"participants": ["no uuid", "b"]}, "/participants/0"),
            ({"participants": []}, "/participants"),
            ({"client_id": "x" * 129}, "/client_id"),
            ({"unknown": 1}, "/unknown"),
        ],
    )
    async def test_a_bad_field_is_named(self, client: Client, change: dict[str, Any], pointer: str) -> None:
        ann, bob = uuid4(), uuid4()
        body = {"participants": [str(ann), str(bob)], "body": "Hello", "client_id": "1"} | change

        answer = await client(ann).post("/messages", json=body)

        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "validation_failed"
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]

    @pytest.mark.parametrize(
        ("body", "code"), [("   ", "body_length"), ("a\0b", "body_length"), ("\ud800", "validation_failed")]
    )
    async def test_text_that_cannot_be_stored_is_refused(self, client: Client, body: str, code: str) -> None:
        ann, bob = uuid4(), uuid4()
        content = f'{{"participants":["{ann}","{bob}"],"client_id":"1","body":{json.dumps(body)}}}'

        answer = await client(ann).post("/messages", content=content, headers={"content-type": "application/json"})

        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == code

    async def test_without_a_token_nobody_sends(self, client: Client) -> None:
        answer = await client().post("/messages", json={})

        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"
        assert "www-authenticate" in answer.headers


class TestReading:
    async def test_every_reader_sees_the_same_order_without_gaps(self, client: Client) -> None:
        people = [uuid4() for _ in range(5)]
        apis = [client(each) for each in people]
        content = {"participants": [str(each) for each in people]}

        async def talk(api: httpx.AsyncClient) -> str:
            for n in range(20):
                answer = await api.post("/messages", json=content | {"body": str(n), "client_id": str(n)})
            return str(answer.json()["conversation_id"])

        conversation, *_ = await asyncio.gather(*(talk(api) for api in apis))

        async def all_stored() -> list[dict[str, Any]]:
            return await history(apis[0], conversation, order="oldest", limit=200)

        expected = await eventually(all_stored, until=lambda found: len(found) == 100)
        assert [message["seq"] for message in expected] == list(range(1, 101))
        for api in apis[1:]:
            assert await history(api, conversation, order="oldest", limit=200) == expected

    @pytest.mark.parametrize("order", ["newest", "oldest"])
    async def test_pages_go_on_and_back_while_writes_go_on(self, client: Client, order: str) -> None:
        ann, bob = uuid4(), uuid4()
        api = client(ann)
        for n in range(25):
            sent = await send(api, [ann, bob], str(n))
        url = f"/conversations/{sent['conversation_id']}/messages"

        pages = [(await api.get(url, params={"limit": 10, "order": order})).json()]
        await send(api, [ann, bob], "in between")
        while pages[-1]["page"]["has_more"]:
            query = {"limit": 10, "cursor": pages[-1]["page"]["next_cursor"]}
            pages.append((await api.get(url, params=query)).json())
        back = (await api.get(url, params={"limit": 10, "cursor": pages[1]["page"]["prev_cursor"]})).json()

        seqs = [message["seq"] for page in pages for message in page["data"]]
        assert seqs == (list(range(25, 0, -1)) if order == "newest" else list(range(1, 27)))
        assert sorted(message["seq"] for message in back["data"]) == sorted(
            message["seq"] for message in pages[0]["data"]
        )

    async def test_a_place_is_found_by_seq_and_by_time(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        for n in range(9):
            sent = await send(client(ann), [ann, bob], str(n))
            if n == 4:
                middle = datetime.now(UTC)
        conversation = sent["conversation_id"]

        async def seqs(**query: Any) -> list[int]:
            return [message["seq"] for message in await history(client(bob), conversation, **query)]

        assert await seqs(before_seq=4) == [3, 2, 1]
        assert await seqs(after_seq=6, order="oldest") == [7, 8, 9]
        assert await seqs(around_seq=5, limit=3) == [4, 5, 6]
        assert await seqs(at=middle.isoformat(), limit=3) == [4, 5, 6]

    async def test_only_one_place_can_be_asked_for(self, client: Client) -> None:
        ann = uuid4()
        sent = await send(client(ann), [ann, uuid4()])
        there = f"/conversations/{sent['conversation_id']}/messages"
        cursor = (await client(ann).get(there, params={"min_position": sent["position"]})).json()["page"]["prev_cursor"]
        two: list[dict[str, Any]] = [
            {"before_seq": 9, "after_seq": 0},
            {"around_seq": 1, "at": datetime.now(UTC).isoformat()},
            {"cursor": cursor, "after_seq": 0},
        ]

        answers = [await client(ann).get(there, params=query) for query in two]

        assert [(each.status_code, each.json()["code"]) for each in answers] == [(422, "validation_failed")] * 3

    async def test_a_cursor_made_up_or_of_another_conversation_is_refused(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        for _ in range(2):
            one = await send(client(ann), [ann, bob])
            other = await send(client(ann), [ann, eve])
        url = f"/conversations/{one['conversation_id']}/messages"
        cursor = (await client(ann).get(url, params={"limit": 1})).json()["page"]["next_cursor"]

        made_up = await client(ann).get(url, params={"cursor": "AAAA"})
        foreign = await client(ann).get(
            f"/conversations/{other['conversation_id']}/messages", params={"cursor": cursor}
        )

        assert [made_up.status_code, foreign.status_code] == [422, 422]
        assert [made_up.json()["code"], foreign.json()["code"]] == ["invalid_cursor", "invalid_cursor"]

    async def test_a_path_that_is_there_for_another_method_is_no_id(self, client: Client) -> None:
        answers = [
            await client(uuid4()).patch("/conversations/direct", json={"title": "x"}),
            await client(uuid4()).delete("/conversations/public"),
            await client(uuid4()).get("/conversations/nonsense"),
            await client(uuid4()).get(f"/conversations/{uuid4()}/nonsense"),
        ]

        assert [answer.status_code for answer in answers] == [405, 405, 404, 404]
        assert [answer.headers["allow"] for answer in answers[:2]] == ["PUT", "GET, HEAD"]
        assert [answer.json()["code"] for answer in answers[2:]] == ["not_found"] * 2


class TestChanging:
    async def test_an_edit_replaces_the_text_and_keeps_the_former_one(self, client: Client) -> None:
        ann, bob, moderator = uuid4(), uuid4(), uuid4()
        sent = await send(client(ann), [ann, bob], "helo")
        url = f"/messages/{sent['message_id']}"

        headers = WAIT | {"Idempotency-Key": "fix"}
        for _ in range(2):
            answer = await client(ann).patch(url, json={"body": "hello"}, headers=headers)

        assert (answer.status_code, answer.json()["status"]) == (200, "stored")
        message = (await client(bob).get(url)).json()
        assert (message["body"], message["version"], message["edited_at"] is None) == ("hello", 2, False)
        versions = await client(moderator, "moderator").get(f"{url}/versions")
        assert [version["body"] for version in versions.json()["data"]] == ["helo", "hello"]
        assert (await client(ann).get(f"{url}/versions")).status_code == 404

    async def test_a_deleted_message_shows_no_text_and_keeps_its_place(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        sent = await send(client(ann), [ann, bob], "oops")
        await send(client(ann), [ann, bob], "after")
        url = f"/messages/{sent['message_id']}"

        for _ in range(2):
            answer = await client(ann).delete(url, headers=WAIT)
            assert answer.status_code == 200

        after, gone = await history(client(bob), sent["conversation_id"])
        assert (gone["body"], gone["seq"], gone["deleted_at"] is None) == ("", 1, False)
        assert after["body"] == "after"
        assert (await client(ann).patch(url, json={"body": "again"})).status_code == 404

    async def test_only_the_sender_changes_a_message(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        url = f"/messages/{(await send(client(ann), [ann, bob]))['message_id']}"

        answers = [
            await client(bob).patch(url, json={"body": "x"}),
            await client(bob).delete(url),
            await client(eve).patch(url, json={"body": "x"}),
            await client(eve).delete(url),
        ]

        assert [answer.status_code for answer in answers] == [403, 403, 404, 404]

    async def test_who_prefers_to_wait_is_told_that_it_is_stored_and_who_does_not_that_it_is_accepted(
        self, client: Client
    ) -> None:
        ann, bob = uuid4(), uuid4()
        message = (await send(client(ann), [ann, bob]))["message_id"]
        people = {"participants": [str(ann), str(bob)], "body": "Hello"}
        commands: list[tuple[str, str, Any, int]] = [
            ("POST", "/messages", people, 201),
            ("PATCH", f"/messages/{message}", {"body": "x"}, 200),
            ("DELETE", f"/messages/{message}", None, 200),
            ("POST", "/notifications:mark", {"state": "read", "all_until": datetime.now(UTC).isoformat()}, 200),
        ]

        for verb, path, body, done in commands:
            accepted = await client(ann).request(verb, path, json=body)
            stored = await client(ann).request(verb, path, json=body, headers=WAIT)

            assert (accepted.status_code, accepted.json()["status"]) == (202, "accepted"), (verb, path)
            assert "preference-applied" not in accepted.headers
            assert (stored.status_code, stored.json()["status"]) == (done, "stored"), (verb, path)
            assert stored.headers["preference-applied"] == "wait"


class TestErasing:
    async def test_only_an_admin_erases_and_nobody_else_learns_what_is_there(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        sent = await send(client(ann), [ann, bob], "secret")
        there, nowhere = f"/messages/{sent['message_id']}:erase", f"/messages/{uuid4()}:erase"

        for asker in (client(ann), client(bob), client(eve), client(eve, "moderator"), client(ann, "moderator")):
            answers = [await asker.post(url, json={"reason": "x"}) for url in (there, nowhere)]
            assert [answer.status_code for answer in answers] == [403, 403]
            assert [answer.json()["code"] for answer in answers] == ["forbidden", "forbidden"]
            one, other = ({**answer.json(), "instance": "", "request_id": ""} for answer in answers)
            assert one == other
        assert (await client().post(there)).status_code == 401

        assert (await client(eve, "admin").post(nowhere)).json()["code"] == "message_not_found"
        overlong = await client(eve, "admin").post(there, json={"reason": "x" * 501})
        assert overlong.status_code == 422
        blank = await client(eve, "admin").post(there, json={"reason": " "})
        assert blank.json()["code"] == "reason_length"
        assert [each["body"] for each in await history(client(bob), sent["conversation_id"])] == ["secret"]

    async def test_an_erased_message_keeps_its_place_and_nobody_reads_its_text_again(
        self, client: Client, web_house: House
    ) -> None:
        ann, bob, admin, secret = uuid4(), uuid4(), uuid4(), f"secret{uuid4().hex}"
        sent = await send(client(ann), [ann, bob], f"first {secret}", client_id="again")
        await send(client(ann), [ann, bob], "after")
        url = f"/messages/{sent['message_id']}"
        await client(ann).patch(url, json={"body": f"second {secret}"}, headers=WAIT)
        assert await kept(web_house, secret) == {"message": 1, "message_edit": 1}

        for _ in range(2):
            answer = await client(admin, "admin").post(f"{url}:erase", json={"reason": "a court"}, headers=WAIT)
            assert (answer.status_code, answer.json()["status"]) == (200, "stored"), answer.text
        await send(client(ann), [ann, bob], f"first {secret}", client_id="again")

        after, gone = await history(client(bob), sent["conversation_id"])
        assert (gone["id"], gone["body"], gone["seq"]) == (sent["message_id"], "", 1)
        assert gone["erased_at"] is not None
        assert (after["body"], after["erased_at"]) == ("after", None)
        assert (await client(ann).get(url)).json() == gone
        (anchored,) = await history(client(bob), sent["conversation_id"], around_seq=1, limit=1)
        assert anchored == gone
        versions = await client(admin, "moderator").get(f"{url}/versions")
        assert versions.json() == {"data": [], "erased_at": gone["erased_at"]}
        assert await kept(web_house, secret) == {"message": 0, "message_edit": 0}

        refused = [await client(ann).patch(url, json={"body": "x"}), await client(ann).delete(url)]
        assert [answer.status_code for answer in refused] == [422, 422]
        assert [answer.json()["code"] for answer in refused] == ["message_erased"] * 2
        assert (await client(uuid4()).get(url)).status_code == 404


async def kept(house: House, word: str) -> dict[str, int]:
    """Return how many rows of each of messaging's tables of texts hold the word."""
    counts = {}
    async with house.databases["messaging"].driver() as connection:
        for table in ("message", "message_edit"):
            query = f"select count(*) from messaging.{table} t where t::text like '%' || $1 || '%'"
            counts[table] = await connection.fetchval(query, word)
    return counts


class TestNotifications:
    async def test_each_recipient_has_one_unread_entry(self, client: Client) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        api = client(bob)
        for n in range(3):
            sent = await send(client(ann), [ann, bob, eve], f"number {n}", client_id=str(n))
        await send(client(ann), [ann, bob, eve], "number 2", client_id="2")

        async def entries() -> list[dict[str, Any]]:
            return list((await api.get("/notifications")).json()["data"])

        newest, *older = await eventually(entries, until=lambda found: len(found) >= 3)

        assert len(older) == 2
        assert (newest["preview"], newest["message_id"]) == ("number 2", sent["message_id"])
        assert (await api.get("/notifications/counts")).json() == {"total": 3, "unread": 3}
        assert (await client(ann).get("/notifications/counts")).json() == {"total": 0, "unread": 0}

        marks = {"state": "read", "ids": [newest["id"]]}
        assert (await api.post("/notifications:mark", json=marks, headers=WAIT)).json()["status"] == "stored"
        assert (await api.get("/notifications/counts")).json() == {"total": 3, "unread": 2}
        assert len((await api.get("/notifications", params={"unread": True})).json()["data"]) == 2
        cursor = (await api.get("/notifications", params={"limit": 1})).json()["page"]["next_cursor"]
        assert (await api.get("/notifications", params={"cursor": cursor})).json()["data"] == older
        assert (await client(eve).get("/notifications", params={"cursor": cursor})).json()["code"] == "invalid_cursor"
        assert (await client(eve).post("/notifications:mark", json=marks)).status_code == 404

        marks = {"state": "read", "all_until": datetime.now(UTC).isoformat()}
        await api.post("/notifications:mark", json=marks, headers=WAIT)
        assert (await api.get("/notifications/counts")).json() == {"total": 3, "unread": 0}
        assert (await client(eve).get("/notifications/counts")).json() == {"total": 3, "unread": 3}

    async def test_a_deleted_message_is_withdrawn(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        sent = await send(client(ann), [ann, bob], "secret")

        async def counts() -> dict[str, int]:
            return dict((await client(bob).get("/notifications/counts")).json())

        await eventually(counts, until=lambda found: found["total"] == 1)
        await client(ann).delete(f"/messages/{sent['message_id']}", headers=WAIT)

        await eventually(counts, until=lambda found: found["total"] == 0)

    async def test_of_an_erased_message_no_preview_is_kept_or_raised_again(
        self, client: Client, web_house: House
    ) -> None:
        ann, bob, eve = uuid4(), uuid4(), uuid4()
        secret, fresh = uuid4().hex, uuid4().hex
        sent = await send(client(ann), [ann, bob], secret, client_id="again")

        async def previews(user: UUID) -> list[str]:
            return [each["preview"] for each in (await client(user).get("/notifications")).json()["data"]]

        await eventually(partial(previews, bob), until=lambda found: found == [secret])
        await client(uuid4(), "admin").post(f"/messages/{sent['message_id']}:erase", headers=WAIT)
        await eventually(partial(previews, bob), until=lambda found: found == [])

        # The same message again, to one more than then, and behind it one by which it is known to have been read.
        log = KafkaLog(web_house.commands, web_house.codec)
        late = MessageSent(
            message_id=UUID(sent["message_id"]),
            conversation_id=UUID(sent["conversation_id"]),
            sender_id=ann,
            recipient_ids=(bob, eve),
            client_id="again",
            body=secret,
            sent_at=datetime.now(UTC),
        )
        await log.publish(late)
        await log.publish(replace(late, message_id=uuid4(), client_id="fresh", body=fresh))

        await eventually(partial(previews, eve), until=bool)
        assert await previews(eve) == await previews(bob) == [fresh]
        async with web_house.databases["notifications"].driver() as connection:
            query = "select count(*) from notifications.entry where preview = $1"
            assert await connection.fetchval(query, secret) == 0
