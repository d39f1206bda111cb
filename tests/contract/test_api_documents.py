"""The published documents: valid by their own standards, and equal to what the code serves."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import validate

from headwater import web, wiring
from headwater.configured import shared_key_tokens
from headwater.web import application, graphql_schema, openapi_document
from infra.health import Health
from infra.request_context import BODY_LIMIT
from schemas.catalogue import EVENTS
from tests.npm import installed

ROOT = Path(__file__).parents[2]
VALIDATOR = Path(__file__).parent / "asyncapi"


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return openapi_document()


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    return dict(web.asyncapi())


def official_findings(document: dict[str, Any]) -> list[str]:
    """Return what AsyncAPI's own parser finds wrong, Avro payloads included."""
    command = ("node", "validate.mjs")
    done = subprocess.run(
        command, cwd=installed(VALIDATOR), input=json.dumps(document), capture_output=True, text=True, check=True
    )
    return list(json.loads(done.stdout))


def test_openapi_is_valid(openapi: dict[str, Any]) -> None:
    validate(openapi)


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
def test_the_committed_document_is_what_the_code_says(
    name: str, openapi: dict[str, Any], asyncapi: dict[str, Any]
) -> None:
    """A difference is a change of a public interface: look at it, then `make docs`."""
    committed = json.loads((ROOT / "docs" / f"{name}.json").read_text())

    assert committed == json.loads(json.dumps({"openapi": openapi, "asyncapi": asyncapi}[name]))


def test_the_committed_graphql_schema_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "schema.graphql").read_text() == graphql_schema() + "\n"


def test_every_operation_says_how_it_fails(openapi: dict[str, Any]) -> None:
    operations = {
        f"{verb} {path}": operation
        for path, verbs in openapi["paths"].items()
        for verb, operation in verbs.items()
        if path.startswith("/api/v1")
    }

    assert operations
    for name, operation in operations.items():
        assert {"401", "422", "503"} <= operation["responses"].keys(), name
    assert {name for name, operation in operations.items() if not operation.get("security")} == {
        *SIGNING_IN,
        "post /api/v1/payments/webhooks",  # the payment provider signs it
    }


def test_operations_are_named_by_tag_and_function_once_each(openapi: dict[str, Any]) -> None:
    names = [operation["operationId"] for verbs in openapi["paths"].values() for operation in verbs.values()]

    assert len(names) == len(set(names))
    assert {"messages_edit_a_message", "users_own_keys"} <= set(names)


def test_every_tag_is_explained(openapi: dict[str, Any]) -> None:
    used = {tag for verbs in openapi["paths"].values() for operation in verbs.values() for tag in operation["tags"]}

    assert used == {tag["name"] for tag in openapi["tags"] if tag["description"]}


