"""Document: instructions that somebody has sent, and the file that is rendered of them. Pure: no clock, no I/O, no randomness.

As with a conversion, whoever renders says so first, and the first outcome holds. The instructions are kept as long as the file:
the file can be rendered from them again, byte by byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, cast
from uuid import UUID

from bounded_contexts.documents.domain.document_commands import (
    BeginRendering,
    CancelDocument,
    CompleteDocument,
    DeleteDocument,
    DocumentCommand,
    ExpireDocument,
    FailDocument,
    Origin,
    RequestDocument,
)
from bounded_contexts.documents.domain.losses import Loss
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.problems import Problem
from schemas.documents.events import (
    DocumentCancelled,
    DocumentDeleted,
    DocumentExpired,
    DocumentFailed,
    DocumentProblem,
    DocumentRendered,
    DocumentRequested,
    RenderingBegun,
    RenderingWarning,
)
from shared_kernel.errors import NotFound, Refused, Taken

DEATHS = 5  # of workers that had the document, which may be what they die of, before it is given up
ATTEMPTS = 100  # interrupted ones included: processes are stopped for reasons of their own

DocumentEvent = (
    DocumentRequested
    | RenderingBegun
    | DocumentRendered
    | DocumentFailed
    | DocumentCancelled
    | DocumentExpired
    | DocumentDeleted
)
Status = Literal["waiting", "running", "rendered", "failed", "cancelled", "expired", "deleted"]
OPEN: tuple[Status, ...] = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class File:
    """What came out; size in bytes."""

    id: UUID
    size: int
    sha256: str
    media_type: str
    pages: int | None
    warnings: Mapping[str, int]  # by code
    first_warnings: tuple[Loss, ...]
    engine: str
    engine_version: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing came out, and where in the instructions."""

    code: str
    detail: str
    place: Mapping[str, str]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Document:
    user_id: UUID
    target: Target
    name: str | None
    origin: Origin
    source_id: UUID | None
    input_id: UUID
    input_bytes: int
    input_sha256: str
    lifetime: timedelta
    requested_at: datetime
    changed_at: datetime
    status: Status = "waiting"
    attempts: int = 0
    deaths: int = 0  # of its workers, as far as somebody was left to tell
    file: File | None = None
    failure: Failure | None = None

    @property
    def is_open(self) -> bool:
        """Return whether there is something left to render."""
        return self.status in OPEN


INITIAL: Document | None = None


def decide(state: Document | None, ask: DocumentCommand) -> tuple[DocumentEvent, ...]:
    """Return what happens, nothing if it already has. Raise `NotFound` for a document that is not the asker's, `Refused` and
    `Taken` for what comes too late."""
    match ask:
        case RequestDocument():
            return _requested(state, ask)
        case BeginRendering():
            return _begun(known(state), ask)
        case CompleteDocument():
            return _completed(known(state), ask)
        case FailDocument():
            return _failed(known(state), ask)
        case CancelDocument():
            return _cancelled(visible(state, ask.user_id), ask)
        case ExpireDocument():
            return _expired(known(state), ask)
        case DeleteDocument():
            document = visible(state, ask.user_id)
            return (DocumentDeleted(document_id=ask.document_id, user_id=document.user_id, deleted_at=ask.at),)


def evolve(state: Document | None, event: DocumentEvent) -> Document:
    if isinstance(event, DocumentRequested):
        return Document(
            user_id=event.user_id,
            target=cast("Target", event.target),
            name=event.name,
            origin=cast("Origin", event.origin),
            source_id=event.source_id,
            input_id=event.input_id,
            input_bytes=event.input_bytes,
            input_sha256=event.input_sha256,
            lifetime=timedelta(seconds=event.lifetime_seconds),
            requested_at=event.requested_at,
            changed_at=event.requested_at,
        )
    document = known(state)
    match event:
        case RenderingBegun():
            deaths = document.deaths + (event.why is not None)
            return replace(document, status="running", attempts=event.attempt, deaths=deaths, changed_at=event.begun_at)
        case DocumentRendered():
            return replace(document, status="rendered", file=_file(event), changed_at=event.rendered_at)
        case DocumentFailed():
            return replace(document, status="failed", failure=_failure(event), changed_at=event.failed_at)
        case DocumentCancelled():
            return replace(document, status="cancelled", changed_at=event.cancelled_at)
        case DocumentExpired():
            return replace(document, status="expired", changed_at=event.expired_at)
        case DocumentDeleted():
            return replace(document, status="deleted", changed_at=event.deleted_at)


def visible(state: Document | None, user_id: UUID) -> Document:
    """Return the document for its owner. Raise `NotFound` for everybody else, and when it was deleted."""
    if (document := present(state)).user_id != user_id:
        raise NotFound("document_not_found")
    return document


def present(state: Document | None) -> Document:
    """Return the document. Raise `NotFound` where there never was one, and when it was deleted."""
    if state is None or state.status == "deleted":
        raise NotFound("document_not_found")
    return state


