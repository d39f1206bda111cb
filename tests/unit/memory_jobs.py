"""Conversion jobs without servers: twins of what they need, and a converter that does what a test says."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from bounded_contexts.documents.application.job_ports import Choice, JobPorts, Listed, Place, Terms, Usage
from bounded_contexts.documents.application.ports import Report, Task, ToldLoss
from bounded_contexts.documents.application.uploading import upload
from bounded_contexts.documents.domain.conversion import ConversionEvent
from infra.blobs_memory import MemoryBlobs
from infra.memory import MemoryEventStore, MemoryLog
from schemas.documents.events import ConversionProgressed, ConversionRequested

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REPORT = Report({"null_as_text": 2}, (ToldLoss("null_as_text", "/0/a", "null"),), {"charset": "utf-8"}, 0, 0)
TERMS = Terms(
    input_bytes=1 << 20,
    output_bytes=1 << 20,
    waiting_per_user=3,
    stored_per_user=1 << 20,
    lifetime=timedelta(days=1),
)


@dataclass
class Begun:
    """A conversion that yields its input in capitals, and does before each piece what the test says."""

    source: AsyncIterable[bytes]
    before: Callable[[bytes], Awaitable[None]]
    read_bytes: int = 0
    report: Report = REPORT

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self.source:
            await self.before(piece)
            self.read_bytes += len(piece)
            yield piece.upper()


async def nothing(_: bytes) -> None:
    """Leave it as it is."""


@dataclass
class ToyConverter:
    """Counts how many conversions are under way, and never leaves one behind."""

    before: Callable[[bytes], Awaitable[None]] = nothing
    refusal: Exception | None = None  # of a conversion that does not even begin
    tasks: list[Task] = field(default_factory=list)
    running: int = 0
    most: int = 0

    @asynccontextmanager
    async def converting(self, task: Task, source: AsyncIterable[bytes]) -> AsyncIterator[Begun]:
        if self.refusal:
            raise self.refusal
        self.tasks.append(task)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield Begun(source, self.before)
        finally:
            self.running -= 1


class NoList:
    """What jobs are listed is for tests with a database; here a user has what the test says."""

    def __init__(self) -> None:
        self.used = Usage(0, 0)

    async def changed(self, event: ConversionEvent) -> None: ...

    async def progressed(self, event: ConversionProgressed) -> None: ...

    async def page(self, choice: Choice, limit: int, before: Place | None = None) -> list[Listed]:
        return []

    async def job(self, document_id: UUID) -> Listed | None:
        return None

    async def usage(self, user_id: UUID) -> Usage:
        return self.used


@dataclass
class World:
    """The context without servers, at a time that the test moves."""

    now: datetime = NOW
    user: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.store: MemoryEventStore[ConversionEvent] = MemoryEventStore()
        self.log, self.blobs = MemoryLog(), MemoryBlobs(lambda: self.now)
        self.converter, self.list = ToyConverter(), NoList()
        self.ports = JobPorts(
            store=self.store,
            log=self.log,
            blobs=self.blobs,
            converter=self.converter,
            job_writer=self.list,
            jobs=self.list,
            terms=TERMS,
            now=lambda: self.now,
        )

    async def uploaded(self, content: bytes = b"text", document_id: UUID | None = None) -> ConversionRequested:
        """Upload a document. Return what its consumer hears."""
        id_ = document_id or uuid4()
        await upload(id_, self.user, Task("json", "csv"), "a.json", pieces(content), self.ports)
        events, _ = await self.store.load(id_)
        assert isinstance(events[0], ConversionRequested)
        return events[0]

    async def said(self, document_id: UUID) -> list[str]:
        """Return the names of what has happened to it."""
        return [type(event).__name__ for event in (await self.store.load(document_id))[0]]

    @property
    def contents(self) -> list[bytes]:
        """Return everything that is stored."""
        return [content for content, _ in self.blobs.kept.values()]

    def on_terms(self, **terms: int) -> JobPorts:
        """Return the ports with other terms."""
        return replace(self.ports, terms=replace(TERMS, **terms))  # type: ignore[arg-type]


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]
