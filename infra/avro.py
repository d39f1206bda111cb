"""Events to bytes and back, in the Confluent wire format: 0, registry id (4 bytes, big endian), Avro body.

The generated classes convert UUIDs and times, so fastavro gets the schemas without logical types: that is
four fifths of its decoding cost (docs/adr/0003).
"""

import io
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from infra.schema_compiler import SCHEMAS
from infra.schema_registry import SchemaRegistry
from shared_kernel.events import Event

HEADER = struct.Struct(">bI")
MAGIC = 0
EVENT_LIMIT = 900_000  # bytes; the broker's own limit is 1 MiB per batch

Upcast = Callable[[dict[str, Any]], Event]


class Undecodable(ValueError):
    """The bytes are no event that we could ever read."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """How to read records of one writer's schema."""

    writer: Any
    reader: Any  # None: the writer's schema is the newest
    build: Callable[[dict[str, Any]], Event]


@dataclass(slots=True)
class Codec:
    """Encodes the known events and decodes whatever version of them the registry knows. Not for several threads."""

    registry: SchemaRegistry
    events: Iterable[type[Event]]
    upcasts: Mapping[str, Upcast] = field(default_factory=dict)  # full name of a retired event → its successor
    _ids: dict[str, int] = field(default_factory=dict)
    _schemas: dict[str, Any] = field(default_factory=dict)
    _readers: dict[int, _Reader | None] = field(default_factory=dict)

    async def start(self) -> None:
        """Register (or find) the newest version of every event. Raise `SchemaRejected` or `Unavailable`."""
        for event in self.events:
            text = schema_text(event)
            self._ids[event.NAME] = await self.registry.register(event.NAME, text)
            self._schemas[event.NAME] = without_logical_types(text)
            self._readers[self._ids[event.NAME]] = _Reader(self._schemas[event.NAME], None, event.from_record)

    def encode(self, event: Event) -> bytes:
        """Return the record's value. Raise `ValueError` when it is larger than `EVENT_LIMIT` bytes."""
        out = io.BytesIO()
        out.write(HEADER.pack(MAGIC, self._ids[event.NAME]))
        schemaless_writer(out, self._schemas[event.NAME], event.to_record())
        if out.tell() > EVENT_LIMIT:
            raise ValueError(f"{event.NAME} of {out.tell()} bytes; the limit is {EVENT_LIMIT}")
        return out.getvalue()

    async def learn(self, values: Iterable[bytes | None]) -> None:
        """Fetch the schemas these values were written with and that are not known yet. Raise `Unavailable`."""
        for schema_id in {_schema_id(value) for value in values} - self._readers.keys():
            if schema_id is not None:
                with suppress(LookupError):  # not in the registry: `decode` refuses it
                    self._readers[schema_id] = self._reader_of(await self.registry.schema(schema_id))

    def decode(self, value: bytes | None) -> Event | None:
        """Return the event, or None for an event of somebody else. Call `learn` before. Raise `Undecodable`."""
        schema_id = _schema_id(value)
        if value is None or schema_id is None or schema_id not in self._readers:
            raise Undecodable("no Confluent wire format with a schema id the registry knows")
        reader = self._readers[schema_id]
        if reader is None:
            return None
        try:
            record: Any = schemaless_reader(io.BytesIO(value[HEADER.size :]), reader.writer, reader.reader)
            return reader.build(record)
        except Exception as error:  # a broken body raises whatever fastavro stumbles over first
            raise Undecodable(f"body does not fit schema {schema_id}: {type(error).__name__}: {error}") from error

    def _reader_of(self, text: str) -> _Reader | None:
        schema = json.loads(text)
        name = f"{schema.get('namespace')}.{schema.get('name')}" if isinstance(schema, dict) else ""
        if name in self.upcasts:
            return _Reader(without_logical_types(text), None, self.upcasts[name])
        for event in self.events:
            if name == event.NAME:
                return _Reader(without_logical_types(text), self._schemas[name], event.from_record)
        return None


def schema_text(event: type[Event]) -> str:
    """Return the Avro file of the event's newest version, white space removed."""
    return json.dumps(json.loads((SCHEMAS / event.SCHEMA).read_text(encoding="utf-8")), separators=(",", ":"))


def without_logical_types(text: str) -> Any:
    """Return the parsed schema with its logical types removed."""
    return parse_schema(_strip(json.loads(text)))


def _strip(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _strip(value) for name, value in schema.items() if name != "logicalType"}
    return [_strip(item) for item in schema] if isinstance(schema, list) else schema


def _schema_id(value: bytes | None) -> int | None:
    if value is None or len(value) < HEADER.size or value[0] != MAGIC:
        return None
    return int(HEADER.unpack_from(value)[1])
