"""Conversion: a document that somebody has uploaded, and what becomes of it. Pure: no clock, no I/O, no randomness.

Whoever converts says so first, and what the worker before died of; a process that is stopped or killed has said no more, so
that its successors know how often it was tried, and how often the document may have been to blame. Several may work at once by
mistake: the first outcome holds, later ones change nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from bounded_contexts.documents.domain.commands import (
    Begin,
    Cancel,
    Command,
    Complete,
    Delete,
    Expire,
    Fail,
    RequestConversion,
)
from bounded_contexts.documents.domain.losses import Loss
from schemas.documents.events import (
    ChangedLeaf,
    ConversionBegun,
    ConversionCancelled,
    ConversionDeleted,
    ConversionFailed,
    ConversionRequested,
    DocumentConverted,
    ResultExpired,
)
from shared_kernel.errors import NotFound, Refused, Taken

DEATHS = 5  # of workers that had the document, which may be what they die of, before it is given up
ATTEMPTS = 100  # interrupted ones included: processes are stopped for reasons of their own, but hardly so often in a job's time

ConversionEvent = (
    ConversionRequested
    | ConversionBegun
    | DocumentConverted
    | ConversionFailed
    | ConversionCancelled
    | ResultExpired
    | ConversionDeleted
)
Status = Literal["waiting", "running", "converted", "failed", "cancelled", "expired", "deleted"]
OPEN: tuple[Status, ...] = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class Result:
    """What came out; sizes in bytes."""

    id: UUID
    size: int
    sha256: str
    losses: Mapping[str, int]  # by code
    first_losses: tuple[Loss, ...]
    notes: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing came out, and where in the input."""

    code: str
    detail: str
    place: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    user_id: UUID
    read: str | None  # None: as its first bytes look
    write: str
    options: Mapping[str, str]
    packing: str
    name: str | None
    input_id: UUID
    input_bytes: int
    input_sha256: str
    requested_at: datetime
    changed_at: datetime
    status: Status = "waiting"
    attempts: int = 0
    deaths: int = 0  # of its workers, as far as somebody was left to tell
    result: Result | None = None
    failure: Failure | None = None

    @property
    def is_open(self) -> bool:
        """Return whether there is something left to convert."""
        return self.status in OPEN


INITIAL: Job | None = None


def decide(state: Job | None, ask: Command) -> tuple[ConversionEvent, ...]:
    """Return what happens, nothing if it already has. Raise `NotFound` for a job that is not the asker's, `Refused` and `Taken`
    for what comes too late."""
    match ask:
        case RequestConversion():
            return _requested(state, ask)
        case Begin():
            return _begun(known(state), ask)
        case Complete():
            return _completed(known(state), ask)
        case Fail():
            return _failed(known(state), ask)
        case Cancel():
            return _cancelled(visible(state, ask.user_id), ask)
        case Expire():
            return _expired(known(state), ask)
        case Delete():
            job = visible(state, ask.user_id)
            return (ConversionDeleted(document_id=ask.document_id, user_id=job.user_id, deleted_at=ask.at),)


def evolve(state: Job | None, event: ConversionEvent) -> Job:
    if isinstance(event, ConversionRequested):
        return Job(
            user_id=event.user_id,
            read=event.read,
            write=event.write,
            options=event.options,
            packing=event.packing,
            name=event.name,
            input_id=event.input_id,
            input_bytes=event.input_bytes,
            input_sha256=event.input_sha256,
            requested_at=event.requested_at,
            changed_at=event.requested_at,
        )
    job = known(state)
    match event:
        case ConversionBegun():
            deaths = job.deaths + (event.why is not None)
            return replace(job, status="running", attempts=event.attempt, deaths=deaths, changed_at=event.begun_at)
        case DocumentConverted():
            return replace(job, status="converted", result=_result(event), changed_at=event.converted_at)
        case ConversionFailed():
            failure = Failure(event.code, event.detail, event.place)
            return replace(job, status="failed", failure=failure, changed_at=event.failed_at)
        case ConversionCancelled():
            return replace(job, status="cancelled", changed_at=event.cancelled_at)
        case ResultExpired():
            return replace(job, status="expired", changed_at=event.expired_at)
        case ConversionDeleted():
            return replace(job, status="deleted", changed_at=event.deleted_at)


