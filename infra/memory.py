"""In-memory twins of `EventLog` and `EventStore` for unit tests: same contract suites as the real ones, nothing survives."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Generic, TypeVar
from uuid import UUID

from shared_kernel.errors import Conflict
from shared_kernel.events import Event, Position, event_key

E = TypeVar("E", bound=Event)

PARTITIONS = 6


class MemoryLog:
    def __init__(self) -> None:
        self.events: list[Event] = []  # in the order they were published
        self._ends: dict[tuple[str, int], int] = defaultdict(int)

    async def publish(self, event: Event) -> Position:
        partition = (event.TOPIC, sum(event_key(event).encode()) % PARTITIONS)
        self.events.append(event)
        self._ends[partition] += 1
        return Position(*partition, self._ends[partition] - 1)


class MemoryEventStore(Generic[E]):
    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._streams: dict[UUID, list[tuple[datetime, E]]] = defaultdict(list)

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[E], int]:
        recorded = takewhile(lambda each: as_of is None or each[0] <= as_of, self._streams[stream])
        events = tuple(event for _, event in recorded)
        return events, len(events)

    async def append(self, stream: UUID, version: int, events: Sequence[E]) -> None:
        await self.append_all([(stream, version, events)])

    async def append_all(self, appends: Sequence[tuple[UUID, int, Sequence[E]]]) -> None:
        if any(events and len(self._streams[stream]) != version for stream, version, events in appends):
            raise Conflict("version_conflict", "the stream has moved on")
        for stream, _, events in appends:
            self._streams[stream].extend((self._now(), event) for event in events)
