"""REST face of conversions that somebody waits for, and of what can be converted (docs/documents.md)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bounded_contexts.documents.adapters import negotiation
from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.formats.conversion import Format
from bounded_contexts.documents.adapters.http_answer import ConvertedAnswer, Way
from bounded_contexts.documents.adapters.http_taking_in import IdempotencyKey, take_in
from bounded_contexts.documents.adapters.job_bodies import JobAnswer
from bounded_contexts.documents.adapters.option_texts import NAMES, OPTIONS, heeded_by, schema_of
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.ports import Converter, Task
from bounded_contexts.documents.domain.limits import Limits
from infra.http import APPLIED_LATER, PrefersLater, SignedIn, problems
from infra.worker_pool import PoolLimits, TaskLimits
from shared_kernel.errors import Exhausted, Malformed
from shared_kernel.permissions import require

CONVERT = "documents:convert"
PATH = "/documents/convert"
LATER: Final[dict[str, Any]] = {
    "model": JobAnswer,
    "description": "With `Prefer: respond-async`: the job, as of `POST /documents/conversions`.",
}
PACKED_ALREADY = frozenset({"xlsx", "avro"})
BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
ANY: Final = {"*/*": BINARY}  # of the media types of `GET /documents/formats`, and of none
OWN: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "from": (
        "Format of the body; unset: by `Content-Type`, else by the name of its file, else by its first bytes.",
        {"type": "string", "enum": [each.name for each in FORMATS.values() if each.is_read]},
    ),
    "to": ("Format of the result; unset: by `Accept`.", {"type": "string", "enum": list(FORMATS)}),
    "filename": (
        "Name of the file that the body is; unset: by `Content-Disposition`. The result is called after it.",
        {"type": "string"},
    ),
    "complete": (
        "Answer when all is converted: the head tells every loss, and every error is a problem document. Unset: answer "
        "while the body still comes; where it cannot go on, the connection is closed without the end of the answer.",
        {"type": "boolean", "default": False},
    ),
}


@dataclass(frozen=True, slots=True)
class Waited:
    """Conversions that somebody waits for: who does them, and what each may take. Sizes in bytes."""

    converter: Converter
    limits: Limits
    task: TaskLimits
    pool: PoolLimits
    per_user: int  # of one user at once, in this process
    idle_s: float  # that a client may take nothing of the result
    directory: Path | None  # where results wait; None: where the system has such files


class OptionAnswer(BaseModel):
    """An option; `values` where there are only these."""

    name: str
    description: str
    values: list[str] | None
    default: str | int | bool | None


class FormatAnswer(BaseModel):
    """A format; it streams where it takes memory for some records, not for the document. What is not `read` is written only."""

    name: str
    title: str
    media_type: str
    other_media_types: list[str]
    extensions: list[str]
    read: bool
    reading_streams: bool
    writing_streams: bool
    options: list[str]


class FormatList(BaseModel):
    formats: list[FormatAnswer]
    options: list[OptionAnswer]


class LimitsAnswer(BaseModel):
    """What one conversion may take, by the names that errors say as `limit`, and how many there may be at once."""

    limits: dict[str, int]
    conversions_per_user: int
    conversions_at_once: int
    waiting: int
    wait_seconds: float
    idle_seconds: float


class Turns:
    """How many conversions each user has under way in this process."""

    def __init__(self, per_user: int) -> None:
        self._per_user = per_user
        self._running: Counter[UUID] = Counter()

    @contextmanager
    def of(self, user_id: UUID) -> Iterator[None]:
        """Count one more while the block lasts. Raise `Exhausted`."""
        if self._running[user_id] >= self._per_user:
            raise Exhausted("too_many_conversions", f"you have {self._per_user} conversions under way")
        self._running[user_id] += 1
        try:
            yield
        finally:
            self._running[user_id] -= 1
            if not self._running[user_id]:
                del self._running[user_id]


def convert_routes(waited: Waited, jobs: JobPorts) -> APIRouter:
    """Return the routes; who does not want to wait has a job begun."""
    routes = APIRouter(tags=["documents"], responses=problems(401, 403, 422, 503))
    turns = Turns(waited.per_user)

    @routes.post(
        PATH,
        response_class=Response,
        responses=problems(400, 406, 409, 413, 415, 429) | {200: _answer_described(), 202: LATER},
        openapi_extra={
            "parameters": parameters(OWN),
            "requestBody": {"required": True, "content": ANY},
        },
    )
    async def convert_a_document(
        request: Request, user: SignedIn, later: PrefersLater, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Convert the body into another format, while it is coming; with the permission `documents:convert`."""
        require(user.roles, CONVERT)
        asked = negotiation.asked_of(request, OWN)
        if later:
            job, headers = await take_in(request, user.id, asked, idempotency_key, jobs)
            return JSONResponse(job.model_dump(mode="json", by_alias=True), 202, headers | APPLIED_LATER)
        return ConvertedAnswer(waited.converter, *_answered(asked, request, waited), partial(turns.of, user.id))

    @routes.get("/documents/formats")
    async def list_formats(user: SignedIn) -> FormatList:
        """List what can be converted into what, and the options there are."""
        return FormatList(
            formats=[_format(each) for each in FORMATS.values()], options=[_option(name) for name in NAMES]
        )

    @routes.get("/documents/limits")
    async def list_limits(user: SignedIn) -> LimitsAnswer:
        """List what one conversion may take."""
        task = waited.task
        of_task = {"memory_bytes": task.memory_bytes, "file_bytes": task.file_bytes, "cpu_seconds": task.cpu_s}
        return LimitsAnswer(
            limits={**asdict(waited.limits), **of_task, "seconds": int(task.total_s)},
            conversions_per_user=waited.per_user,
            conversions_at_once=waited.pool.at_once,
            waiting=waited.pool.waiting,
            wait_seconds=waited.pool.wait_s,
            idle_seconds=waited.idle_s,
        )

    return routes


