"""The topics and socket events as an AsyncAPI 3.0 document, from the schemas and the modules."""

import json
from collections.abc import Iterable
from typing import Any

from infra.avro import schema_text
from shared_kernel.events import Event
from shared_kernel.module import Module

AVRO = "application/vnd.apache.avro;version=1.9.0"
HEADERS = ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "content-type", "ce_correlationid",
           "ce_causationid")  # fmt: skip
ASK = "What a client may ask; each is answered by an ack."
TELL = "What a client hears; each carries a position to resume from."
SOCKET, UI = "chat", "ui"
ADDRESSES = {SOCKET: "/socket.io (namespace /chat)", UI: "/socket.io (namespaces /ui and /ui-public)"}


def asyncapi_document(modules: Iterable[Module], events: Iterable[type[Event]]) -> dict[str, Any]:
    """Return the document: one channel per topic with its events, and the socket with what goes both ways."""
    modules, public = list(modules), [event for event in events if event.VISIBILITY == "public"]
    listeners = _listeners(modules)
    topics = {topic.name: topic for module in modules for topic in module.topics}
    channels = {name: _topic(name, [event for event in public if name == event.TOPIC]) for name in topics}
    operations = {
        f"read-{name}": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": f"Consumer groups here: {', '.join(listeners.get(name, ['none']))}.",
        }
        for name in topics
    }
    asked, told = _commands(modules), _told(modules)
    wished = {name: summary for module in modules for name, summary in module.ui_commands.items()}
    shown = {name: summary for module in modules for name, summary in module.ui_events.items()}
    channels |= {SOCKET: _socket(SOCKET, {**asked, **told}), UI: _socket(UI, {**wished, **shown})}
    operations |= {
        "ask": _socket_operation("receive", SOCKET, asked, ASK),
        "tell": _socket_operation("send", SOCKET, told, TELL),
        "ask-ui": _socket_operation("receive", UI, wished, ASK),
        "tell-ui": _socket_operation("send", UI, shown, TELL),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headwater",
            "version": "1",
            "description": "Values are in the Confluent wire format: byte 0, registry id (4 bytes, big endian), Avro body. "
            "Headers are CloudEvents 1.0, Kafka binding, binary mode.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {event.__name__: _message(event) for event in public}
            | _plain_messages({**asked, **wished, **shown, **told})
        },
    }


def _topic(name: str, events: list[type[Event]]) -> dict[str, Any]:
    return {
        "address": name,
        "title": f"Topic {name}",
        "messages": {event.__name__: _ref(event.__name__) for event in events},
    }


def _message(event: type[Event]) -> dict[str, Any]:
    schema = json.loads(schema_text(event))
    return {
        "name": event.NAME,
        "title": event.__name__,
        "summary": schema["doc"],
        "contentType": "application/avro",
        "headers": {"type": "object", "properties": {name: {"type": "string"} for name in HEADERS}},
        "payload": {"schemaFormat": AVRO, "schema": schema},
        "bindings": {"kafka": {"key": {"type": "string", "description": f"The event's {event.KEY}."}}},
    }


def _socket(channel: str, names: dict[str, str]) -> dict[str, Any]:
    return {
        "address": ADDRESSES[channel],
        "title": "Socket.IO",
        "messages": {name: _ref(name) for name in names},
    }


def _socket_operation(action: str, channel: str, names: dict[str, str], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def _plain_messages(names: dict[str, str]) -> dict[str, Any]:
    return {
        name: {"name": name, "title": name, "summary": summary, "payload": {"type": "object"}}
        for name, summary in names.items()
    }


def _commands(modules: list[Module]) -> dict[str, str]:
    return {name: f"Ask {module.name}." for module in modules for name in module.socket_commands}


def _told(modules: list[Module]) -> dict[str, str]:
    return {name: summary for module in modules for name, summary in module.socket_events.items()}


def _listeners(modules: list[Module]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for module in modules:
        for consumer in module.consumers:
            for topic in {handler.event.TOPIC for handler in consumer.handlers}:
                found.setdefault(topic, []).append(consumer.group)
    return {topic: sorted(groups) for topic, groups in found.items()}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}
