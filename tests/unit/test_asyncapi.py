"""The AsyncAPI document says what is really there: topics, events, what a socket may ask and hear."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastavro import parse_schema

from headwater import web, wiring
from schemas.catalogue import EVENTS
from shared_kernel.module import Module

Document = dict[str, Any]


@pytest.fixture(scope="module")
def modules() -> tuple[Module, ...]:
    return wiring.build(wiring.SHAPE).modules


@pytest.fixture(scope="module")
def document() -> Document:
    return json.loads(json.dumps(web.asyncapi()))  # type: ignore[no-any-return]


def references(node: Any) -> Iterator[str]:
    """Yield every `$ref`."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(document: Document, reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return resolved(document, node["$ref"]) if set(node) == {"$ref"} else node


def test_it_is_an_asyncapi_3_document(document: Document) -> None:
    assert document["asyncapi"].startswith("3.")
    assert {"title", "version"} <= document["info"].keys()
    assert {"channels", "operations", "components"} <= document.keys()


def test_every_reference_leads_somewhere(document: Document) -> None:
    found = list(references(document))

    assert found
    assert all(resolved(document, reference) for reference in found)


def test_every_topic_is_a_channel_that_can_be_read(document: Document, modules: tuple[Module, ...]) -> None:
    topics = {topic.name for module in modules for topic in module.topics}

    assert topics <= document["channels"].keys()
    for topic in topics:
        operation = document["operations"][f"read-{topic}"]
        assert operation["action"] == "receive"
        assert resolved(document, operation["channel"]["$ref"])["address"] == topic


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_a_public_event_is_on_its_topic_with_its_schema_and_a_private_one_nowhere(
    document: Document, event: Any
) -> None:
    on_channel = document["channels"][event.TOPIC]["messages"].get(event.__name__)

    if event.VISIBILITY != "public":
        assert on_channel is None
        assert event.__name__ not in document["components"]["messages"]
        return
    message = resolved(document, on_channel["$ref"])
    assert message["name"] == event.NAME
    assert "ce_id" in message["headers"]["properties"]
    parsed: Any = parse_schema(message["payload"]["schema"])
    assert parsed["name"] == event.NAME


def test_it_names_the_groups_that_listen(document: Document, modules: tuple[Module, ...]) -> None:
    for module in modules:
        for consumer in module.consumers:
            for topic in {handler.event.TOPIC for handler in consumer.handlers}:
                assert consumer.group in document["operations"][f"read-{topic}"]["summary"]


def test_a_socket_may_ask_every_command_and_hears_every_event(document: Document, modules: tuple[Module, ...]) -> None:
    asked = {name for module in modules for name in module.socket_commands}
    told = {name for module in modules for name in module.socket_events}

    assert {"message.send", "message.edit", "message.delete"} <= asked
    for operation, names in (("ask", asked), ("tell", told)):
        listed = document["operations"][operation]["messages"]
        assert {resolved(document, each["$ref"])["name"] for each in listed} == names
        assert len(listed) == len(names)


def test_a_socket_of_ui_updates_may_ask_and_hears_what_is_told_of_it(
    document: Document, modules: tuple[Module, ...]
) -> None:
    for operation, of in (("ask-ui", "ui_commands"), ("tell-ui", "ui_events")):
        listed = document["operations"][operation]["messages"]
        names = {name for module in modules for name in getattr(module, of)}
        assert {resolved(document, each["$ref"])["name"] for each in listed} == names
        assert len(names) > 1


def test_asking_and_telling_go_opposite_ways(document: Document) -> None:
    assert document["operations"]["ask"]["action"] == "receive"
    assert document["operations"]["tell"]["action"] == "send"