def _answered(asked: negotiation.Asked, request: Request, waited: Waited) -> tuple[Task, Way]:
    """Return how the result goes out. Raise `Malformed`: nothing of the body was read."""
    if asked.own["complete"] not in (None, "true", "false"):
        raise Malformed("bad_option", "complete is true or false")
    write, taken = asked.write, ", ".join(request.headers.getlist("accept-encoding"))
    packed = "identity" if write.name in PACKED_ALREADY else negotiation.packing_for(taken)
    answered = {
        "Content-Type": negotiation.content_type_of(write, asked.task.options),
        "Content-Disposition": negotiation.disposition_of(asked.filename, write),
        "Cache-Control": "no-store",
        "Vary": "Accept, Accept-Encoding",
        **({} if packed == "identity" else {"Content-Encoding": packed}),
    }
    task = replace(asked.task, packed=packed)
    return task, Way(answered, asked.own["complete"] == "true", waited.idle_s, waited.directory)


def parameters(own: Mapping[str, tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return what OpenAPI says of the parameters: `own`, and every option."""
    told = {name: (OPTIONS[name][0], schema_of(name)) for name in NAMES}
    return [
        {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
        for name, (text, schema) in {**own, **told}.items()
    ]


def _answer_described() -> dict[str, Any]:
    headers = {
        "Content-Disposition": "What the result's file is called.",
        "X-Conversion-Warnings": "What was lost: `count`, each code's count, and the places of the `first`; `complete=?0` "
        "where the end was not known when the head went out.",
        "X-Conversion-Charset": "Charset that the body was in.",
        "X-Conversion-Notes": "What was found out, a dictionary (RFC 9651): `from`, `charset`, `delimiter`, `quote` and so on; "
        "where `X-Conversion-Warnings` is complete.",
    }
    described = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    return {
        "description": "The result.",
        "content": {each.media_type: BINARY for each in FORMATS.values()},
        "headers": described,
    }


def _format(each: Format) -> FormatAnswer:
    return FormatAnswer(
        name=each.name,
        title=each.title,
        media_type=each.media_type,
        other_media_types=list(each.other_media_types),
        extensions=list(each.extensions),
        read=each.is_read,
        reading_streams=each.streams_in,
        writing_streams=each.streams_out,
        options=heeded_by(each.name),
    )


def _option(name: str) -> OptionAnswer:
    schema = schema_of(name)
    return OptionAnswer(
        name=name, description=OPTIONS[name][0], values=schema.get("enum"), default=schema.get("default")
    )
