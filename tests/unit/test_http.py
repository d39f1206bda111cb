"""What every REST answer has in common: policies, problem documents, request ids, limits."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, get_args
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from fastapi import APIRouter, Depends, FastAPI
from structlog.testing import capture_logs

from infra.access_tokens import SharedKeyTokens, User
from infra.http import Body, SignedIn, open_to_all, require_policies
from infra.http_errors import install
from infra.opaque import OpaqueTokens
from infra.rate_limit import RequestClass, TokenBuckets, Unlimited
from infra.request_context import BODY_LIMIT, UNKNOWN_BODY_LIMIT, RequestContext
from shared_kernel.causation import current_cause
from shared_kernel.errors import Conflict, Forbidden, HeadwaterError, NotFound, Refused, Unavailable

ERRORS: dict[str, HeadwaterError] = {
    "forbidden": Forbidden("not_the_sender", "only the sender"),
    "missing": NotFound("message_not_found"),
    "refused": Refused("body_length", "1 to 4000"),
    "conflict": Conflict("version_conflict"),
    "away": Unavailable("broker_unavailable", "no answer"),
}
ACCESS = SharedKeyTokens("k" * 32)
OPAQUE = OpaqueTokens("o" * 32)

Open = Annotated[None, Depends(open_to_all)]


class Note(Body):
    text: str
    places: dict[str, int] | None = None


numbers = APIRouter()


@numbers.put("/numbers/{number}")
async def keep(number: int, _: Open) -> None: ...


@numbers.delete("/numbers/last")
async def forget(_: Open) -> None: ...


def application(per_minute: int = 0) -> FastAPI:
    app = FastAPI()
    app.state.access_tokens, app.state.opaque_tokens = ACCESS, OPAQUE
    limits = ((name, TokenBuckets(name, per_minute) if per_minute else Unlimited()) for name in get_args(RequestClass))
    app.state.rate_limits = dict(limits)
    install(app)
    app.include_router(numbers)

    @app.get("/errors/{name}")
    async def fail(name: str, _: Open) -> None:
        raise ERRORS[name]

    @app.get("/broken")
    async def broken(_: Open) -> None:
        raise RuntimeError("the password is hunter2")

    @app.post("/notes")
    async def note(new: Note, _: Open) -> int:
        return len(new.text)

    @app.get("/numbers/{number}")
    async def number(number: int, _: Open) -> int:
        return number

    @app.delete("/me", status_code=204)
    async def leave(_: Open) -> None: ...

    @app.get("/me")
    async def me(user: SignedIn) -> dict[str, str]:
        cause = current_cause()
        assert cause
        return {"id": str(user.id), "actor": str(cause.actor), "correlation_id": cause.correlation_id}

    @app.post("/me")
    async def change(user: SignedIn) -> None: ...

    return app


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application()) as client:
        yield client


def client_of(app: FastAPI, address: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=RequestContext(app, ACCESS), client=(address, 123))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the answer's problem document, having checked what all have in common."""
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert document["type"] == f"urn:headwater:problem:{document['code']}"
    assert document["instance"] == answer.request.url.path
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


class TestPolicies:
    def test_routes_that_name_a_policy_pass(self) -> None:
        require_policies(application())

    def test_a_route_without_a_policy_is_refused(self) -> None:
        app = application()

        @app.get("/unguarded")
        async def unguarded() -> None: ...

        with pytest.raises(RuntimeError, match="/unguarded declares no access policy"):
            require_policies(app)

    def test_an_included_route_without_a_policy_is_refused(self) -> None:
        app, inner, outer = application(), APIRouter(), APIRouter()

        @inner.get("/unguarded")
        async def unguarded() -> None: ...

        outer.include_router(inner, prefix="/inner")
        app.include_router(outer, prefix="/outer")

        with pytest.raises(RuntimeError, match="/outer/inner/unguarded declares no access policy"):
            require_policies(app)

    def test_a_policy_of_the_router_counts_for_its_routes(self) -> None:
        app, router = application(), APIRouter(dependencies=[Depends(open_to_all)])

        @router.get("/guarded")
        async def guarded() -> None: ...

        app.include_router(router)

        require_policies(app)


