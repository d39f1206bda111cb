"""Programs with accounts of their own: their secrets, the token endpoint, and what ends their tokens, on the real servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
import sqlalchemy as sa
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from headwater import wiring
from headwater.web import application
from headwater.wiring import House
from infra.health import Health
from tests.integration.conftest import Anybody, Client
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")

TOKEN = "http://test/oauth2/token"
GRANT = {"grant_type": "client_credentials"}
SCOPES = ["me:read", "messages:read", "messages:write"]


@pytest.fixture
async def robot(admin: httpx.AsyncClient) -> dict[str, Any]:
    """A service account as it was made, its secret included."""
    made = await admin.post("/service-accounts", json={"name": "Robot", "scopes": SCOPES})
    assert made.status_code == 201, made.text
    return dict(made.json())


async def asked(api: httpx.AsyncClient, of: dict[str, Any], **form: str) -> httpx.Response:
    return await api.post(TOKEN, data=GRANT | form, auth=(of["id"], of["client_secret"]))


async def program(anybody: Anybody, of: dict[str, Any], **form: str) -> httpx.AsyncClient:
    """Return a client that has got a token."""
    api = anybody()
    answer = await asked(api, of, **form)
    assert answer.status_code == 200, answer.text
    api.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
    return api


def status_of(api: httpx.AsyncClient) -> Callable[[], Awaitable[int]]:
    async def ask() -> int:
        return (await api.get("/me/permissions")).status_code

    return ask


async def is_refused_soon(api: httpx.AsyncClient) -> bool:
    return await eventually(status_of(api), until=lambda status: status == 401) == 401


class TestTheToken:
    async def test_it_says_for_whom_it_speaks_and_within_which_scopes(
        self, robot: dict[str, Any], anybody: Anybody
    ) -> None:
        answer = await asked(anybody(), robot)
        claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})

        assert {"token_type": "Bearer", "expires_in": 600, "scope": " ".join(SCOPES)}.items() <= answer.json().items()
        assert answer.headers["cache-control"] == "no-store"
        assert claims["sub"] == claims["client_id"] == robot["id"]
        assert claims["sid"] == robot["secrets"][0]["id"]
        assert claims["scope"] == " ".join(SCOPES)
        assert claims["roles"] == ["service"]
        assert claims["exp"] - claims["iat"] == 600

    async def test_it_does_what_its_scopes_say_and_no_more(self, robot: dict[str, Any], anybody: Anybody) -> None:
        whole, reader = await program(anybody, robot), await program(anybody, robot, scope="messages:read")
        body = {"participants": [robot["id"], str(uuid4())], "body": "Hello", "client_id": "x"}

        assert (await whole.post("/messages", json=body)).status_code == 202
        assert (await reader.get(f"/messages/{uuid4()}")).status_code == 404
        for refused in (
            await reader.post("/messages", json=body),
            await reader.get("/me"),
            await whole.get("/conversations"),
            await whole.get("/service-accounts"),
            await whole.get("/me/api-keys"),
            await whole.post("/auth/logout-all"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")

    async def test_over_graphql_it_does_the_same(self, robot: dict[str, Any], anybody: Anybody) -> None:
        api = await program(anybody, robot, scope="messages:read")

        async def refused(query: str) -> Any:
            answer = await api.post("http://test/graphql", json={"query": query})
            return answer.json()["errors"][0]["extensions"]["code"]

        assert await refused(f'{{ message(id: "{uuid4()}") {{ body }} }}') == "message_not_found"
        assert await refused("{ conversations { edges { cursor } } }") == "scope_missing"

    async def test_it_is_no_administrators(self, admin: httpx.AsyncClient, anybody: Anybody) -> None:
        body = {"name": "Robot", "scopes": ["users:read", "users:write", "audit:read", "admin:read"]}
        api = await program(anybody, (await admin.post("/service-accounts", json=body)).json())

        for path in ("/users", "/audit/events?topic=users", "/admin/groups"):
            assert (await api.get(path)).json()["code"] == "forbidden"
        assert (await api.get("/users/" + str(uuid4()))).status_code == 404

    async def test_secrets_come_by_basic_or_in_the_form(self, robot: dict[str, Any], anybody: Anybody) -> None:
        form = GRANT | {"client_id": robot["id"], "client_secret": robot["client_secret"]}
        named = await asked(anybody(), robot, client_id=robot["id"])

        assert (await anybody().post(TOKEN, data=form)).status_code == named.status_code == 200

    @pytest.mark.parametrize(
        ("change", "status", "error"),
        [
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
            ({"grant_type": ""}, 400, "invalid_request"),
            ({"scope": "messages:read users:read"}, 400, "invalid_scope"),
            ({"scope": "everything"}, 400, "invalid_scope"),
            ({"scope": ["messages:read", "me:read"]}, 400, "invalid_request"),
            ({"client_secret": ""}, 401, "invalid_client"),
            ({"client_secret": "hws_" + "0" * 64}, 401, "invalid_client"),
            ({"client_id": str(UUID(int=0))}, 401, "invalid_client"),
            ({"client_id": "robot"}, 401, "invalid_client"),
        ],
    )
    async def test_what_is_wrong_is_said_in_the_words_of_oauth(
        self, robot: dict[str, Any], anybody: Anybody, change: dict[str, Any], status: int, error: str
    ) -> None:
        form = GRANT | {"client_id": robot["id"], "client_secret": robot["client_secret"]} | change
        answer = await anybody().post(TOKEN, data=form)
        said = answer.json()

        assert (answer.status_code, said["error"], said["code"]) == (status, error, error)
        assert said["error_description"] == said["detail"]
        assert said["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["content-type"] == "application/json"
        assert ("www-authenticate" in answer.headers) == (status == 401)

    @pytest.mark.parametrize(
        ("headers", "content", "status"),
        [
            ({"content-type": "application/json"}, b"{}", 400),
            ({"content-type": "application/x-www-form-urlencoded"}, b"\xff", 400),
            ({"content-type": "application/x-www-form-urlencoded"}, b"a=1&" * 30, 400),
            ({"content-type": "application/x-www-form-urlencoded", "authorization": "Basic ?"}, b"a=1", 401),
            ({"content-type": "application/x-www-form-urlencoded", "authorization": "Basic /w=="}, b"a=1", 401),
            ({"content-type": "application/x-www-form-urlencoded"}, b"a=" + b"x" * 70_000, 401),
        ],
    )
    async def test_what_is_no_form_is_refused(
        self, anybody: Anybody, headers: dict[str, str], content: bytes, status: int
    ) -> None:
        answer = await anybody().post(TOKEN, content=content, headers=headers)

        assert (answer.status_code, answer.json()["status"]) == (status, status)

    async def test_a_secret_is_shown_in_one_way(self, robot: dict[str, Any], anybody: Anybody) -> None:
        twice = await asked(anybody(), robot, client_secret=robot["client_secret"])
        two = await asked(anybody(), robot, client_id=str(uuid4()))

        assert twice.json()["error"] == two.json()["error"] == "invalid_request"


class TestGuessing:
    async def test_no_account_and_a_wrong_secret_are_told_the_same(
        self, robot: dict[str, Any], anybody: Anybody
    ) -> None:
        wrong = await asked(anybody(), robot | {"client_secret": "hws_" + "0" * 64})
        nobody = await asked(anybody(), robot | {"id": str(uuid4())})

        assert wrong.json() | {"request_id": ""} == nobody.json() | {"request_id": ""}

    async def test_who_guesses_has_to_wait_and_keeps_the_program_not_out(
        self, robot: dict[str, Any], anybody: Anybody
    ) -> None:
        for each in (robot, {"id": str(uuid4())}):
            wrong = each | {"client_secret": "hws_" + "0" * 64}
            guesses = [await asked(anybody(), wrong) for _ in range(10)]

            assert [guess.status_code for guess in guesses[:5]] == [401] * 5
            last = guesses[-1]
            assert (last.status_code, last.json()["code"]) == (429, "rate_limited")
            assert last.json()["error"] == "temporarily_unavailable"
            assert 1 <= int(last.headers["retry-after"]) <= 900
        assert (await asked(anybody(), robot)).status_code == 200

    async def test_one_address_that_guesses_at_many_accounts_has_to_wait(self, anybody: Anybody) -> None:
        eve = anybody()
        guesses = [await asked(eve, {"id": str(uuid4()), "client_secret": "x"}) for _ in range(25)]

        assert {each.status_code for each in guesses[:20]} == {401}
        assert guesses[-1].status_code == 429

    async def test_fifty_processes_of_one_program_that_begin_at_once_are_let_in(
        self, robot: dict[str, Any], anybody: Anybody
    ) -> None:
        host = anybody()
        answers = await asyncio.gather(*(asked(host, robot) for _ in range(50)))

        assert {answer.status_code for answer in answers} == {200}


class TestAccounts:
    async def test_they_are_made_read_changed_and_deleted(self, admin: httpx.AsyncClient, anybody: Anybody) -> None:
        made = await admin.post("/service-accounts", json={"name": " Robot ", "scopes": ["me:read", "messages:read"]})
        robot, url = made.json(), made.headers["location"].removeprefix("/api/v1")
        changed = await admin.patch(url, json={"scopes": ["messages:read"]})
        nothing = await admin.patch(url, json={"scopes": None})
        unknown = await admin.patch(url, json={"scopes": ["everything"]})
        read = await admin.get(url)
        api = await program(anybody, robot)

        assert made.headers["cache-control"] == "no-store"
        assert (robot["name"], robot["client_secret"][:4]) == ("Robot", "hws_")
        assert changed.json() == read.json()
        assert (read.json()["scopes"], read.json()["name"]) == (["messages:read"], "Robot")
        assert "client_secret" not in read.text
        assert [nothing.status_code, unknown.status_code] == [422, 422]
        assert (await api.get("/me/permissions")).status_code == 403
        assert (await admin.get(url)).json()["secrets"][0]["used_at"]
        assert (await admin.delete(url)).status_code == 204
        assert [(await admin.get(url)).status_code, (await admin.delete(url)).status_code] == [404, 404]

    async def test_the_list_has_pages(self, admin: httpx.AsyncClient) -> None:
        names = [f"Robot {uuid4()}" for _ in range(3)]
        for name in names:
            await admin.post("/service-accounts", json={"name": name, "scopes": ["me:read"]})
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            page = (await admin.get("/service-accounts", params=query)).json()
            found += page["data"]
            if not page["page"]["has_more"]:
                break
            query["cursor"] = page["page"]["next_cursor"]

        assert [each["name"] for each in found if each["name"] in names] == names
        assert len(found) == len({each["id"] for each in found})

    async def test_only_a_digest_of_the_secret_is_stored(self, robot: dict[str, Any], web_house: House) -> None:
        text = "select string_agg(t::text, ' ') from service_secret t"
        async with web_house.databases["identity"].transaction() as connection:
            rows = str(await connection.scalar(sa.text(text)))

        assert robot["secrets"][0]["id"] in rows
        assert robot["client_secret"].removeprefix("hws_") not in rows

    async def test_a_user_is_no_service_account_and_a_service_account_is_no_user(
        self, robot: dict[str, Any], admin: httpx.AsyncClient
    ) -> None:
        body = {"email": f"ada.{uuid4().hex}@example.org", "name": "Ada"}
        ada = (await admin.post("/users", json=body)).json()["id"]

        assert (await admin.patch(f"/service-accounts/{ada}", json={"name": "x"})).status_code == 404
        assert (await admin.patch(f"/users/{robot['id']}", json={"name": "x"})).status_code == 404
        assert (await admin.get(f"/users/{robot['id']}")).status_code == 404


class TestRotation:
    async def test_two_secrets_are_good_until_the_next_rotation_which_ends_the_older_and_its_tokens(
        self, robot: dict[str, Any], admin: httpx.AsyncClient, anybody: Anybody
    ) -> None:
        url = f"/service-accounts/{robot['id']}/secrets"
        second = (await admin.post(url)).json()
        by_first, by_second = await program(anybody, robot), await program(anybody, second)
        assert await status_of(by_first)() == await status_of(by_second)() == 200
        third = (await admin.post(url)).json()

        assert [each["id"] for each in third["secrets"]] == [second["secrets"][1]["id"], third["secrets"][1]["id"]]
        assert (await asked(anybody(), robot)).status_code == 401
        assert await is_refused_soon(by_first)
        assert await status_of(by_second)() == 200
        assert await status_of(await program(anybody, third))() == 200

    async def test_a_leaked_one_is_ended_at_once(
        self, robot: dict[str, Any], admin: httpx.AsyncClient, anybody: Anybody
    ) -> None:
        second = (await admin.post(f"/service-accounts/{robot['id']}/secrets")).json()
        leaked, good = await program(anybody, robot), await program(anybody, second)

        for _ in range(2):
            ended = await admin.delete(f"/service-accounts/{robot['id']}/secrets/{robot['secrets'][0]['id']}")
            assert ended.status_code == 204
        assert (await asked(anybody(), robot)).status_code == 401
        assert await is_refused_soon(leaked)
        assert await status_of(good)() == 200

    async def test_of_several_at_once_each_is_whole(self, robot: dict[str, Any], admin: httpx.AsyncClient) -> None:
        url = f"/service-accounts/{robot['id']}"
        answers = await asyncio.gather(*(admin.post(f"{url}/secrets") for _ in range(8)))
        left = (await admin.get(url)).json()["secrets"]

        assert {answer.status_code for answer in answers} <= {201, 409}
        assert len(left) == 2

    async def test_a_deleted_account_gets_no_token_and_those_it_has_are_refused(
        self, robot: dict[str, Any], admin: httpx.AsyncClient, anybody: Anybody
    ) -> None:
        api = await program(anybody, robot)

        assert (await admin.delete(f"/service-accounts/{robot['id']}")).status_code == 204
        assert (await asked(anybody(), robot)).status_code == 401
        assert await is_refused_soon(api)


class TestMetadata:
    @pytest.fixture
    async def public(self, web_house: House) -> AsyncIterator[httpx.AsyncClient]:
        settings = web_house.settings.model_copy(update={"token_issuer": "https://api.example.org"})
        transport = httpx.ASGITransport(app=application(wiring.build(settings), {"web"}, Health(("web",), {})))
        async with httpx.AsyncClient(transport=transport, base_url="http://inside") as api:
            yield api

    async def test_it_is_as_a_client_library_wants_it(self, public: httpx.AsyncClient) -> None:
        told = (await public.get("/.well-known/oauth-authorization-server")).json()
        AuthorizationServerMetadata(told).validate()

        assert told["issuer"] == "https://api.example.org"
        assert told["token_endpoint"] == "https://api.example.org/oauth2/token"
        assert told["jwks_uri"] == "https://api.example.org/.well-known/jwks.json"

    async def test_without_an_address_of_its_own_it_names_the_one_that_was_asked(self, client: Client) -> None:
        told = (await client().get("http://test/.well-known/oauth-authorization-server")).json()

        assert told["token_endpoint"] == TOKEN
