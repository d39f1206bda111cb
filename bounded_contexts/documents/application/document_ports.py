"""What documents that are rendered need from elsewhere."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from bounded_contexts.documents.application.job_ports import Place, Usage
from bounded_contexts.documents.domain.document import DocumentEvent, Status
from bounded_contexts.documents.domain.document_commands import Origin
from bounded_contexts.documents.domain.losses import Loss
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.problems import Problem
from shared_kernel.blobs import BlobName, Blobs
from shared_kernel.events import EventStore


@dataclass(frozen=True, slots=True)
class RenderReport:
    """What a rendering came to."""

    media_type: str
    pages: int | None  # None: programs that open it decide
    warnings: Mapping[str, int]  # by code
    first: tuple[Loss, ...]
    engine: str
    engine_version: str


@dataclass(frozen=True, slots=True)
class TargetFindings:
    """What one target would do to the instructions: what it would warn of, or why it would refuse."""

    warnings: Mapping[str, int]  # by code
    first: tuple[Loss, ...]
    refusal: Problem | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with instructions, and what each target would do to them; nothing where something is wrong."""

    problems: tuple[Problem, ...]
    pages: int | None  # of the PDF, where that was asked for
    targets: Mapping[str, TargetFindings]


class Rendering(Protocol):
    """A rendering that has begun."""

    @property
    def report(self) -> RenderReport:
        """Return what it came to. Known once the pieces have ended."""

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the file. Once.

        Raise what the source raises, `Invalid` with all that is wrong with the instructions, `Unreadable`, `Unwritable`, and
        `TooLarge`, also for the memory and the time that a worker may take; `Unavailable` when its worker died;
        `HeadwaterError` for a defect of ours."""


class Renderer(Protocol):
    """Renders apart from this process: what it reads can harm nobody but itself. All raise as `Rendering` says, and
    `Unavailable` when no worker was free for too long."""

    def rendering(self, target: Target, source: AsyncIterable[bytes]) -> AbstractAsyncContextManager[Rendering]:
        """Begin, and end whatever still works when the block is left."""

    def is_current(self, engine: str, version: str) -> bool:
        """Return whether what this version of an engine has made would be made by the same now."""

    async def findings(self, targets: Collection[Target], source: AsyncIterable[bytes]) -> Findings:
        """Return all that is wrong with the instructions, and what the targets would do to them."""

    async def preview(self, page: int, width: int, source: AsyncIterable[bytes]) -> tuple[bytes, int]:
        """Return a page of the PDF as PNG of so many pixels in width, and how many pages there are. Raise `NotFound` for a page
        that there is none of."""


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document as lists show it; sizes in bytes."""

    document_id: UUID
    user_id: UUID
    status: Status
    target: Target
    name: str | None
    origin: Origin
    source_id: UUID | None
    input_id: UUID
    input_bytes: int
    result_id: UUID | None
    result_bytes: int | None
    pages: int | None
    warnings: int | None
    code: str | None  # of a failure
    requested_at: datetime
    changed_at: datetime
    expires_at: datetime | None


class DocumentWriter(Protocol):
    """The list of documents. Events come in the order of their topic; one that comes again changes nothing."""

    async def changed(self, event: DocumentEvent) -> None:
        """Take the event over."""
        ...


class DocumentReader(Protocol):
    """What has been listed of documents; those that were deleted are not."""

    async def of_user(self, user_id: UUID, limit: int, before: Place | None = None) -> list[ListedDocument]:
        """Return the user's documents, last requested first, those after `before`."""
        ...

    async def usage(self, user_id: UUID) -> Usage:
        """Return what the user has asked for, as far as it is listed; what the house has made for them does not count."""
        ...

    async def alike(self, user_id: UUID, target: Target, input_sha256: str) -> list[UUID]:
        """Return documents of the user that are rendered of the same instructions, the last of them first."""
        ...

    async def past(self, moment: datetime, limit: int) -> list[UUID]:
        """Return documents whose files should have expired by the moment, the first of them."""
        ...

    async def needed(self, blobs: Sequence[BlobName]) -> set[BlobName]:
        """Return which of the blobs a listed document needs for certain."""
        ...


@dataclass(frozen=True, slots=True)
class DocumentTerms:
    """What a document may take. Sizes in bytes."""

    input_bytes: int
    lines_bytes: int  # of instructions with rows that follow them
    output_bytes: int
    waiting_per_user: int
    stored_per_user: int
    lifetime: timedelta  # of a file that somebody has asked for


@dataclass(frozen=True, slots=True)
class DocumentPorts:
    store: EventStore[DocumentEvent]
    blobs: Blobs
    renderer: Renderer
    writer: DocumentWriter
    documents: DocumentReader
    terms: DocumentTerms
    now: Callable[[], datetime]  # time-zone aware, UTC
