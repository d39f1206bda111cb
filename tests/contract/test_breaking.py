"""The interface against the one of the last release (docs/released): it may grow, and nothing that clients rely on may go."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from headwater.web import asyncapi, openapi_document
from tests.contract.breaking import breaks

RELEASED = Path(__file__).parents[2] / "docs" / "released"
GONE: Any = object()
TITLE = {"type": "string", "minLength": 1, "maxLength": 10}
DOCUMENT: dict[str, Any] = {
    "paths": {
        "/things": {
            "post": {
                "operationId": "make",
                "security": [{"bearer": []}, {"key": []}],
                "parameters": [{"in": "query", "name": "wait", "schema": {"type": "integer", "maximum": 10}}],
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}},
                },
                "responses": {
                    "200": {
                        "headers": {"ETag": {"schema": {"type": "string"}}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
                    },
                    "404": {},
                },
            },
            "get": {"operationId": "list", "responses": {"200": {}}},
        }
    },
    "components": {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}, "key": {"type": "apiKey"}},
        "schemas": {
            "New": {
                "type": "object",
                "additionalProperties": False,
                "required": ["title"],
                "properties": {
                    "title": TITLE,
                    "kind": {"type": "string", "enum": ["a", "b"]},
                    "note": {"anyOf": [TITLE, {"type": "null"}]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "free": {"type": "string"},
                },
            },
            "Thing": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "state": {"type": "string", "enum": ["new", "old"]},
                    "owner": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "count": {"type": "number"},
                },
            },
        },
    },
}
POST, GET = "/paths/~things/post", "/paths/~things/get"
NEW, THING = "/components/schemas/New", "/components/schemas/Thing"
OPTIONAL = {"in": "query", "name": "order", "schema": {"type": "string"}}
REQUIRED = {**OPTIONAL, "required": True}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the document with another value at the path; `~` stands for a slash in a name."""
    document: Any = deepcopy(DOCUMENT)
    *steps, last = (part.replace("~", "/") for part in path.split("/")[1:])
    at = document
    for step in steps:
        at = at[int(step) if isinstance(at, list) else step]
    if value is GONE:
        del at[last]
    elif isinstance(at, list):
        at.insert(int(last), value)
    else:
        at[last] = value
    return dict(document)


