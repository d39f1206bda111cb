"""GraphQL on the real servers: what REST says, in one request; what is too large, and what is not one's own, is refused."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import strawberry
from graphql import get_introspection_query
from sqlalchemy import event

from bounded_contexts.gateway.adapters.graphql import Graph
from bounded_contexts.messaging.domain.identity import direct_id
from headwater import wiring
from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.graph import Part
from infra.health import Health
from infra.opaque import OpaqueTokens
from tests.conftest import SECRET
from tests.integration.conftest import WAIT, Client, client_of, send
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")

GRAPHQL = "http://test/graphql"
PASSWORD = "correct horse battery"
PEOPLE = "edges { node { id name email } }"
SEND = "mutation ($input: SendToPeopleInput!) { sendMessageToPeople(input: $input) { messageId position status } }"


async def ask(api: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    """Return the whole answer."""
    answer = await api.post(GRAPHQL, json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def data(api: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    """Return the data of an answer without errors."""
    answer = await ask(api, query, **variables)
    assert "errors" not in answer, answer
    return dict(answer["data"])


def codes(answer: dict[str, Any]) -> list[tuple[str, int]]:
    return [(each["extensions"]["code"], each["extensions"]["status"]) for each in answer["errors"]]


def nodes(connection: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in connection["edges"]]


async def account(client: Client, name: str = "Ada") -> tuple[str, httpx.AsyncClient]:
    """Open an account; return its id and a client that is signed in."""
    email = f"ada.{uuid4().hex}@example.org"
    body = {"email": email, "name": name, "password": PASSWORD}
    made = await client().post("/auth/register", json=body)
    assert made.status_code == 201, made.text
    api = client()
    tokens = (await api.post("/auth/login", json={"email": email, "password": PASSWORD})).json()
    api.headers["authorization"] = f"Bearer {tokens['access_token']}"
    return made.json()["id"], api


ours: ContextVar[bool] = ContextVar("ours", default=False)


@contextmanager
def statements(house: House) -> Iterator[list[str]]:
    """Yield the SQL statements that come of what the block does; groups and relay, which run beside it, have their own."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if ours.get():
            seen.append(statement)

    engines = [database._engine.sync_engine for database in house.databases.values()]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    token = ours.set(True)
    yield seen
    ours.reset(token)
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