def visible(state: Job | None, user_id: UUID | None) -> Job:
    """Return the job for its owner, or for None, who sees everybody's. Raise `NotFound` for others, and when it was deleted."""
    if state is None or user_id not in (None, state.user_id) or state.status == "deleted":
        raise NotFound("conversion_not_found")
    return state


def known(state: Job | None) -> Job:
    """Return the job. Raise `NotFound` where there never was one."""
    if state is None:
        raise NotFound("conversion_not_found")
    return state


def kept(state: Job | None) -> frozenset[UUID]:
    """Return the blobs of the job that somebody still needs."""
    if state is None:
        return frozenset()
    if state.is_open:
        return frozenset({state.input_id})
    return frozenset({state.result.id}) if state.result and state.status == "converted" else frozenset()


def _requested(state: Job | None, ask: RequestConversion) -> tuple[ConversionEvent, ...]:
    if state is not None:
        if state.status != "deleted" and _asked(state) == _asked(ask):
            return ()  # the same request again
        raise Refused("idempotency_mismatch", "another conversion was asked for by this key")
    requested = ConversionRequested(
        document_id=ask.document_id,
        user_id=ask.user_id,
        read=ask.read,
        write=ask.write,
        options=dict(ask.options),
        packing=ask.packing,
        name=ask.name,
        input_id=ask.input_id,
        input_bytes=ask.input_bytes,
        input_sha256=ask.input_sha256,
        requested_at=ask.at,
    )
    return (requested,)


def _asked(of: Job | RequestConversion) -> tuple[object, ...]:
    """Return what makes two requests the same: not where the input lies, but what it is."""
    return of.user_id, of.read, of.write, dict(of.options), of.packing, of.name, of.input_sha256


def _begun(job: Job, ask: Begin) -> tuple[ConversionEvent, ...]:
    if not job.is_open:
        return ()
    deaths = job.deaths + (ask.why is not None)
    if deaths < DEATHS and job.attempts < ATTEMPTS:
        begun = ConversionBegun(document_id=ask.document_id, attempt=job.attempts + 1, begun_at=ask.at, why=ask.why)
        return (begun,)
    given_up = ConversionFailed(
        document_id=ask.document_id,
        user_id=job.user_id,
        code=ask.why or "conversion_interrupted",
        detail=f"it was tried {job.attempts} times",
        place={},
        failed_at=ask.at,
    )
    return (given_up,)


def _completed(job: Job, ask: Complete) -> tuple[ConversionEvent, ...]:
    if not job.is_open:
        return ()
    converted = DocumentConverted(
        document_id=ask.document_id,
        user_id=job.user_id,
        result_id=ask.result_id,
        result_bytes=ask.result_bytes,
        result_sha256=ask.result_sha256,
        losses=dict(ask.losses),
        first_losses=tuple(
            ChangedLeaf(code=each.code, pointer=each.pointer, detail=each.detail) for each in ask.first_losses
        ),
        notes=dict(ask.notes),
        converted_at=ask.at,
        expires_at=ask.expires_at,
    )
    return (converted,)


def _failed(job: Job, ask: Fail) -> tuple[ConversionEvent, ...]:
    if not job.is_open:
        return ()
    failed = ConversionFailed(
        document_id=ask.document_id,
        user_id=job.user_id,
        code=ask.code,
        detail=ask.detail,
        place=dict(ask.place),
        failed_at=ask.at,
    )
    return (failed,)


def _cancelled(job: Job, ask: Cancel) -> tuple[ConversionEvent, ...]:
    if job.status == "cancelled":
        return ()
    if not job.is_open:
        raise Taken("conversion_over", f"it is {job.status}")
    return (ConversionCancelled(document_id=ask.document_id, user_id=job.user_id, cancelled_at=ask.at),)


def _expired(job: Job, ask: Expire) -> tuple[ConversionEvent, ...]:
    if job.status != "converted" or job.result is None or ask.at < job.result.expires_at:
        return ()
    return (ResultExpired(document_id=ask.document_id, user_id=job.user_id, expired_at=ask.at),)


def _result(event: DocumentConverted) -> Result:
    told = tuple(Loss(each.code, each.pointer, each.detail) for each in event.first_losses)
    return Result(
        event.result_id,
        event.result_bytes,
        event.result_sha256,
        event.losses,
        told,
        event.notes,
        event.expires_at,
    )