class TestSigningIn:
    async def test_a_valid_token_says_who_asks_and_is_the_actor_of_what_follows(self, api: httpx.AsyncClient) -> None:
        user = uuid4()

        answer = await api.get("/me", headers={"authorization": f"Bearer {ACCESS.issue(user)}", "x-request-id": "abc"})

        assert answer.json() == {"id": str(user), "actor": str(user), "correlation_id": "abc"}

    @pytest.mark.parametrize("headers", [{}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer x"}])
    async def test_nobody_and_an_invalid_token_are_unauthenticated(
        self, api: httpx.AsyncClient, headers: dict[str, str]
    ) -> None:
        answer = await api.get("/me", headers=headers)

        assert answer.status_code == 401
        assert problem(answer)["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"].startswith("Bearer")


class TestRateLimit:
    async def test_a_user_who_asks_too_often_is_told_when_to_ask_again(self) -> None:
        ann, bob = ({"authorization": f"Bearer {ACCESS.issue(uuid4())}"} for _ in range(2))
        async with client_of(application(per_minute=6)) as api:
            first, second = [await api.get("/me", headers=ann) for _ in range(2)]
            other = await api.get("/me", headers=bob)
            unasked = await api.get("/numbers/1", headers=ann)

        assert [first.status_code, second.status_code, other.status_code, unasked.status_code] == [200, 429, 200, 200]
        assert problem(second)["code"] == "rate_limited"
        assert second.headers["retry-after"] == "10"

    async def test_reads_and_writes_are_counted_apart_and_named(self) -> None:
        ann = {"authorization": f"Bearer {ACCESS.issue(uuid4())}"}
        async with client_of(application(per_minute=6)) as api:
            answers = [await api.request(method, "/me", headers=ann) for method in ("GET", "POST", "GET", "POST")]

        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        assert [answer.headers["ratelimit"][:7] for answer in answers] == ['"read";', '"write"', '"read";', '"write"']
        assert answers[0].headers["ratelimit-policy"] == '"read";q=1;w=10'

    async def test_each_api_key_of_a_user_is_counted_by_itself(self) -> None:
        app, ann, ends = application(per_minute=6), uuid4(), datetime.now(UTC) + timedelta(hours=1)
        keys = {name: User(ann, frozenset(), ends, uuid4(), frozenset({":read"})) for name in ("hw_1", "hw_2")}

        class Keys:
            async def verify(self, token: str) -> User:
                return keys.get(token) or await ACCESS.verify(token)

        app.state.access_tokens = Keys()
        sent = ("hw_1", "hw_1", "hw_2", ACCESS.issue(ann))
        async with client_of(app) as api:
            answers = [await api.get("/me", headers={"authorization": f"Bearer {token}"}) for token in sent]

        assert [answer.status_code for answer in answers] == [200, 429, 200, 200]

    async def test_who_tries_tokens_is_limited_by_address_and_locks_nobody_out(self) -> None:
        app, guess = application(per_minute=6), {"authorization": "Bearer x"}
        valid = {"authorization": f"Bearer {ACCESS.issue(uuid4())}"}
        async with client_of(app, "2001:db8::1") as api, client_of(app, "2001:db8::2:3") as neighbour:
            answers = [await api.get("/me", headers=guess), await neighbour.get("/me", headers=guess)]
            passes = await neighbour.get("/me", headers=valid)
        async with client_of(app, "2001:db8:0:1::1") as elsewhere:
            answers.append(await elsewhere.get("/me"))

        assert [answer.status_code for answer in answers] == [401, 429, 401]
        assert passes.status_code == 200


class TestProblems:
    @pytest.mark.parametrize(
        ("name", "status"), [("forbidden", 403), ("missing", 404), ("refused", 422), ("conflict", 409), ("away", 503)]
    )
    async def test_an_error_of_the_house_keeps_its_code_and_detail(
        self, api: httpx.AsyncClient, name: str, status: int
    ) -> None:
        answer = await api.get(f"/errors/{name}")

        assert answer.status_code == status
        document = problem(answer)
        assert document["code"] == ERRORS[name].code
        assert document.get("detail", "") == ERRORS[name].detail

    async def test_what_may_pass_says_when_to_ask_again(self, api: httpx.AsyncClient) -> None:
        assert (await api.get("/errors/away")).headers["retry-after"] == "1"

    async def test_an_answer_without_content_says_no_type_of_it(self, api: httpx.AsyncClient) -> None:
        answer = await api.delete("/me")

        assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (204, b"", None)
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_an_unknown_path_is_not_found(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/nowhere")

        assert answer.status_code == 404
        assert problem(answer)["code"] == "not_found"

    async def test_a_method_that_a_path_does_not_know_is_told_which_it_does(self, api: httpx.AsyncClient) -> None:
        answer = await api.delete("/notes")

        assert answer.status_code == 405
        assert problem(answer)["code"] == "method_not_allowed"
        assert answer.headers["allow"] == "POST"

    @pytest.mark.parametrize(
        ("path", "allowed"), [("/numbers/1", "GET, HEAD, PUT"), ("/numbers/last", "DELETE, GET, HEAD, PUT")]
    )
    async def test_all_routes_of_the_path_are_named(self, api: httpx.AsyncClient, path: str, allowed: str) -> None:
        answer = await api.post(path)

        assert answer.status_code == 405
        assert answer.headers["allow"] == allowed

    async def test_each_invalid_field_is_named_by_pointer_without_its_value(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/notes", json={"places": {"a/b~c": "hunter2"}, "more": "hunter2"})

        assert answer.status_code == 422
        document = problem(answer)
        assert document["code"] == "validation_failed"
        assert {(each["pointer"], each["code"]) for each in document["errors"]} == {
            ("/text", "missing"),
            ("/places/a~1b~0c", "int_parsing"),
            ("/more", "extra_forbidden"),
        }
        assert "hunter2" not in answer.text

    async def test_a_parameter_is_named_behind_its_place(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/numbers/x")

        assert [each["pointer"] for each in problem(answer)["errors"]] == ["/path/number"]

    @pytest.mark.parametrize("content", [b"", b"[]", b"1", b"null"])
    async def test_a_body_that_is_no_object_is_invalid(self, api: httpx.AsyncClient, content: bytes) -> None:
        answer = await api.post("/notes", content=content, headers={"content-type": "application/json"})

        assert answer.status_code == 422
        assert problem(answer)["code"] == "validation_failed"

    @pytest.mark.parametrize("content", [b"{", b"\xff", b'{"text": "a"', b"[" * 60_000, b" "])
    async def test_a_body_that_is_no_json_is_a_bad_request(self, api: httpx.AsyncClient, content: bytes) -> None:
        answer = await api.post("/notes", content=content, headers={"content-type": "application/json"})

        assert answer.status_code == 400
        assert problem(answer)["code"] == "bad_request"

    @pytest.mark.parametrize(
        "type_",
        ["application/json", "Application/JSON; charset=utf-8", "application/vnd.note+json", "application/a+json"],
    )
    async def test_json_is_read_under_each_of_its_names(self, api: httpx.AsyncClient, type_: str) -> None:
        answer = await api.post("/notes", content=b'{"text": "abc"}', headers={"content-type": type_})

        assert answer.json() == 3

    @pytest.mark.parametrize(
        "type_", ["text/plain", "application/x-www-form-urlencoded", "text/json", "json", "", None]
    )
    async def test_a_body_of_another_type_is_unsupported(self, api: httpx.AsyncClient, type_: str | None) -> None:
        headers = {} if type_ is None else {"content-type": type_}

        answer = await api.post("/notes", content=b'{"text": "abc"}', headers=headers)

        assert answer.status_code == 415
        assert problem(answer)["code"] == "unsupported_media_type"

    async def test_no_body_is_missing_whatever_its_type(self, api: httpx.AsyncClient) -> None:
        answers = [await api.post("/notes"), await api.post("/notes", headers={"content-type": "text/plain"})]

        assert [answer.status_code for answer in answers] == [422, 422]

    async def test_what_nobody_caught_is_logged_and_not_told(self, api: httpx.AsyncClient) -> None:
        with capture_logs() as logs:
            answer = await api.get("/broken")

        assert answer.status_code == 500
        document = problem(answer)
        assert document["code"] == "internal"
        assert "hunter2" not in answer.text
        (line,) = [line for line in logs if line["event"] == "http.failed"]
        assert (line["path"], line["request_id"]) == ("/broken", document["request_id"])


class TestBodyLimit:
    async def test_a_body_at_the_limit_is_read(self, api: httpx.AsyncClient) -> None:
        frame = len(json.dumps({"text": ""}))

        answer = await api.post(
            "/notes",
            content=json.dumps({"text": "x" * (BODY_LIMIT - frame)}).encode(),
            headers={"content-type": "application/json", "authorization": f"Bearer {ACCESS.issue(uuid4())}"},
        )

        assert answer.json() == BODY_LIMIT - frame

    @pytest.mark.parametrize("token", [None, "Bearer x", "Bearer"])
    async def test_nobody_known_sends_more_than_a_little(self, api: httpx.AsyncClient, token: str | None) -> None:
        headers = {"content-type": "application/json"} | ({"authorization": token} if token else {})
        frame = len(json.dumps({"text": ""}))
        texts = ["x" * (UNKNOWN_BODY_LIMIT - frame), "x" * UNKNOWN_BODY_LIMIT]

        small, large = [
            await api.post("/notes", content=json.dumps({"text": each}).encode(), headers=headers) for each in texts
        ]

        assert small.status_code == 200
        assert large.status_code == 401
        assert problem(large)["code"] == "unauthenticated"

    async def test_a_large_body_is_refused_for_what_is_wrong_with_its_token(
        self, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        late = ACCESS.issue(uuid4(), lifetime=timedelta(hours=-1))
        asked = partial(api.post, "/notes", content=json.dumps({"text": "x" * UNKNOWN_BODY_LIMIT}).encode())
        valid = {"content-type": "application/json", "authorization": f"bearer {ACCESS.issue(uuid4())}"}

        read = await asked(headers=valid)
        expired = await asked(headers=valid | {"authorization": f"Bearer {late}"})
        monkeypatch.setattr(ACCESS, "verify", AsyncMock(side_effect=Unavailable("key_set_unavailable", "no keys")))
        unknown = await asked(headers=valid)

        assert read.status_code == 200
        assert (expired.status_code, problem(expired)["code"]) == (401, "token_expired")
        assert expired.headers["www-authenticate"]
        assert (unknown.status_code, problem(unknown)["code"]) == (503, "key_set_unavailable")
        assert unknown.headers["retry-after"]

    async def test_all_bodies_together_have_a_limit(
        self, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("infra.request_context.BODIES_LIMIT", 100)
        headers = {"content-type": "application/json"}

        answers = [
            await api.post("/notes", content=json.dumps({"text": "x" * size}).encode(), headers=headers)
            for size in (50, 101, 50)
        ]

        assert [answer.status_code for answer in answers] == [200, 503, 200]
        assert answers[1].headers["retry-after"]

    async def test_a_larger_announced_body_is_refused(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/notes", content=b"x" * (BODY_LIMIT + 1))

        assert answer.status_code == 413
        assert problem(answer)["code"] == "payload_too_large"

    async def test_a_larger_chunked_body_is_refused(self, api: httpx.AsyncClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(BODY_LIMIT // 1024 + 1):
                yield b"x" * 1024

        headers = {"content-type": "application/json", "authorization": f"Bearer {ACCESS.issue(uuid4())}"}
        answer = await api.post("/notes", content=chunks(), headers=headers)

        assert answer.status_code == 413
        assert problem(answer)["code"] == "payload_too_large"

    @pytest.mark.parametrize("length", ["many", "-", "1e9"])
    async def test_a_content_length_that_is_no_number_is_a_bad_request(
        self, api: httpx.AsyncClient, length: str
    ) -> None:
        answer = await api.post("/notes", content=b"{}", headers={"content-length": length})

        assert answer.status_code == 400
        assert problem(answer)["code"] == "bad_request"


class TestRequestId:
    @pytest.mark.parametrize("given", ["a", "trace-1.2_3", "x" * 100])
    async def test_the_callers_id_comes_back(self, api: httpx.AsyncClient, given: str) -> None:
        answer = await api.get("/numbers/1", headers={"x-request-id": given})

        assert answer.headers["x-request-id"] == given

    @pytest.mark.parametrize("given", ["", "x" * 101, "a b", 'a"', "a\nb", "ü"])
    async def test_an_odd_one_is_replaced(self, api: httpx.AsyncClient, given: str) -> None:
        answer = await api.get("/numbers/1", headers={b"x-request-id": given.encode("latin-1")})

        assert UUID(answer.headers["x-request-id"])

    async def test_each_request_has_its_own(self, api: httpx.AsyncClient) -> None:
        first, second = await api.get("/numbers/1"), await api.get("/numbers/1")

        assert first.headers["x-request-id"] != second.headers["x-request-id"]

    async def test_nothing_is_left_of_it_afterwards(self, api: httpx.AsyncClient) -> None:
        await api.get("/numbers/1")

        assert current_cause() is None


async def test_a_failure_after_the_answer_has_begun_ends_the_connection() -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("lost")

    transport = httpx.ASGITransport(app=RequestContext(half, ACCESS))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with capture_logs(), pytest.raises(RuntimeError, match="lost"):
            await client.get("/")


async def test_what_is_no_http_request_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing() -> Any: ...

    async def nowhere(_: Any) -> None: ...

    await RequestContext(app, ACCESS)({"type": "lifespan"}, nothing, nowhere)

    assert seen == ["lifespan"]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Loggers that other tests configured must not stay cached."""
    structlog.reset_defaults()