def shown(openapi: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every JSON body of the document, but problems."""
    for path, verbs in openapi["paths"].items():
        for verb, operation in verbs.items():
            bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for of, body in bodies.items():
                if media := body.get("content", {}).get("application/json"):
                    yield f"{verb} {path} {of}", media


def test_every_body_comes_with_an_example_that_is_one(openapi: dict[str, Any]) -> None:
    bodies = dict(shown(openapi))

    assert len(bodies) > 60
    for of, media in bodies.items():
        schema = {**media["schema"], "components": openapi["components"]}
        errors = [
            error.message
            for error in OAS31Validator(schema, format_checker=oas31_format_checker).iter_errors(media["example"])
        ]
        assert not errors, of


def takes_an_object(operation: dict[str, Any]) -> bool:
    """Return whether the body is JSON or a form; documents are of any kind (tests/integration/test_documents_convert.py)."""
    return any("example" in content for content in operation.get("requestBody", {}).get("content", {}).values())


async def test_the_examples_of_bodies_are_accepted(openapi: dict[str, Any]) -> None:
    async with api(per_minute=0) as client:
        for path, verbs in openapi["paths"].items():
            for verb, operation in verbs.items():
                if takes_an_object(operation):
                    bodies = operation["requestBody"]["content"].items()
                    media, content = next(each for each in bodies if "example" in each[1])
                    sent = {"json" if media == "application/json" else "data": content["example"]}
                    url = re.sub(r"{\w+}", str(UUID(int=0)), path)
                    answer = await client.request(verb, url, headers=somebody(), **sent)
                    assert answer.status_code != 400, (verb, path)
                    assert answer.is_success or answer.json()["code"] != "validation_failed", (verb, path)


SIGNING_IN = {
    f"post /api/v1/auth/{action}"
    for action in ("register", "login", "mfa/verify", "refresh", "password/forgot", "password/reset", "email/verify")
} | {f"get /api/v1/auth/oidc/{{provider}}/{action}" for action in ("authorize", "callback")}


TOKENS = shared_key_tokens(wiring.SHAPE)
JSON = {"content-type": "application/json"}
OF_GATEWAYS = {"/api/v1/events"}  # what role `web` does not answer itself: tests/integration/test_realtime_events.py
HELD_BODIES = {
    f"/api/v1{path}": size for each in wiring.build(wiring.SHAPE).modules for path, size in each.held_bodies.items()
}
REFUSED_UNREAD: dict[int, dict[str, Any]] = {
    400: {"content": b"{", "headers": JSON},
    413: {"content": b" " * (BODY_LIMIT + 1), "headers": JSON},
    415: {"content": b"text", "headers": {"content-type": "text/plain"}},
    422: {"content": b"[]", "headers": JSON},
}


def secured(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the verb, a path and the operation of every route that asks for a token."""
    for path, verbs in openapi["paths"].items():
        for verb, operation in verbs.items():
            if "security" in operation and path not in OF_GATEWAYS:
                yield verb, re.sub(r"{\w+}", str(UUID(int=0)), path), operation


def somebody() -> dict[str, str]:
    token = TOKENS.issue(uuid4(), ("operator", "auditor", "admin"))
    return {"authorization": f"Bearer {token}"}


def api(per_minute: int) -> httpx.AsyncClient:
    """Return a client of the real application, behind which nothing can be reached."""
    house = wiring.build(wiring.SHAPE.model_copy(update={"rate_limit_per_minute": per_minute}))
    transport = httpx.ASGITransport(app=application(house, {"web"}, Health(("web",), {})))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_what_is_answered_to_requests_that_reach_no_route_is_declared(openapi: dict[str, Any]) -> None:
    async with api(per_minute=0) as client:
        for verb, path, operation in secured(openapi):
            answers = {401: await client.request(verb, path)}
            for status, request in REFUSED_UNREAD.items() if takes_an_object(operation) else ():
                headers, content = request["headers"] | somebody(), request["content"]
                if status == 413:
                    content = content.ljust(HELD_BODIES.get(path, 0) + 1)
                answers[status] = await client.request(verb, path, content=content, headers=headers)

            assert {status: answer.status_code for status, answer in answers.items()} == {
                each: each for each in answers
            }
            assert {str(status) for status in answers} <= operation["responses"].keys(), (verb, path)


async def test_too_many_requests_is_declared(openapi: dict[str, Any]) -> None:
    async with api(per_minute=1) as client:
        for verb, path, operation in secured(openapi):
            user = somebody()
            await client.request(verb, path, headers=user)

            assert (await client.request(verb, path, headers=user)).status_code == 429
            assert "429" in operation["responses"], (verb, path)


async def test_what_no_application_answers_is_declared(openapi: dict[str, Any]) -> None:
    for path, verbs in openapi["paths"].items():
        for operation in verbs.values():
            assert {"400", "408", "413", "431"} <= operation["responses"].keys(), path


EXAMPLES = [
    (verb.lower(), path, status, [json.loads(each) for each in re.findall(r"```json\n(.*?)```", text, re.DOTALL)])
    for verb, path, status, text in re.findall(
        r"^### ([A-Z]+) (\S+) → (\d+)$(.*?)(?=^##|\Z)",
        (ROOT / "docs" / "messaging.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
]


def schema_at(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    (media,) = content.values()
    return {**media["schema"], "components": document["components"]}


def names(example: Any) -> set[str]:
    """Return the names of the fields, those inside others too."""
    match example:
        case dict():
            return set(example).union(*map(names, example.values()))
        case list():
            return set().union(*map(names, example))
    return set()


def declared_names(schema: Any, document: dict[str, Any]) -> set[str]:
    match schema:
        case {"$ref": str(ref)}:
            return declared_names(document["components"]["schemas"][ref.rpartition("/")[2]], document)
        case {"properties": dict(properties)}:
            return set(properties).union(*(declared_names(each, document) for each in properties.values()))
        case {"items": items}:
            return declared_names(items, document)
    return set()


@pytest.mark.parametrize(("verb", "path", "status", "bodies"), EXAMPLES, ids=[" ".join(each[:3]) for each in EXAMPLES])
def test_the_examples_are_as_declared_and_show_every_field(
    openapi: dict[str, Any], verb: str, path: str, status: str, bodies: list[Any]
) -> None:
    operation = openapi["paths"][f"/api/v1{path}"][verb]
    answer = schema_at(openapi, operation["responses"][status]["content"])

    OAS31Validator(answer, format_checker=oas31_format_checker).validate(bodies[-1])
    assert names(bodies[-1]) >= declared_names(answer, openapi)
    assert len(bodies) == (2 if "requestBody" in operation else 1)
    if "requestBody" in operation and int(status) < 400:
        request = schema_at(openapi, operation["requestBody"]["content"])
        OAS31Validator(request, format_checker=oas31_format_checker).validate(bodies[0])
        assert names(bodies[0]) >= declared_names(request, openapi)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_asyncapi_is_valid_by_the_official_parser(asyncapi: dict[str, Any]) -> None:
    assert official_findings(asyncapi) == []


def test_the_official_parser_would_find_a_fault(asyncapi: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(asyncapi))
    broken["operations"]["read-messages"]["channel"]["$ref"] = "#/channels/nowhere"

    assert official_findings(broken)


def test_asyncapi_names_every_event(asyncapi: dict[str, Any]) -> None:
    public = {event.__name__ for event in EVENTS if event.VISIBILITY == "public"}

    assert public <= asyncapi["components"]["messages"].keys()
