"""REST face of conversion jobs: parse, call, answer."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bounded_contexts.documents.adapters import catalogue, negotiation
from bounded_contexts.documents.adapters.downloads import download
from bounded_contexts.documents.adapters.http_convert import ANY, CONVERT, OWN, parameters
from bounded_contexts.documents.adapters.job_bodies import JobAnswer, JobPage, job_answer, summary
from bounded_contexts.documents.application import removing
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.reading import job_for, result_for
from bounded_contexts.documents.application.uploading import upload
from bounded_contexts.documents.domain.commands import document_id_of
from infra.http import Cursor, Limit, NextPage, SignedIn, Tokens, open_place, problems, seal_place
from infra.server import take_patiently
from shared_kernel.blobs import BlobName
from shared_kernel.permissions import require

JOBS_PATH = "/documents/conversions"
OWN_PARAMETERS = {
    name: told for name, told in OWN.items() if name != "complete"
}  # every job is answered when it is whole

IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=128, description="The same key is the same conversion.")
]


def conversion_routes(ports: JobPorts) -> APIRouter:
    """Return the routes of conversion jobs."""
    routes = APIRouter(prefix=JOBS_PATH, tags=["documents"], responses=problems(401, 404, 422, 503))

    @routes.post(
        "",
        status_code=202,
        responses=problems(400, 403, 406, 413, 415, 429),
        openapi_extra={"parameters": parameters(OWN_PARAMETERS), "requestBody": {"required": True, "content": ANY}},
    )
    async def begin_a_conversion(
        request: Request,
        response: Response,
        user: SignedIn,
        idempotency_key: IdempotencyKey = None,
    ) -> JobAnswer:
        """Upload a document of any size; it is converted in its turn. With the permission `documents:convert`."""
        require(user.roles, CONVERT)
        asked = negotiation.asked_of(request, OWN_PARAMETERS)
        negotiation.content_type_of(asked.write, asked.task.options)  # refused now, not when the result is there
        id_ = document_id_of(user.id, idempotency_key) if idempotency_key else uuid4()
        name = negotiation.kept_name(asked.filename)
        job = await upload(id_, user.id, asked.task, name, _body(request), ports)
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
        write = catalogue.named(job.write)
        type_ = negotiation.content_type_of(write, job.options)
        told = {"Content-Type": type_, "Content-Disposition": negotiation.disposition_of(job.name, write)}
        blob = BlobName(document_id, result.id)
        return await download(request, ports.blobs, blob, result.size, result.sha256, told)

    @routes.delete("/{document_id:uuid}", status_code=204)
    async def delete_a_conversion(document_id: UUID, user: SignedIn) -> None:
        """Delete a conversion with its input and result; one that waits or runs is cancelled."""
        await removing.delete(document_id, user.id, ports)

    @routes.post("/{document_id:uuid}:cancel", responses=problems(409))
    async def cancel_a_conversion(document_id: UUID, user: SignedIn) -> JobAnswer:
        """Have it not converted any more; twice is once."""
        return job_answer(document_id, await removing.cancel(document_id, user.id, ports), None)

    return routes


async def _body(request: Request) -> AsyncIterator[bytes]:
    take_patiently(request.scope)
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise HTTPException(400, "the body broke off") from None