def known(state: Document | None) -> Document:
    """Return the document. Raise `NotFound` where there never was one."""
    if state is None:
        raise NotFound("document_not_found")
    return state


def kept(state: Document | None) -> frozenset[UUID]:
    """Return the blobs of the document that somebody still needs."""
    if state is None:
        return frozenset()
    if state.is_open:
        return frozenset({state.input_id})
    if state.file and state.status == "rendered":
        return frozenset({state.input_id, state.file.id})
    return frozenset()


def _requested(state: Document | None, ask: RequestDocument) -> tuple[DocumentEvent, ...]:
    if state is not None:
        if state.status != "deleted" and _asked(state) == _asked(ask):
            return ()  # the same request again
        raise Refused("idempotency_mismatch", "another document was asked for by this key")
    requested = DocumentRequested(
        document_id=ask.document_id,
        user_id=ask.user_id,
        target=ask.target,
        name=ask.name,
        origin=ask.origin,
        source_id=ask.source_id,
        input_id=ask.input_id,
        input_bytes=ask.input_bytes,
        input_sha256=ask.input_sha256,
        lifetime_seconds=int(ask.lifetime.total_seconds()),
        requested_at=ask.at,
    )
    return (requested,)


def _asked(of: Document | RequestDocument) -> tuple[object, ...]:
    """Return what makes two requests the same."""
    return of.user_id, of.target, of.name, of.origin, of.source_id, of.input_sha256


def _begun(document: Document, ask: BeginRendering) -> tuple[DocumentEvent, ...]:
    if not document.is_open:
        return ()
    deaths = document.deaths + (ask.why is not None)
    if deaths < DEATHS and document.attempts < ATTEMPTS:
        attempt = document.attempts + 1
        return (RenderingBegun(document_id=ask.document_id, attempt=attempt, why=ask.why, begun_at=ask.at),)
    given_up = FailDocument(
        document_id=ask.document_id,
        code=ask.why or "rendering_interrupted",
        detail=f"it was tried {document.attempts} times",
        place={},
        problems=(),
        at=ask.at,
    )
    return _failed(document, given_up)


def _completed(document: Document, ask: CompleteDocument) -> tuple[DocumentEvent, ...]:
    if not document.is_open:
        return ()
    rendered = DocumentRendered(
        document_id=ask.document_id,
        user_id=document.user_id,
        target=document.target,
        name=document.name,
        origin=document.origin,
        source_id=document.source_id,
        result_id=ask.result_id,
        result_bytes=ask.result_bytes,
        result_sha256=ask.result_sha256,
        media_type=ask.media_type,
        pages=ask.pages,
        warnings=dict(ask.warnings),
        first_warnings=tuple(
            RenderingWarning(code=each.code, pointer=each.pointer, detail=each.detail) for each in ask.first_warnings
        ),
        engine=ask.engine,
        engine_version=ask.engine_version,
        rendered_at=ask.at,
        expires_at=ask.at + document.lifetime,
    )
    return (rendered,)


def _failed(document: Document, ask: FailDocument) -> tuple[DocumentEvent, ...]:
    if not document.is_open:
        return ()
    failed = DocumentFailed(
        document_id=ask.document_id,
        user_id=document.user_id,
        target=document.target,
        name=document.name,
        origin=document.origin,
        source_id=document.source_id,
        code=ask.code,
        detail=ask.detail,
        place=dict(ask.place),
        problems=tuple(
            DocumentProblem(pointer=each.pointer, code=each.code, detail=each.detail) for each in ask.problems
        ),
        failed_at=ask.at,
    )
    return (failed,)


def _cancelled(document: Document, ask: CancelDocument) -> tuple[DocumentEvent, ...]:
    if document.status == "cancelled":
        return ()
    if not document.is_open:
        raise Taken("document_over", f"it is {document.status}")
    return (DocumentCancelled(document_id=ask.document_id, user_id=document.user_id, cancelled_at=ask.at),)


def _expired(document: Document, ask: ExpireDocument) -> tuple[DocumentEvent, ...]:
    if document.status != "rendered" or document.file is None or ask.at < document.file.expires_at:
        return ()
    return (DocumentExpired(document_id=ask.document_id, user_id=document.user_id, expired_at=ask.at),)


def _file(event: DocumentRendered) -> File:
    return File(
        event.result_id,
        event.result_bytes,
        event.result_sha256,
        event.media_type,
        event.pages,
        event.warnings,
        tuple(Loss(each.code, each.pointer, each.detail) for each in event.first_warnings),
        event.engine,
        event.engine_version,
        event.expires_at,
    )


def _failure(event: DocumentFailed) -> Failure:
    problems = tuple(Problem(each.pointer, each.code, each.detail) for each in event.problems)
    return Failure(event.code, event.detail, event.place, problems)
