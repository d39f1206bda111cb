"""What templates need from elsewhere."""

from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bounded_contexts.documents.application.job_ports import Place
from bounded_contexts.documents.domain.rendering.variables import Variable
from bounded_contexts.documents.domain.template import Kind, TemplateEvent
from shared_kernel.blobs import Blobs
from shared_kernel.events import EventStore


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file is as a template, and what it needs."""

    kind: Kind
    variables: tuple[Variable, ...]


class Inspector(Protocol):
    """Reads templates apart from this process, as `Renderer` does with instructions."""

    async def inspected(self, source: AsyncIterable[bytes]) -> Inspection:
        """Return what it is. Raise `Invalid` with all that is wrong with a document, `Unreadable` for what is no template,
        `TooLarge`, `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class ListedTemplate:
    """The newest version of a template; size in bytes."""

    template_id: UUID
    name: str
    version: int
    kind: Kind
    size: int
    sha256: str
    stored_at: datetime


class TemplateWriter(Protocol):
    """The list of templates. Events come in the order of their topic; one that comes again changes nothing."""

    async def changed(self, event: TemplateEvent) -> None:
        """Take the event over."""
        ...


class TemplateReader(Protocol):
    """What has been listed of templates."""

    async def newest(self, limit: int, before: Place | None = None) -> list[ListedTemplate]:
        """Return the newest versions, last stored first, those after `before`."""
        ...


@dataclass(frozen=True, slots=True)
class TemplatePorts:
    store: EventStore[TemplateEvent]
    blobs: Blobs
    inspector: Inspector
    writer: TemplateWriter
    templates: TemplateReader
    input_bytes: int  # of a template
    now: Callable[[], datetime]  # time-zone aware, UTC