BREAKING = [
    ("/paths/~things", GONE, "POST /things: gone"),
    (GET, GONE, "GET /things: gone"),
    (f"{GET}/operationId", "all", "operationId list is now all"),
    (f"{POST}/responses/200", GONE, "200 is no longer answered"),
    (f"{POST}/responses/202", {}, "202 is a new answer to what went well"),
    (f"{POST}/responses/200/headers/ETag", GONE, "header ETag is gone"),
    (f"{POST}/responses/200/content", {"text/plain": {"schema": {}}}, "application/json is no longer answered"),
    (f"{GET}/security", [{"bearer": []}], "takes signing in now"),
    (f"{POST}/security", [{"bearer": []}], "key may no longer ask"),
    ("/components/securitySchemes/bearer/scheme", "basic", "the security scheme bearer is another"),
    (f"{POST}/parameters", [], "query parameter wait is gone"),
    (f"{POST}/parameters/1", REQUIRED, "query parameter order is new and required"),
    (f"{POST}/parameters/0/required", True, "query parameter wait is required now"),
    (f"{POST}/parameters/0/schema/maximum", 5, "query parameter wait: maximum is 5 now, was 10"),
    (f"{POST}/requestBody", GONE, "no body is taken any more"),
    (f"{POST}/requestBody/required", True, "a body is required now"),
    (f"{GET}/requestBody", {"required": True, "content": {}}, "a body is required now"),
    (f"{POST}/requestBody/content", {"text/plain": {"schema": {}}}, "application/json is no longer taken"),
    (f"{NEW}/required", ["title", "kind"], "/kind: is required now"),
    (f"{NEW}/properties/tags", GONE, "/tags: is no longer taken"),
    (f"{NEW}/properties/kind/enum", ["a"], "/kind: 'b' is no longer taken"),
    (f"{NEW}/properties/free/enum", ["a"], "/free: 'other values' is no longer taken"),
    (f"{NEW}/properties/free/pattern", "^a$", "/free: pattern is '^a$' now"),
    (f"{NEW}/properties/free/format", "uuid", "/free: format is 'uuid' now"),
    (f"{NEW}/properties/free/minLength", 1, "/free: minLength is 1 now, was not limited"),
    (f"{NEW}/properties/title/type", "integer", "/title: is no longer string"),
    (f"{NEW}/properties/title/maxLength", 9, "/title: maxLength is 9 now, was 10"),
    (f"{NEW}/properties/note/anyOf/1/type", "integer", "/note: is no longer null"),
    (f"{NEW}/properties/note/anyOf/0/maxLength", 9, "/note: maxLength is 9 now"),
    (f"{NEW}/properties/note", TITLE, "/note: is no longer null"),
    (f"{NEW}/properties/tags/items/type", "integer", "/tags/*: is no longer string"),
    (f"{THING}/properties/id", GONE, "/id: is gone"),
    (f"{THING}/required", [], "/id: is not certain any more"),
    (f"{THING}/properties/id/format", GONE, "/id: format is None now"),
    (f"{THING}/properties/id/type", ["string", "null"], "/id: may be null now"),
    (f"{THING}/properties/state/enum", ["new", "old", "lost"], "/state: may be 'lost' now"),
    (f"{THING}/properties/state/enum", GONE, "/state: may be 'other values' now"),
    (f"{THING}/properties/owner/anyOf/2", {"type": "integer"}, "/owner: may be integer now"),
]
ADDITIVE = [
    ("/paths/~more", {"get": {"responses": {"200": {}}}}),
    ("/paths/~things/put", {"responses": {"200": {}}}),
    (f"{POST}/responses/409", {}),
    (f"{POST}/responses/404", GONE),
    (f"{POST}/responses/200/headers/Age", {}),
    (f"{POST}/security/2", {"cookie": []}),
    (f"{POST}/security", GONE),
    (f"{POST}/parameters/1", OPTIONAL),
    (f"{POST}/parameters/0/schema/maximum", 20),
    (f"{POST}/parameters/0/schema/maximum", GONE),
    (f"{POST}/requestBody/content/text~plain", {"schema": {}}),
    (f"{GET}/requestBody", {"content": {}}),
    (f"{NEW}/required", []),
    (f"{NEW}/properties/more", {"type": "string"}),
    (f"{NEW}/properties/kind/enum", ["a", "b", "c"]),
    (f"{NEW}/properties/kind/enum", GONE),
    (f"{NEW}/properties/title/type", ["string", "integer"]),
    (f"{NEW}/properties/title/maxLength", 11),
    (f"{NEW}/properties/title/minLength", 0),
    (f"{NEW}/properties/note/anyOf/2", {"type": "integer"}),
    (f"{THING}/properties/more", {"type": "string"}),
    (f"{THING}/required", ["id", "state"]),
    (f"{THING}/properties/state/enum", ["new"]),
    (f"{THING}/properties/owner", {"type": "string"}),
    (f"{THING}/properties/count/type", "integer"),
]


@pytest.mark.parametrize(("path", "value", "told"), BREAKING, ids=[each[2] for each in BREAKING])
def test_what_clients_would_miss_is_told(path: str, value: Any, told: str) -> None:
    assert told in "\n".join(breaks(DOCUMENT, changed(path, value)))


@pytest.mark.parametrize(("path", "value"), ADDITIVE, ids=[f"{path} {str(value)[:20]}" for path, value in ADDITIVE])
def test_what_only_adds_passes(path: str, value: Any) -> None:
    assert breaks(DOCUMENT, changed(path, value)) == []


def test_nothing_of_the_last_release_is_broken() -> None:
    """On purpose: CONTRIBUTING.md."""
    released = json.loads((RELEASED / "openapi.json").read_text())

    assert "\n".join(breaks(released, json.loads(json.dumps(openapi_document())))) == ""


@pytest.mark.parametrize("kind", ["channels", "operations"])
def test_no_topic_and_no_socket_event_is_gone(kind: str) -> None:
    """What their bodies may become is the schemas' lock's to say."""
    released = json.loads((RELEASED / "asyncapi.json").read_text())

    current: dict[str, Any] = dict(asyncapi())
    assert released[kind].keys() <= current[kind].keys()
