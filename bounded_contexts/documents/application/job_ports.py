"""What conversion jobs need from elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from bounded_contexts.documents.application.ports import Converter
from bounded_contexts.documents.domain.conversion import ConversionEvent, Status
from schemas.documents.events import ConversionProgressed
from shared_kernel.blobs import Blobs
from shared_kernel.events import EventLog, EventStore

Place = tuple[datetime, UUID]  # in a list that is ordered by a time, last first, and an id


@dataclass(frozen=True, slots=True)
class Listed:
    """A job as lists show it; sizes in bytes."""

    document_id: UUID
    user_id: UUID
    status: Status
    read: str | None
    write: str
    name: str | None
    input_bytes: int
    read_bytes: int  # how far it is, as it was told last
    result_bytes: int | None
    losses: int | None  # changed leaves
    code: str | None  # of a failure
    requested_at: datetime
    changed_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which jobs are listed; None: whoever's they are, however they are."""

    user_id: UUID | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What somebody has in the house."""

    waiting: int  # jobs that are not over
    stored: int  # bytes of their inputs, and of results


class JobWriter(Protocol):
    """The list of jobs. Events come in the order of their topic; one that comes again changes nothing."""

    async def changed(self, event: ConversionEvent) -> None:
        """Take the event over."""
        ...

    async def progressed(self, event: ConversionProgressed) -> None:
        """Note how far a job is that is not over."""
        ...


class JobReader(Protocol):
    """What has been listed of jobs; those that were deleted are not."""

    async def page(self, choice: Choice, limit: int, before: Place | None = None) -> list[Listed]:
        """Return those jobs, last requested first, from `before` on."""
        ...

    async def job(self, document_id: UUID) -> Listed | None:
        """Return one job."""
        ...

    async def usage(self, user_id: UUID) -> Usage:
        """Return what the user has, as far as it is listed."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job may take. Sizes in bytes."""

    input_bytes: int
    output_bytes: int
    waiting_per_user: int
    stored_per_user: int
    lifetime: timedelta  # of a result


@dataclass(frozen=True, slots=True)
class JobPorts:
    store: EventStore[ConversionEvent]
    log: EventLog
    blobs: Blobs
    converter: Converter
    job_writer: JobWriter
    jobs: JobReader
    terms: Terms
    now: Callable[[], datetime]  # time-zone aware, UTC
