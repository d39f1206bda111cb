"""The published OpenAPI document: what FastAPI knows of the routes, and what it does not (docs/http.md)."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from infra.http import Problem, problems
from shared_kernel.permissions import SCOPES

TAGS = {
    "auth": "Accounts, signing in and the second factor.",
    "users": "Users, and what belongs to oneself: profile, sessions, API keys.",
    "conversations": "Direct conversations and groups, and who is in them.",
    "messages": "Messages: sending, reading, changing, erasing.",
    "notifications": "One's inbox.",
    "documents": "Conversions from one format into another, of any size.",
    "payments": "Money of orders, and what the payment provider tells of it.",
    "orders": "Orders: placing, cancelling, shipping, and what became of them (docs/orders.md).",
    "stock": "What there is to sell, and for whom it is held.",
    "realtime": "Updates of user interfaces, and the keys that backends publish them with.",
    "graphql": "The same by GraphQL, in one request (docs/graphql.md).",
    "audit": "What happened, for auditors.",
    "operations": "Consumer groups and their dead letters, for operators.",
    "health": "Whether the process and what it depends on are up.",
    "meta": "Documents of the interface.",
    "compatibility": "Routes of an older chat service.",
}
# Where a field does not say it.
FORMATS = {"uuid": "0f6f2c6e-3f0b-4a5e-9a57-2f1f5d8c7b10", "date-time": "2026-01-31T12:00:00Z"}
PLAIN: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1.0, "boolean": False, "object": {}}
OAUTH = "OAuth2"
SERVICES = {
    "type": "oauth2",
    "description": "Service accounts: their tokens are sent as every other, within the scopes that an administrator gave.",
    "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": dict.fromkeys(sorted(SCOPES), "")}},
}
WAITS = {429: "Seconds after which one more request passes.", 503: "Seconds after which to ask again."}


def publish(app: FastAPI) -> None:
    """Complete what the application publishes: how every operation fails, examples, what the tags mean."""
    generate = app.openapi

    def completed() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        document["servers"] = [{"url": "/"}]
        document["components"].setdefault("securitySchemes", {})[OAUTH] = SERVICES
        for operation in _operations(document):
            if {"HTTPBearer": []} in operation.get("security", ()):
                operation["security"].append({OAUTH: []})
            operation["responses"] = dict(sorted((_common_problems(operation) | operation["responses"]).items()))
            _add_headers(operation["responses"])
            _add_examples(operation, schemas)
        used = {tag for operation in _operations(document) for tag in operation["tags"]}
        document["tags"] = [{"name": name, "description": what} for name, what in TAGS.items() if name in used]
        return document

    app.openapi = completed  # type: ignore[method-assign]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for verbs in document["paths"].values() for operation in verbs.values())


def _common_problems(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the answers that no route gives itself: to what it is never asked because the request is refused before."""
    statuses = {400, 408, 413, 431, 500}
    if "requestBody" in operation:
        statuses.add(415)
    if "security" in operation:
        statuses.add(429)
    return {str(status): each for status, each in problems(*statuses).items()}


def _add_headers(responses: dict[str, Any]) -> None:
    for status, answer in responses.items():
        if description := WAITS.get(int(status)):
            answer["headers"] = {"Retry-After": {"description": description, "schema": {"type": "integer"}}}


def _add_examples(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """Show a body that may be sent, and what is answered."""
    for described in [*operation["responses"].values(), operation.get("requestBody", {})]:
        for kind, media in described.get("content", {}).items():
            if kind == "application/json":
                media["example"] = example(media["schema"], schemas)


def example(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Return what the schema gives as its example, or one made of those of its parts."""
    match schema:
        case {"examples": [first, *_]}:
            return first
        case {"$ref": str(ref)}:
            return example(schemas[ref.rpartition("/")[2]], schemas)
        case {"const": value} | {"enum": [value, *_]}:
            return value
        case {"anyOf": [first, *_]}:
            return example(first, schemas)
        case {"properties": dict(fields)}:
            return {name: example(field, schemas) for name, field in fields.items()}
        case {"items": items}:
            return [example(items, schemas)] * schema.get("minItems", 1)
        case {"additionalProperties": dict(value)}:
            return {"name": example(value, schemas)}
        case {"format": str(kind)} if kind in FORMATS:
            return FORMATS[kind]
    return PLAIN.get(schema.get("type", ""))
