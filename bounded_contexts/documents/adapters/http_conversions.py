"""REST face of conversion jobs: parse, call, answer."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from bounded_contexts.documents.adapters import catalogue, negotiation
from bounded_contexts.documents.adapters.downloads import download
from bounded_contexts.documents.adapters.http_convert import ANY, CONVERT, OWN, parameters
from bounded_contexts.documents.adapters.http_taking_in import JOBS_PATH, IdempotencyKey, take_in
from bounded_contexts.documents.adapters.job_bodies import (
    EverybodysPage,
    JobAnswer,
    JobPage,
    everybodys,
    job_answer,
    summary,
)
from bounded_contexts.documents.application import removing
from bounded_contexts.documents.application.job_ports import Choice, JobPorts, Listed
from bounded_contexts.documents.application.reading import job_for, result_for
from bounded_contexts.documents.domain.conversion import Status
from infra.http import Cursor, Limit, NextPage, SignedIn, Tokens, open_place, problems, seal_place
from infra.opaque import OpaqueTokens
from shared_kernel.blobs import BlobName
from shared_kernel.permissions import permissions, require

READ = "documents:read"  # the permission to see everybody's jobs, not their results
OWN_PARAMETERS = {
    name: told for name, told in OWN.items() if name != "complete"
}  # every job is answered when it is whole


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
        answer, headers = await take_in(request, user.id, asked, idempotency_key, ports)
        response.headers.update(headers)
        return answer

    @routes.get("")
    async def list_conversions(user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None) -> JobPage:
        """List your conversions, last requested first."""
        of = f"conversions:{user.id}"
        found = await ports.jobs.page(Choice(user.id), limit + 1, open_place(tokens, cursor, of))
        return JobPage(data=[summary(each) for each in found[:limit]], page=_page(found, limit, tokens, of))

    @routes.get("/all", responses=problems(403))
    async def list_everybodys_conversions(
        user: SignedIn,
        tokens: Tokens,
        status: Annotated[Status | None, Query(description="Only those of this status.")] = None,
        user_id: Annotated[UUID | None, Query(description="Only this user's.")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> EverybodysPage:
        """List everybody's conversions, last requested first; with the permission `documents:read`."""
        require(user.roles, READ)
        of = f"conversions:all:{status}:{user_id}"
        found = await ports.jobs.page(Choice(user_id, status), limit + 1, open_place(tokens, cursor, of))
        data = [everybodys(each) for each in found[:limit]]
        return EverybodysPage(data=data, page=_page(found, limit, tokens, of))

    @routes.get("/{document_id:uuid}")
    async def read_a_conversion(document_id: UUID, user: SignedIn) -> JobAnswer:
        """How a conversion is, of yours or with the permission `documents:read`: how far, what it has changed, why it failed
        and where."""
        job = await job_for(document_id, None if READ in permissions(user.roles) else user.id, ports)
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


def _page(found: Sequence[Listed], limit: int, tokens: OpaqueTokens, of: str) -> NextPage:
    last = found[limit - 1] if len(found) > limit else None
    next_ = seal_place(tokens, last.requested_at, last.document_id, of) if last else None
    return NextPage(next_cursor=next_, has_more=last is not None)
