"""Documents without servers: twins of what they need, and a renderer that does what a test says."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from bounded_contexts.documents.application.document_ports import (
    DocumentPorts,
    DocumentTerms,
    Findings,
    ListedDocument,
    RenderReport,
)
from bounded_contexts.documents.application.job_ports import Place, Usage
from bounded_contexts.documents.application.requesting import Instructions, request_own
from bounded_contexts.documents.domain.document import DocumentEvent
from bounded_contexts.documents.domain.losses import Loss
from bounded_contexts.documents.domain.rendering.fidelity import Target
from infra.blobs_memory import MemoryBlobs
from infra.memory import MemoryEventStore
from schemas.documents.events import DocumentRequested
from shared_kernel.blobs import BlobName
from tests.unit.memory_jobs import NOW, nothing

LIFETIME = timedelta(days=7)
REPORT = RenderReport("application/pdf", 2, {"approximated": 1}, (Loss("approximated", "/body/0", "x"),), "toy", "1")
TERMS = DocumentTerms(
    input_bytes=1000, lines_bytes=2000, output_bytes=1000, waiting_per_user=3, stored_per_user=1000, lifetime=LIFETIME
)


@dataclass
class Begun:
    """A rendering that yields the instructions in capitals, and does before each piece what the test says."""

    source: AsyncIterable[bytes]
    before: Callable[[bytes], Awaitable[None]]
    report: RenderReport = REPORT

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self.source:
            await self.before(piece)
            yield piece.upper()


@dataclass
class ToyRenderer:
    """Counts what it renders, and never leaves a rendering behind."""

    before: Callable[[bytes], Awaitable[None]] = nothing
    refusal: Exception | None = None  # of a rendering that does not even begin
    count: int = 0
    running: int = 0
    version: str = REPORT.engine_version

    @asynccontextmanager
    async def rendering(self, target: Target, source: AsyncIterable[bytes]) -> AsyncIterator[Begun]:
        if self.refusal:
            raise self.refusal
        self.count += 1
        self.running += 1
        try:
            yield Begun(source, self.before)
        finally:
            self.running -= 1

    def is_current(self, engine: str, version: str) -> bool:
        return (engine, version) == (REPORT.engine, self.version)

    async def findings(self, targets: Collection[Target], source: AsyncIterable[bytes]) -> Findings:
        return Findings((), None, {})

    async def preview(self, page: int, width: int, source: AsyncIterable[bytes]) -> tuple[bytes, int]:
        return b"", 1


class ShortList:
    """What is listed is for tests with a database; here it is what the test says."""

    def __init__(self) -> None:
        self.used = Usage(0, 0)
        self.over: list[UUID] = []
        self.known: set[BlobName] = set()
        self.rendered: list[UUID] = []

    async def changed(self, event: DocumentEvent) -> None: ...

    async def of_user(self, user_id: UUID, limit: int, before: Place | None = None) -> list[ListedDocument]:
        return []

    async def usage(self, user_id: UUID) -> Usage:
        return self.used

    async def alike(self, user_id: UUID, target: Target, input_sha256: str) -> list[UUID]:
        return self.rendered

    async def past(self, moment: datetime, limit: int) -> list[UUID]:
        return self.over

    async def needed(self, blobs: Sequence[BlobName]) -> set[BlobName]:
        return self.known


@dataclass
class DocumentWorld:
    """The context without servers, at a time that the test moves."""

    now: datetime = NOW
    user: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.store: MemoryEventStore[DocumentEvent] = MemoryEventStore()
        self.blobs = MemoryBlobs(lambda: self.now)
        self.renderer, self.list = ToyRenderer(), ShortList()
        self.ports = DocumentPorts(
            store=self.store,
            blobs=self.blobs,
            renderer=self.renderer,
            writer=self.list,
            documents=self.list,
            terms=TERMS,
            now=lambda: self.now,
        )

    async def requested(
        self, content: bytes | AsyncIterator[bytes] = b"text", document_id: UUID | None = None, target: Target = "pdf"
    ) -> DocumentRequested:
        """Ask for a document. Return what its consumer hears."""
        asked = Instructions(
            document_id=document_id or uuid4(),
            user_id=self.user,
            target=target,
            name="hello",
            content=content,
            lifetime=LIFETIME,
        )
        await request_own(asked, self.ports)
        events, _ = await self.store.load(asked.document_id)
        assert isinstance(events[0], DocumentRequested)
        return events[0]

    async def said(self, document_id: UUID) -> list[str]:
        """Return the names of what has happened to it."""
        return [type(event).__name__ for event in (await self.store.load(document_id))[0]]

    @property
    def contents(self) -> list[bytes]:
        """Return everything that is stored."""
        return sorted(content for content, _ in self.blobs.kept.values())
