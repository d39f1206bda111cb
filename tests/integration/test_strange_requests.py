"""What no client of good will asks: refused with a reason, never a 500."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from headwater.web import application
from headwater.wiring import House
from infra.health import Health
from infra.problems import CONTENT_TYPE
from tests.fuzz.hooks import CODES
from tests.integration.accounts import Account, registered
from tests.integration.conftest import Client
from tests.integration.serving import raw, served


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


STRANGE = {
    b"GET /api/v1/me?\xff HTTP/1.1": 400,
    b"GET /\xc3\xa9 HTTP/1.1": 400,
    b"get / HTTP/1.1": 400,
    b"CONNECT example.org:443 HTTP/1.1": 400,
    b"GET /%ff%00 HTTP/1.1": 400,
    b"GET //example.org/ HTTP/1.1": 400,
    b"OPTIONS * HTTP/1.1": 400,
    b"GET /docs/assets/%2e%2e/%2e%2e/etc/passwd HTTP/1.1": 400,
    b"POST /docs/assets/swagger-ui.css HTTP/1.1": 405,
    b"TRACE /api/v1/me HTTP/1.1": 405,
    b"GET / HTTP/1.1\r\nx: a\x00b": 400,
    b"POST /api/v1/auth/login HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked": 400,
    b"GET /api/v1/me HTTP/1.1\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: "
    b"bm90IHZlcnkgcmFuZG9tIQ==": 404,
}


@pytest.fixture(scope="module")
async def port(web_house: House) -> AsyncIterator[int]:
    async with served(application(web_house, {"web"}, Health(("web",), {}))) as port:
        yield port


@pytest.mark.parametrize(("request_", "expected"), STRANGE.items(), ids=map(repr, STRANGE))
async def test_what_is_hardly_http_gets_a_problem(port: int, request_: bytes, expected: int) -> None:
    ends = b"connection: upgrade" if b"websocket" in request_ else b"connection: close"
    status, headers, body = await raw(port, request_ + b"\r\nhost: x\r\n" + ends + b"\r\n\r\n")

    assert int(status.split()[1]) == expected
    assert headers["content-type"] == CONTENT_TYPE
    assert json.loads(body)["code"] in CODES
    assert (headers.get("allow", "") != "") == (expected == 405)


@pytest.mark.parametrize("range_", ["bytes=9999999-", "bytes=5-1", "lines=1"])
async def test_files_are_whole(client: Client, range_: str) -> None:
    answer = await client().get("http://test/docs/assets/swagger-ui.css", headers={"range": range_})

    assert answer.status_code == 200


async def test_a_group_has_no_colon_in_its_name(client: Client) -> None:
    answer = await client(uuid4(), "operator").get("/admin/groups/messaging.history:pause")

    assert code(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
