"""Events to bytes and back, in the Confluent wire format: 0, registry id (4 bytes, big endian), Avro body.

The generated classes convert UUIDs and times, so fastavro gets the schemas without logical types: that is
four fifths of its decoding cost (docs/adr/0003).
"""

import io
import json
import struct
from collections.abc import Callable, Container, Iterable, Mapping
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

    name: str | None  # of what is built; None: known when it is
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
    _readers: dict[bytes, _Reader | None] = field(default_factory=dict)  # by what values begin with

    async def start(self) -> None:
        """Register (or find) the newest version of every event. Raise `SchemaRejected` or `Unavailable`."""
        for event in self.events:
            text = schema_text(event)
            self._ids[event.NAME] = await self.registry.register(event.NAME, text)
            self._schemas[event.NAME] = without_logical_types(text)
            reader = _Reader(event.NAME, self._schemas[event.NAME], None, event.from_record)
            self._readers[HEADER.pack(MAGIC, self._ids[event.NAME])] = reader

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
        for start in {value[: HEADER.size] for value in values if value is not None} - self._readers.keys():
            if len(start) == HEADER.size and start[0] == MAGIC:
                with suppress(LookupError):  # not in the registry: `decode` refuses it
                    self._readers[start] = self._reader_of(await self.registry.schema(_schema_id(start)))

    def knows(self, value: bytes | None) -> bool:
        """Return whether `learn` has nothing to find out about the value."""
        return value is not None and value[: HEADER.size] in self._readers

    def decode(self, value: bytes | None, wanted: Container[str] | None = None) -> Event | None:
        """Return the event, or None for an event of somebody else and, without reading it, for one whose name is not
        wanted, where the schema tells that. Call `learn` before. Raise `Undecodable`."""
        if value is None or (start := value[: HEADER.size]) not in self._readers:
            raise Undecodable("no Confluent wire format with a schema id the registry knows")
        reader = self._readers[start]
        if reader is None or (wanted is not None and reader.name is not None and reader.name not in wanted):
            return None
        body = io.BytesIO(value)
        body.seek(HEADER.size)
        try:
            record: Any = schemaless_reader(body, reader.writer, reader.reader)
            return reader.build(record)
        except Exception as error:  # a broken body raises whatever fastavro stumbles over first
            reason = f"{type(error).__name__}: {error}"
            raise Undecodable(f"body does not fit schema {_schema_id(start)}: {reason}") from error

    def _reader_of(self, text: str) -> _Reader | None:
        schema = json.loads(text)
        name = f"{schema.get('namespace')}.{schema.get('name')}" if isinstance(schema, dict) else ""
        if name in self.upcasts:
            return _Reader(None, without_logical_types(text), None, self.upcasts[name])
        for event in self.events:
            if name == event.NAME:
                return _Reader(name, without_logical_types(text), self._schemas[name], event.from_record)
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


def _schema_id(start: bytes) -> int:
    return int(HEADER.unpack(start)[1])
