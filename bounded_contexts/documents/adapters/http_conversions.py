"""REST face of conversion jobs: parse, call, answer."""

import codecs
import re
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bounded_contexts.documents.adapters import catalogue
from bounded_contexts.documents.adapters.job_bodies import JobAnswer, JobPage, job_answer, summary
from bounded_contexts.documents.application import removing
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.ports import Packing, Task
from bounded_contexts.documents.application.reading import job_for, result_for
from bounded_contexts.documents.application.uploading import upload
from bounded_contexts.documents.domain.commands import document_id_of
from bounded_contexts.documents.domain.conversion import Job
from bounded_contexts.documents.domain.options import options_of
from infra.http import Cursor, Limit, NextPage, SignedIn, Tokens, open_place, problems, seal_place
from infra.http_ranges import wanted
from infra.server import take_patiently
from shared_kernel.blobs import BlobName
from shared_kernel.errors import Malformed

JOBS_PATH = "/documents/conversions"
OWN_PARAMETERS = frozenset({"from", "to", "name"})
UTF8_ALWAYS = frozenset({"application/json", "application/x-ndjson"})
OPTIONS_LIMIT = 64  # of one request
VALUE_LIMIT = 4096  # characters of one option
PLAIN_NAME = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")  # what may stand in quotes for every client

IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=128, description="The same key is the same conversion.")
]
From = Annotated[
    str | None,
    Query(
        alias="from",
        max_length=40,
        description="Format of the body; unset: as its first bytes look.",
        examples=["json"],
    ),
]
To = Annotated[str, Query(alias="to", max_length=40, description="Format of the result.", examples=["xlsx"])]
Name = Annotated[
    str | None,
    Query(
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f/\\]+$",
        description="What you call the file; the result is called so.",
    ),
]
Packed = Annotated[Packing, Header(alias="content-encoding", description="How the body is compressed.")]


def conversion_routes(ports: JobPorts) -> APIRouter:
    """Return the routes of conversion jobs."""
    routes = APIRouter(prefix=JOBS_PATH, tags=["documents"], responses=problems(401, 404, 422, 503))

    @routes.post(
        "",
        status_code=202,
        responses=problems(400, 413, 429),
    )
    async def begin_a_conversion(
        request: Request,
        response: Response,
        user: SignedIn,
        write: To,
        read: From = None,
        name: Name = None,
        packing: Packed = "identity",
        idempotency_key: IdempotencyKey = None,
    ) -> JobAnswer:
        """Upload a document of any size; it is converted in its turn. Every other parameter is an option of docs/documents.md."""
        task = Task(
            catalogue.named(read).name if read else None, catalogue.named(write).name, _options(request), packing
        )
        id_ = document_id_of(user.id, idempotency_key) if idempotency_key else uuid4()
        job = await upload(id_, user.id, task, name, _body(request), ports)
        response.headers["Location"] = f"/api/v1/documents/conversions/{id_}"
        return job_answer(id_, job, None)

    @routes.get("")
    async def list_conversions(user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None) -> JobPage:
        """List your conversions, last requested first."""
        of = f"conversions:{user.id}"
        found = await ports.jobs.of_user(user.id, limit + 1, open_place(tokens, cursor, of))
        last = found[limit - 1] if len(found) > limit else None
        next_ = seal_place(tokens, last.requested_at, last.document_id, of) if last else None
        page = NextPage(next_cursor=next_, has_more=last is not None)
        return JobPage(data=[summary(each) for each in found[:limit]], page=page)

    @routes.get("/{document_id:uuid}")
    async def read_a_conversion(document_id: UUID, user: SignedIn) -> JobAnswer:
        """How a conversion of yours is: how far, what it has changed, why it failed and where."""
        job = await job_for(document_id, user.id, ports)
        return job_answer(document_id, job, await ports.jobs.job(document_id))

    @routes.get(
        "/{document_id:uuid}/result",
        response_class=StreamingResponse,
        responses={
            **problems(409, 410, 416),
            206: {"description": "The part that `Range` names."},
            304: {"description": "You have it: `If-None-Match`."},
        },
    )
    async def download_the_result(document_id: UUID, user: SignedIn, request: Request) -> Response:
        """Download what came out, or one range of it."""
        job, result = await result_for(document_id, user.id, ports)
        part = wanted(request.headers, result.size, f'"{result.sha256}"')
        headers = {**part.headers, "Content-Disposition": _disposition(job), "Cache-Control": "private, no-cache"}
        if part.status == 304:
            return Response(status_code=304, headers=headers)
        pieces = ports.blobs.read(BlobName(document_id, result.id), part.start, part.end)
        return StreamingResponse(await _begun(pieces), part.status, headers, _content_type(job))

    @routes.delete("/{document_id:uuid}", status_code=204)
    async def delete_a_conversion(document_id: UUID, user: SignedIn) -> None:
        """Delete a conversion with its input and result; one that waits or runs is cancelled."""
        await removing.delete(document_id, user.id, ports)

    @routes.post("/{document_id:uuid}:cancel", responses=problems(409))
    async def cancel_a_conversion(document_id: UUID, user: SignedIn) -> JobAnswer:
        """Have it not converted any more; twice is once."""
        return job_answer(document_id, await removing.cancel(document_id, user.id, ports), None)

    return routes


def _options(request: Request) -> dict[str, str]:
    """Return the options, which are known to be some. Raise `Malformed`."""
    given = [pair for pair in request.query_params.multi_items() if pair[0] not in OWN_PARAMETERS]
    options = dict(given)
    if len(options) < len(given):
        raise Malformed("bad_option", "an option is given twice")
    if len(given) > OPTIONS_LIMIT or any(len(value) > VALUE_LIMIT for value in options.values()):
        raise Malformed("bad_option", f"at most {OPTIONS_LIMIT} options of {VALUE_LIMIT} characters")
    options_of(options)
    return options


async def _body(request: Request) -> AsyncIterator[bytes]:
    take_patiently(request.scope)
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise HTTPException(400, "the body broke off") from None


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the pieces once the first is there: what is wrong comes out while there is no answer yet."""
    first = await anext(pieces, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()


def _content_type(job: Job) -> str:
    format_ = catalogue.named(job.write)
    if not format_.is_text or format_.media_type in UTF8_ALWAYS:
        return format_.media_type
    # As Python calls it: it takes names with line breaks for names as well.
    return f"{format_.media_type}; charset={codecs.lookup(job.options.get('output_charset', 'utf-8')).name}"


def _disposition(job: Job) -> str:
    """Return what has browsers save the result, by its name (RFC 6266)."""
    stem = (job.name or "document").rpartition(".")[0] or job.name or "document"
    name = f"{stem}.{catalogue.named(job.write).extensions[0].removeprefix('.')}"
    if PLAIN_NAME.fullmatch(name):
        return f'attachment; filename="{name}"'
    plain = re.sub(r"[^\x20\x21\x23-\x5b\x5d-\x7e]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