class TestReads:
    async def test_users_are_what_rest_says(self, client: Client) -> None:
        id_, ada = await account(client)
        fields = "id name email emailVerified roles registeredAt blockedAt"
        found = await data(
            ada, f"query ($id: UUID!) {{ me {{ {fields} version }} user(id: $id) {{ {fields} }} }}", id=id_
        )
        of_ann = await data(client(uuid4()), f"query ($id: UUID!) {{ user(id: $id) {{ {fields} }} }}", id=id_)
        rest = (await ada.get("/me")).json()

        expected = {
            "id": id_,
            "name": "Ada",
            "email": rest["email"],
            "emailVerified": False,
            "roles": [],
            "registeredAt": rest["registered_at"],
            "blockedAt": None,
        }
        assert found == {"me": expected | {"version": 1}, "user": expected}
        assert of_ann["user"] == {**dict.fromkeys(expected), "id": id_, "name": "Ada"}

    async def test_only_who_lists_users_learns_former_names(self, client: Client) -> None:
        id_, ada = await account(client)
        then = datetime.now(UTC).isoformat()
        await ada.patch("/me", json={"name": "Ada L."})
        query = "query ($id: UUID!, $then: DateTime) { user(id: $id, asOf: $then) { name } }"
        refused = await ask(client(uuid4()), query, id=id_, then=then)

        assert (refused["data"], codes(refused)) == ({"user": None}, [("forbidden", 403)])
        assert await data(client(uuid4()), query, id=id_) == {"user": {"name": "Ada L."}}
        for may in (ada, client(uuid4(), "auditor")):
            assert await data(may, query, id=id_, then=then) == {"user": {"name": "Ada"}}

    async def test_a_conversation_with_its_people_and_messages_is_one_request(self, client: Client) -> None:
        (ada, api), (bob, _) = await account(client), await account(client, "Bob")
        stranger = uuid4()
        people = sorted([ada, bob, str(stranger)])
        sent = [await send(api, [UUID(each) for each in people], body) for body in ("one", "two", "three")]

        async def listed() -> bool:
            found = await ask(client(uuid4(), "admin"), "{ users(first: 200) { edges { node { id } } } }")
            return {ada, bob} <= {each["id"] for each in nodes(found["data"]["users"])}

        await eventually(listed)
        found = await data(
            api,
            f"""query ($id: UUID!) {{ conversation(id: $id) {{
                    id kind title memberIds public metadata archivedAt startedAt lastMessageAt
                    members {{ {PEOPLE} }}
                    messages(first: 2) {{
                        edges {{ cursor node {{ id seq body version createdAt sender {{ name }} }} }}
                        pageInfo {{ hasNextPage hasPreviousPage endCursor }}
                    }} }} }}""",
            id=sent[0]["conversation_id"],
        )

        rest = (await api.get(f"/conversations/{sent[0]['conversation_id']}")).json()
        history = (await api.get(f"/conversations/{sent[0]['conversation_id']}/messages?limit=2")).json()
        conversation = found["conversation"]
        assert {name: conversation[name] for name in ("id", "kind", "title", "public", "metadata")} == {
            name: rest[name] for name in ("id", "kind", "title", "public", "metadata")
        }
        assert (conversation["startedAt"], conversation["lastMessageAt"]) == (
            rest["started_at"],
            rest["last_message_at"],
        )
        assert conversation["memberIds"] == rest["member_ids"] == people
        names = {each["id"]: (each["name"], each["email"] is not None) for each in nodes(conversation["members"])}
        assert names == {ada: ("Ada", True), bob: ("Bob", False), str(stranger): (None, False)}
        assert [each["body"] for each in nodes(conversation["messages"])] == ["three", "two"]
        assert [each["createdAt"] for each in nodes(conversation["messages"])] == [
            each["created_at"] for each in history["data"]
        ]
        assert {each["sender"]["name"] for each in nodes(conversation["messages"])} == {"Ada"}
        page = conversation["messages"]["pageInfo"]
        assert (page["hasNextPage"], page["hasPreviousPage"]) == (True, False)
        assert page["endCursor"] == history["page"]["next_cursor"]

    async def test_pages_follow_each_other_and_end(self, client: Client) -> None:
        ann = uuid4()
        api = client(ann)
        for _ in range(5):
            await send(api, [ann, uuid4()])
        query = """query ($after: String) { conversations(first: 2, after: $after) {
                       edges { node { id } } pageInfo { hasNextPage endCursor } } }"""
        seen: list[str] = []
        after = None
        for expected in (True, True, False):
            page = (await data(api, query, after=after))["conversations"]
            seen += [each["id"] for each in nodes(page)]
            after = page["pageInfo"]["endCursor"]
            assert page["pageInfo"]["hasNextPage"] is expected

        rest = (await api.get("/conversations")).json()
        assert seen == [each["id"] for each in rest["data"]]
        assert codes(await ask(client(uuid4()), query, after=after)) == [("invalid_cursor", 422)]

    async def test_members_come_in_pages(self, client: Client) -> None:
        ann, others = uuid4(), [uuid4() for _ in range(6)]
        sent = await send(client(ann), [ann, *others])
        query = """query ($id: UUID!, $after: String) { conversation(id: $id) { members(first: 3, after: $after) {
                       edges { node { id } } pageInfo { hasNextPage endCursor } } } }"""
        seen: list[str] = []
        after, more = None, True
        while more:
            page = (await data(client(ann), query, id=sent["conversation_id"], after=after))["conversation"]["members"]
            seen += [each["id"] for each in nodes(page)]
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

        assert seen == sorted(str(each) for each in (ann, *others))

    async def test_fifty_conversations_with_messages_and_people_are_a_handful_of_statements(
        self, client: Client, web_house: House
    ) -> None:
        ann = uuid4()
        api = client(ann)
        others = [uuid4() for _ in range(50)]
        bodies = [
            {"participants": [str(ann), str(other)], "body": str(number), "client_id": "x"}
            for number, other in enumerate(others)
        ]
        for start in range(0, 50, 10):
            sent = await asyncio.gather(
                *(api.post("/messages", json=body, headers=WAIT) for body in bodies[start : start + 10])
            )
            assert {each.status_code for each in sent} == {201}
        query = f"""{{ conversations(first: 50) {{ edges {{ node {{
                         members(first: 2) {{ {PEOPLE} }}
                         messages(first: 3) {{ edges {{ node {{ body sender {{ name }} }} }} }} }} }} }} }}"""

        with statements(web_house) as seen:
            found = nodes((await data(api, query))["conversations"])

        assert len(found) == 50
        assert {each["body"] for of in found for each in nodes(of["messages"])} == {str(n) for n in range(50)}
        assert {each["id"] for of in found for each in nodes(of["members"])} == {str(id_) for id_ in (ann, *others)}
        assert len(seen) <= 4, "\n\n".join(seen)  # the list, the people, the messages, and their senders

    async def test_a_read_sees_what_was_written_at_its_position(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        new = {"participants": [str(ann), str(bob)], "clientId": "x", "body": "Hello"}
        sent = (await data(client(ann), SEND, input=new))["sendMessageToPeople"]

        found = await data(
            client(bob),
            "query ($id: UUID!, $at: String) { message(id: $id, minPosition: $at) { body } }",
            id=sent["messageId"],
            at=sent["position"],
        )

        assert found["message"]["body"] == "Hello"

    async def test_notifications_are_listed_counted_and_marked(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        sent = await send(client(ann), [ann, bob])
        query = """query ($at: String) {
            notifications(unread: true, minPosition: $at) { edges { node { id messageId actorId actor { id } readAt } } }
            notificationCounts(minPosition: $at) { total unread } }"""
        before = await data(client(bob), query, at=sent["position"])
        (entry,) = nodes(before["notifications"])
        mark = "mutation ($ids: [UUID!]!) { markNotifications(input: {ids: $ids, waitSeconds: 10}) { status } }"
        marked = await data(client(bob), mark, ids=[entry["id"]])
        others = await ask(client(ann), mark, ids=[entry["id"]])
        after = await data(client(bob), query, at=sent["position"])

        assert (entry["messageId"], entry["actorId"], entry["actor"]["id"]) == (sent["message_id"], str(ann), str(ann))
        assert before["notificationCounts"] == {"total": 1, "unread": 1}
        assert marked["markNotifications"] == {"status": "STORED"}
        assert codes(others) == [("notification_not_found", 404)]
        assert after == {"notifications": {"edges": []}, "notificationCounts": {"total": 1, "unread": 0}}


class TestChanges:
    async def test_a_message_is_sent_once_for_each_client_id(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        new = {"participants": [str(ann), str(bob)], "clientId": "1", "body": "once", "waitSeconds": 10}
        first, again = [(await data(client(ann), SEND, input=new))["sendMessageToPeople"] for _ in range(2)]
        conversation = str(direct_id([ann, bob]))
        second = await data(
            client(bob),
            "mutation ($input: SendInput!) { sendMessage(input: $input) { conversationId status } }",
            input={"conversationId": conversation, "clientId": "2", "body": "twice", "waitSeconds": 10},
        )
        edited = await data(
            client(ann),
            """mutation ($id: UUID!) {
                editMessage(input: {messageId: $id, body: "changed", waitSeconds: 10}) { status }
                deleteMessage(messageId: $id, waitSeconds: 10) { status } }""",
            id=first["messageId"],
        )

        history = (await client(ann).get(f"/conversations/{conversation}/messages")).json()["data"]
        assert first["messageId"] == again["messageId"]
        assert (first["status"], second["sendMessage"]["status"]) == ("STORED", "STORED")
        assert edited == {"editMessage": {"status": "STORED"}, "deleteMessage": {"status": "STORED"}}
        assert [(each["body"], each["version"]) for each in history] == [("twice", 1), ("", 2)]

    async def test_a_group_is_started_renamed_joined_left_and_ended(self, client: Client) -> None:
        ann, bob = uuid4(), uuid4()
        start = """mutation ($bob: UUID!) { startGroup(input:
            {title: "Crew", memberIds: [$bob], metadata: {colour: "red"}, clientId: "1", waitSeconds: 10})
            { id title memberIds metadata } }"""
        first, again = [(await data(client(ann), start, bob=str(bob)))["startGroup"] for _ in range(2)]
        eve = str(uuid4())
        changed = await data(
            client(bob),
            """mutation ($id: UUID!, $eve: UUID!) {
                renameGroup(conversationId: $id, title: "Harbour") { title }
                addMember(conversationId: $id, memberId: $eve) { memberIds }
                removeMember(conversationId: $id, memberId: $eve) }""",
            id=first["id"],
            eve=eve,
        )
        direct = await data(
            client(ann), "mutation ($ids: [UUID!]!) { startDirect(participantIds: $ids) { kind } }", ids=[str(bob)]
        )
        ended = await data(client(ann), f'mutation {{ archiveGroup(conversationId: "{first["id"]}") }}')
        late = await ask(
            client(ann), f'mutation {{ renameGroup(conversationId: "{first["id"]}", title: "x") {{ id }} }}'
        )

        assert first == again
        assert first["memberIds"] == sorted([str(ann), str(bob)])
        assert first["metadata"] == {"colour": "red"}
        assert changed["renameGroup"] == {"title": "Harbour"}
        assert changed["addMember"] == {"memberIds": sorted([str(ann), str(bob), eve])}
        assert changed["removeMember"] is True
        assert direct["startDirect"] == {"kind": "direct"}
        assert ended == {"archiveGroup": True}
        assert codes(late) == [("conversation_archived", 422)]

    async def test_a_profile_is_changed_at_the_version_that_was_seen(self, client: Client) -> None:
        _, ada = await account(client)
        change = "mutation ($input: ProfileInput!) { updateMe(input: $input) { name version } }"
        changed = await data(ada, change, input={"name": "Countess", "expectedVersion": 1})
        stale = await ask(ada, change, input={"name": "Augusta", "expectedVersion": 1})
        stolen = await ask(ada, change, input={"email": f"eve.{uuid4().hex}@example.org"})

        assert changed["updateMe"] == {"name": "Countess", "version": 2}
        assert stale["data"] == {"updateMe": None}
        assert codes(stale) == [("precondition_failed", 412)]
        assert codes(stolen) == [("wrong_password", 403)]

    async def test_accounts_are_opened_by_who_may(self, client: Client) -> None:
        create = "mutation ($input: NewUserInput!) { createUser(input: $input) { id name email } }"
        new = {"name": "Bob", "email": f"bob.{uuid4().hex}@example.org"}
        made = (await data(client(uuid4(), "admin"), create, input=new))["createUser"]
        again = await ask(client(uuid4(), "admin"), create, input=new)
        refused = await ask(client(uuid4()), create, input=new)

        assert made["email"] == new["email"]
        assert (await client(uuid4()).get(f"/users/{made['id']}")).json()["name"] == "Bob"
        assert (codes(again), codes(refused)) == ([("email_taken", 409)], [("forbidden", 403)])


class TestErrors:
    async def test_what_is_not_there_is_null_with_its_code_and_the_rest_is_answered(self, client: Client) -> None:
        ann = uuid4()
        sent = await send(client(ann), [ann, uuid4()])
        query = """query ($nobody: UUID!, $own: UUID!) {
            user(id: $nobody) { id } conversation(id: $nobody) { id } message(id: $nobody) { id }
            foreign: conversation(id: $own) { id } notificationCounts { total } }"""
        answer = await client(uuid4()).post(
            GRAPHQL,
            json={"query": query, "variables": {"nobody": str(uuid4()), "own": sent["conversation_id"]}},
            headers={"x-request-id": "r-1"},
        )

        body = answer.json()
        assert answer.status_code == 200
        assert body["data"] == {
            **dict.fromkeys(("user", "conversation", "message", "foreign")),
            "notificationCounts": {"total": 0},
        }
        found = {each["path"][0]: each["extensions"] for each in body["errors"]}
        assert found["user"] == {"code": "user_not_found", "status": 404, "request_id": "r-1"}
        assert found["conversation"]["code"] == found["foreign"]["code"] == "conversation_not_found"
        assert found["message"]["code"] == "message_not_found"

    async def test_fields_that_are_wrong_are_named(self, client: Client) -> None:
        ann = uuid4()
        new = {"participants": [str(ann), str(uuid4())], "clientId": "x", "body": ""}
        answer = await ask(client(ann), SEND, input=new)

        assert codes(answer) == [("validation_failed", 422)]
        assert answer["errors"][0]["extensions"]["errors"][0]["pointer"] == "/body"

    async def test_a_bug_is_logged_and_not_told(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(*_: object) -> None:
            raise ZeroDivisionError("the secret of the house")

        monkeypatch.setattr("bounded_contexts.notifications.adapters.inbox_postgres.PostgresInbox.counts", broken)
        answer = await client(uuid4()).post(GRAPHQL, json={"query": "{ notificationCounts { total } }"})

        assert answer.json()["data"] == {"notificationCounts": None}
        assert codes(answer.json()) == [("internal", 500)]
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text

    async def test_what_takes_too_long_ends(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        async def endless(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr("bounded_contexts.notifications.adapters.inbox_postgres.PostgresInbox.counts", endless)
        monkeypatch.setattr("bounded_contexts.gateway.adapters.graphql.EXECUTE_S", 0.1)
        answer = await ask(client(uuid4()), "{ notificationCounts { total } }")

        assert codes(answer) == [("query_timeout", 503)]
        assert "data" not in answer

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("{ me { name", "bad_request"),
            ("{ nothing }", "validation_failed"),
            ("query A { me { id } } query B { me { id } }", "validation_failed"),
            ("fragment F on Query { me { id } }", "validation_failed"),
            ("{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }", "validation_failed"),
            ('{ user(id: "me") { id } }', "validation_failed"),
            (
                '{ user(id: "00000000-0000-0000-0000-000000000001", asOf: "2026-01-01T00:00:00") { id } }',
                "validation_failed",
            ),
            ("{ conversations(first: 99999999999999999999999) { edges { cursor } } }", "validation_failed"),
            ("{ conversations(first: 0) { edges { cursor } } }", "validation_failed"),
            ("{ conversations(first: 201) { edges { cursor } } }", "validation_failed"),
            ('{ conversations(after: "x") { edges { cursor } } }', "invalid_cursor"),
            ('{ conversations(minPosition: "x") { edges { cursor } } }', "invalid_position"),
            (
                '{ user(id: "00000000-0000-0000-0000-000000000001", asOf: "2999-01-01T00:00:00Z") { id } }',
                "as_of_in_future",
            ),
            ("{ users { edges { cursor } } }", "forbidden"),
            ("subscription { messageEvents { kind } }", "wrong_transport"),
        ],
    )
    async def test_what_cannot_be_asked_is_refused(self, client: Client, query: str, code: str) -> None:
        answer = await ask(client(uuid4()), query)

        assert {each for each, _ in codes(answer)} == {code}
        assert not any((answer.get("data") or {}).values())

    @pytest.mark.parametrize("first", [10**30, -(10**30), 1.5, "7", True, None, [], {}])
    async def test_a_number_that_is_none_is_refused(self, client: Client, first: Any) -> None:
        query = "query ($first: Int!) { conversations(first: $first) { edges { cursor } } }"

        assert {each for each, _ in codes(await ask(client(uuid4()), query, first=first))} == {"validation_failed"}


def nested(depth: int) -> str:
    """Return people of conversations of nobody, so many levels deep; the types do not matter: it is measured before."""
    return "{ " + "conversations { edges { node " * depth + "{ id }" + " } }" * depth + " }"


def pyramid(of: str, top: str, last: str) -> str:
    """Return fragments that each use the next nine times: nobody could count their fields one by one."""
    steps = [f"fragment F{n} on {of} {{ {f'...F{n + 1} ' * 9}}}" for n in range(18)]
    return " ".join((top, *steps, f"fragment F18 on {of} {{ {last} }}"))


def described(times: int, top: str = "__schema", of: str = "") -> str:
    """Return a question about the schema whose lists and aliases multiply, without more than three lists in each other."""
    types = " ".join(f"{of.format(n)}type {{ ...F }}" for n in range(times))
    names = " ".join(f"{of.format(n)}type {{ ...G }}" for n in range(times))
    return f"""{{ {top} {{ types {{ fields {{ {types} }} }} }} }} fragment F on __Type {{ fields {{ {names} }} }}
               fragment G on __Type {{ kind name description ofType {{ kind name ofType {{ kind name }} }} }}"""


class TestAttacks:
    @pytest.mark.parametrize(
        ("query", "code"),
        [
            (nested(6), "query_too_large"),
            ("{" * 1900, "bad_request"),
            ("{ me " * 900 + "}" * 900, "bad_request"),
            ("{ user(id: " + "[" * 900 + "]" * 900 + ") { id } }", "bad_request"),
            ("{ " + " ".join("me { id }" for _ in range(21)) + " }", "query_too_large"),
            ("{ " + " ".join(f"a{n}: me {{ id }}" for n in range(51)) + " }", "query_too_large"),
            ("{ me { " + "id " * 200 + "} }", "query_too_large"),
            ("{ me { id " + "@skip(if: true) " * 400 + "} }", "bad_request"),
            ("{ " + "# x\n" * 4_900 + " }", "bad_request"),
            (pyramid("Query", "{ ...F0 }", "me { id }"), "query_too_large"),
            (pyramid("User", "{ me { ...F0 } }", "id"), "query_too_large"),
            (pyramid("User", "{ me { ...F0 } }", "...F0"), "validation_failed"),
            ("{ me { id } } " + " ".join(f"fragment F{n} on User {{ id }}" for n in range(21)), "query_too_large"),
            (
                "{ conversations(first: 200) { edges { node { members(first: 200) { edges { node { id } } } } } } }",
                "query_too_large",
            ),
            (described(20, of="a{}: "), "query_too_large"),
            (described(1, of="a{}: "), "query_too_large"),
            (described(1, top="a: __schema"), "query_too_large"),
            (described(20), "query_too_large"),
            ("{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }", "validation_failed"),
        ],
    )
    async def test_what_is_too_much_is_refused_before_it_is_done(
        self, client: Client, web_house: House, query: str, code: str
    ) -> None:
        api = client(uuid4())
        with statements(web_house) as seen:
            answer = await api.post(GRAPHQL, json={"query": query})

        assert {each for each, _ in codes(answer.json())} == {code}
        assert "data" not in answer.json()
        assert seen == []

    async def test_a_number_in_a_variable_counts_as_one_in_the_text(self, client: Client) -> None:
        query = """query ($n: Int!) { conversations(first: $n) { edges { node {
                       members(first: $n) { edges { node { id } } } } } } }"""

        assert codes(await ask(client(uuid4()), query, n=200)) == [("query_too_large", 422)]
        assert "errors" not in await ask(client(uuid4()), query, n=20)

    async def test_what_is_large_counts_as_many_requests(self, web_house: House, tokens: SharedKeyTokens) -> None:
        slow = wiring.build(web_house.settings.model_copy(update={"rate_limit_per_minute": 60}))
        api = client_of(application(slow, {"web"}, Health(("web",), {})), tokens, uuid4())
        aliases = " ".join(f"a{n}: notificationCounts {{ total }}" for n in range(9))

        first = await api.post(GRAPHQL, json={"query": f"{{ {aliases} }}"})
        second = await api.post(GRAPHQL, json={"query": f"{{ {aliases} }}"})
        api = client_of(application(slow, {"web"}, Health(("web",), {})), tokens, uuid4())
        never = await api.post(GRAPHQL, json={"query": f"{{ {aliases} b: me {{ id }} c: me {{ id }} }}"})
        after = await api.post(GRAPHQL, json={"query": f"{{ {aliases} }}"})
        await slow.close()

        assert first.json()["data"].keys() == {f"a{n}" for n in range(9)}
        assert (second.status_code, second.json()["code"]) == (429, "rate_limited")
        assert "retry-after" in second.headers
        assert codes(never.json()) == [("query_too_large", 422)]
        assert "data" in after.json(), "what can never run uses up one request only"

    @pytest.mark.parametrize("all_of_it", [False, True])
    async def test_the_schema_can_be_asked_for(self, client: Client, all_of_it: bool) -> None:
        query = get_introspection_query(
            specified_by_url=all_of_it,
            directive_is_repeatable=all_of_it,
            schema_description=all_of_it,
            input_value_deprecation=all_of_it,
            one_of=all_of_it,
        )
        found = await data(client(uuid4()), query)

        assert "Conversation" in {each["name"] for each in found["__schema"]["types"]}

    @pytest.mark.parametrize(
        ("content", "content_type", "status", "code"),
        [
            ('[{"query": "{ me { id } }"}]', "application/json", 422, "validation_failed"),
            ('{"query": "{ me { id } }"}', "text/plain", 415, "unsupported_media_type"),
            ("query=%7Bme%7Bid%7D%7D", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
            ('{"query": 7}', "application/json", 422, "validation_failed"),
            ("{}", "application/json", 422, "validation_failed"),
            (
                '{"query": "{ me { id } }", "variables": {"a": ["\\ud800"]}}',
                "application/json",
                422,
                "validation_failed",
            ),
            ('{"query": "%s"}' % ("x" * 20_001), "application/json", 422, "validation_failed"),
            ('{"query": "%s"}' % ("x" * (1 << 20)), "application/json", 413, "payload_too_large"),
            ('{"query": "{ me { id } }", "variables": %s}' % ("[" * 60_000), "application/json", 400, "bad_request"),
        ],
    )
    async def test_what_is_no_single_json_request_is_refused(
        self, client: Client, content: str, content_type: str, status: int, code: str
    ) -> None:
        answer = await client(uuid4()).post(GRAPHQL, content=content, headers={"content-type": content_type})

        assert (answer.status_code, answer.json()["code"]) == (status, code)

    async def test_nothing_is_asked_by_get_or_by_nobody(self, client: Client) -> None:
        get = await client(uuid4()).get(GRAPHQL, params={"query": "{ me { id } }"})
        nobody = await client().post(GRAPHQL, json={"query": "{ __typename }"})

        assert (get.status_code, get.headers["allow"]) == (405, "POST")
        assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated")

    async def test_clients_that_know_the_media_type_get_400_for_what_is_not_run(self, client: Client) -> None:
        media_type = "application/graphql-response+json"
        api = client(uuid4())
        api.headers["accept"] = f"{media_type}, application/json;q=0.9"
        wrong = await api.post(GRAPHQL, json={"query": "{ nothing }"})
        partial = await api.post(GRAPHQL, json={"query": "{ me { id } }"})

        assert (wrong.status_code, wrong.headers["content-type"]) == (400, media_type)
        assert (partial.status_code, partial.json()["data"]) == (200, {"me": None})


class TestAccess:
    async def key(self, api: httpx.AsyncClient, client: Client, *scopes: str) -> httpx.AsyncClient:
        made = await api.post("/me/api-keys", json={"name": "program", "scopes": list(scopes)})
        assert made.status_code == 201, made.text
        program = client()
        program.headers["x-api-key"] = made.json()["key"]
        return program

    async def test_a_key_does_what_its_scopes_say_and_no_more(self, client: Client) -> None:
        ada, api = await account(client)
        sent = await send(api, [UUID(ada), uuid4()])
        program = await self.key(api, client, "messages:read")
        own = f'id: "{sent["message_id"]}"'

        assert (await data(program, f"{{ message({own}) {{ body }} }}"))["message"]["body"] == "Hello"
        to_people = f'{{participants: ["{ada}", "{uuid4()}"], clientId: "x", body: "x"}}'
        for refused in (
            "{ me { id } }",
            f'{{ user(id: "{ada}") {{ id }} }}',
            "{ users { edges { cursor } } }",
            f"{{ message({own}) {{ sender {{ name }} }} }}",
            "{ conversations { edges { cursor } } }",
            "{ publicConversations { edges { cursor } } }",
            f'{{ conversation(id: "{sent["conversation_id"]}") {{ messages {{ edges {{ cursor }} }} }} }}',
            "{ notifications { edges { cursor } } }",
            "{ notificationCounts { total } }",
            f"mutation {{ sendMessageToPeople(input: {to_people}) {{ messageId }} }}",
            f'mutation {{ editMessage(input: {{messageId: "{sent["message_id"]}", body: "x"}}) {{ messageId }} }}',
            f'mutation {{ deleteMessage(messageId: "{sent["message_id"]}") {{ messageId }} }}',
            'mutation { startGroup(input: {title: "x"}) { id } }',
            'mutation { updateMe(input: {name: "x"}) { id } }',
        ):
            assert codes(await ask(program, refused)) == [("scope_missing", 403)], refused
        assert (await api.get("/me")).json()["name"] == "Ada"

    async def test_the_scope_of_a_field_is_that_of_its_route(self, client: Client) -> None:
        ada, api = await account(client)
        sent = await send(api, [UUID(ada), uuid4()])
        new = f'{{conversationId: "{sent["conversation_id"]}", clientId: "x", body: "x"}}'
        by_id = f"mutation {{ sendMessage(input: {new}) {{ messageId }} }}"
        messages = await self.key(api, client, "messages:write")
        conversations = await self.key(api, client, "conversations:write", "conversations:read")

        assert codes(await ask(messages, by_id)) == [("scope_missing", 403)]
        assert await data(conversations, by_id)
        found = await ask(conversations, "{ conversations { edges { node { id members { edges { cursor } } } } } }")
        (conversation,) = nodes(found["data"]["conversations"])
        assert conversation == {"id": sent["conversation_id"], "members": None}
        assert codes(found) == [("scope_missing", 403)]

    async def test_messages_of_a_public_group_are_for_its_members(self, client: Client) -> None:
        ann, eve = uuid4(), uuid4()
        title = f"public {uuid4().hex}"
        start = """mutation ($title: String!) {
            startGroup(input: {title: $title, public: true, waitSeconds: 10}) { id } }"""
        id_ = (await data(client(ann), start, title=title))["startGroup"]["id"]
        said = await client(ann).post(f"/conversations/{id_}/messages", json={"body": "inside"}, headers=WAIT)
        assert said.status_code == 201
        query = """{ publicConversations(first: 20) { edges { node { id title
                       messages { edges { node { body } } } } } } }"""

        async def of(user: UUID) -> dict[str, Any]:
            found = await ask(client(user), query)
            return next(each for each in nodes(found["data"]["publicConversations"]) if each["id"] == id_)

        assert [each["body"] for each in nodes((await of(ann))["messages"])] == ["inside"]
        assert (await of(eve))["messages"] is None

    def test_a_field_without_a_scope_is_refused_at_the_start(self) -> None:
        @strawberry.type
        class Query:
            @strawberry.field
            def open_to_all(self) -> int:
                return 1

        parts = [Part(query=Query, mutation=Query, subscription=Query)]
        with pytest.raises(RuntimeError, match="openToAll of Query declares no scope"):
            Graph(parts, OpaqueTokens(SECRET))
