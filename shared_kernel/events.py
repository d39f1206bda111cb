"""What every event has, and the two ways to record one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self, TypeVar
from uuid import UUID, uuid4, uuid5


class Event(Protocol):
    """A fact, generated from its Avro file."""

    NAME: ClassVar[str]  # Avro full name, the CloudEvents type
    VERSION: ClassVar[int]
    TOPIC: ClassVar[str]
    KEY: ClassVar[str]  # field whose value orders: events with one key are read in the order they were written
    ID: ClassVar[str | None]  # field from which the event's id follows; None: every event is its own
    VISIBILITY: ClassVar[str]  # public, or private to the context that owns it
    SCHEMA: ClassVar[str]  # Avro file of the newest version, relative to schemas/

    def to_record(self) -> dict[str, Any]: ...

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self: ...


E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=Event)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record lies on the log."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it lies on the log."""

    event: Event
    position: Position
    id: str  # the same for a repeat of the same fact
    source: str
    subject: str
    time: str  # RFC 3339, UTC
    correlation_id: str
    traceparent: str | None


def event_id(event: Event) -> UUID:
    """Return the event's id: the same for a repeat of the same fact if the schema names an `id` field, else a new one."""
    return id_of(type(event), getattr(event, event.ID)) if event.ID else uuid4()


def id_of(event: type[Event], named: UUID) -> UUID:
    """Return the id of the event of this type whose `ID` field is `named`."""
    return uuid5(named, event.NAME)


def event_key(event: Event) -> str:
    """Return what orders the event among others of its topic."""
    return str(getattr(event, event.KEY))


class EventStore(Protocol[S]):
    """Streams that an aggregate decides on: versioned, one writer wins."""

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[S], int]:
        """Return the stream's events, oldest first, and its version (0 = no stream); with `as_of` those that had been
        recorded by then, and the version of then."""
        ...

    async def append(self, stream: UUID, version: int, events: Sequence[S]) -> None:
        """Append all events or none; they reach their topics in this order. Raise `Conflict` unless the stream is at
        `version`, `Unavailable` when the outcome is not known. Inside a transaction it joins it."""
        ...


class AtomicEventStore(EventStore[S], Protocol[S]):
    """An event store for decisions that span several streams of one context."""

    async def append_all(self, appends: Sequence[tuple[UUID, int, Sequence[S]]]) -> None:
        """Append to several streams, each (stream, version, events) as `append` does; all or none of them."""
        ...


class EventLog(Protocol):
    """Facts that need no version: acknowledged by the broker, ordered by key."""

    async def publish(self, event: Event) -> Position:
        """Return where the event lies once all in-sync replicas have it. A repeat is a second record with the same
        id: readers go by the id. Raise `Unavailable` when it was not acknowledged in time."""
        ...
