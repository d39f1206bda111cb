"""What the REST answers about conversion jobs look like."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from bounded_contexts.documents.application.job_ports import Listed
from bounded_contexts.documents.domain.conversion import Job, Status
from infra.http import NextPage

NUMBERS: Final = ("line", "column", "offset", "allowed")  # of a place; events have all of it as texts
Place = dict[str, str | int]


def place_of(known: Mapping[str, str]) -> Place:
    """Return a place as it is answered."""
    return {name: int(value) if name in NUMBERS else value for name, value in known.items()}


class JobSummary(BaseModel):
    """A job as lists show it. Sizes in bytes."""

    model_config = ConfigDict(validate_by_name=True)

    id: UUID
    status: Status
    read: Annotated[str | None, Field(serialization_alias="from", description="Null: as its first bytes look.")]
    write: Annotated[str, Field(serialization_alias="to")]
    name: Annotated[str | None, Field(description="What you called the file.")]
    input_bytes: int
    read_bytes: Annotated[int, Field(description="How far it is; told about once a second.")]
    result_bytes: int | None
    losses: Annotated[int | None, Field(description="Leaves that read back as something else.")]
    code: Annotated[str | None, Field(description="Why it failed.")]
    requested_at: datetime
    changed_at: datetime
    expires_at: Annotated[datetime | None, Field(description="Until when the result is there.")]


class JobPage(BaseModel):
    data: list[JobSummary]
    page: NextPage


class EverybodysJob(JobSummary):
    user_id: Annotated[UUID, Field(description="Whose it is.")]


class EverybodysPage(BaseModel):
    data: list[EverybodysJob]
    page: NextPage


class LossAnswer(BaseModel):
    code: Annotated[str, Field(description="docs/documents.md.", examples=["null_as_text"])]
    pointer: Annotated[str, Field(description="JSON Pointer into the source.", examples=["/0/price"])]
    detail: str


class ReportAnswer(BaseModel):
    losses: Annotated[dict[str, int], Field(description="How many leaves were changed, by code.")]
    first: Annotated[list[LossAnswer], Field(description="The first thousand of them, with their places.")]
    notes: Annotated[dict[str, str], Field(description="What was found out: charset, dialect, inferred types.")]


class FailureAnswer(BaseModel):
    code: str
    detail: str
    place: Annotated[
        Place,
        Field(description="line and column from 1, offset in bytes from 0, pointer, cell; limit, allowed."),
    ]


class JobAnswer(JobSummary):
    options: dict[str, str]
    attempts: Annotated[int, Field(description="How often it was begun.")]
    input_sha256: str
    result_sha256: str | None
    report: Annotated[ReportAnswer | None, Field(description="Once it is converted.")]
    error: Annotated[FailureAnswer | None, Field(description="Once it has failed.")]


def job_answer(id_: UUID, job: Job, listed: Listed | None) -> JobAnswer:
    """Return the job as its events say, with its progress as it is listed."""
    result, failure = job.result, job.failure
    is_read = result is not None
    same = {name: getattr(job, name) for name in _SAME}
    return JobAnswer(
        id=id_,
        read_bytes=job.input_bytes if is_read else listed.read_bytes if listed else 0,
        options=dict(job.options),
        result_bytes=result.size if result else None,
        result_sha256=result.sha256 if result else None,
        losses=sum(result.losses.values()) if result else None,
        code=failure.code if failure else None,
        expires_at=result.expires_at if result else None,
        report=_report(job),
        error=FailureAnswer(code=failure.code, detail=failure.detail, place=place_of(failure.place))
        if failure
        else None,
        **same,
    )


def summary(of: Listed) -> JobSummary:
    return JobSummary(**_listed(of))


def everybodys(of: Listed) -> EverybodysJob:
    return EverybodysJob(user_id=of.user_id, **_listed(of))


_SAME = (
    "status",
    "read",
    "write",
    "name",
    "input_bytes",
    "input_sha256",
    "attempts",
    "requested_at",
    "changed_at",
)


def _listed(of: Listed) -> dict[str, Any]:
    return {"id": of.document_id} | {name: getattr(of, name) for name in JobSummary.model_fields if name != "id"}


def _report(job: Job) -> ReportAnswer | None:
    if job.result is None:
        return None
    first = [LossAnswer(code=each.code, pointer=each.pointer, detail=each.detail) for each in job.result.first_losses]
    return ReportAnswer(losses=dict(job.result.losses), first=first, notes=dict(job.result.notes))
