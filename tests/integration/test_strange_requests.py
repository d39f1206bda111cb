"""What no client of good will asks: refused with a reason, never a 500."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.conftest import Client

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    email: str
    session: str
    api: httpx.AsyncClient


async def registered(anybody: httpx.AsyncClient) -> Account:
    """Open an account and sign in."""
    email = f"{uuid4().hex}@example.org"
    made = await anybody.post("/auth/register", json={"email": email, "name": "Ada", "password": PASSWORD})
    assert made.status_code == 201, made.text
    opened = (await anybody.post("/auth/login", json={"email": email, "password": PASSWORD})).json()
    anybody.headers["authorization"] = f"Bearer {opened['access_token']}"
    return Account(made.json()["id"], email, opened["session_id"], anybody)


@pytest.fixture
async def ada(client: Client) -> Account:
    return await registered(client())


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


class TestIdsOfSomethingElse:
    async def test_a_user_is_no_session_and_no_key(self, ada: Account) -> None:
        assert code(await ada.api.delete(f"/me/sessions/{ada.id}")) == (404, "session_not_found")
        assert code(await ada.api.delete(f"/me/api-keys/{ada.id}")) == (404, "api_key_not_found")

    @pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
    async def test_a_session_is_no_user(self, ada: Account, client: Client, verb: str) -> None:
        body = {"name": "Ada"} if verb == "PATCH" else None
        answer = await client(uuid4(), "admin").request(verb, f"/users/{ada.session}", json=body)

        assert code(answer) == (404, "user_not_found")


@pytest.mark.parametrize("value", [0, 1, "yes", "false", None])
@pytest.mark.parametrize(
    ("path", "name"), [("/conversations", "public"), ("/admin/groups/g/dead-letters:discard", "all")]
)
async def test_only_true_and_false_are_yes_and_no(client: Client, path: str, name: str, value: Any) -> None:
    answer = await client(uuid4(), "operator").post(path, json={"title": "t", name: value})

    assert code(answer) == (422, "validation_failed")
    assert f"/{name}" in {each["pointer"] for each in answer.json()["errors"]}


async def test_a_group_has_no_colon_in_its_name(client: Client) -> None:
    answer = await client(uuid4(), "operator").get("/admin/groups/messaging.history:pause")

    assert code(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
