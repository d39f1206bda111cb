"""A record of a topic in words: what the tail prints, REST streams and exports hold."""

from typing import Any

import msgspec

from bounded_contexts.audit.domain.chain import moment_of
from infra.avro import Codec, Undecodable
from infra.kafka_reader import OpenReader, Raw


def described(raw: Raw, opened: OpenReader, codec: Codec) -> dict[str, Any]:
    """Return the record; what cannot be decoded has its bytes as `value` and why not as `error`."""
    record: dict[str, Any] = {
        "topic": opened.topic_of(raw),
        "partition": raw.partition,
        "offset": raw.offset,
        "timestamp": moment_of(raw.timestamp).isoformat(),
        "key": _text(raw.key),
        "headers": {name: _text(value) for name, value in raw.headers},
    }
    type_ = record["headers"].get("ce_type")
    try:
        recorded = opened.recorded(raw, codec)
    except Undecodable as error:
        return record | {"type": type_, "error": str(error), "value": raw.value}
    if recorded is None:
        return record | {"type": type_, "error": "an event of somebody else", "value": raw.value}
    return record | {"type": recorded.event.NAME, "data": recorded.event.to_record()}


def line(record: dict[str, Any]) -> bytes:
    """Return the record as one line of JSON; bytes become base64."""
    return msgspec.json.encode(record) + b"\n"


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
