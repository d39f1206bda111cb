"""Take in what is converted later, by whichever route it comes."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Header
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from bounded_contexts.documents.adapters import negotiation
from bounded_contexts.documents.adapters.job_bodies import JobAnswer, job_answer
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.uploading import upload
from bounded_contexts.documents.domain.commands import document_id_of
from infra.server import take_patiently

JOBS_PATH = "/documents/conversions"

IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=128, description="The same key is the same job.")
]


async def take_in(
    request: Request, user_id: UUID, asked: negotiation.Asked, key: str | None, ports: JobPorts
) -> tuple[JobAnswer, dict[str, str]]:
    """Store the body and have it converted in its turn. Return the job, and the headers of its answer.

    Raise as `upload` does, and `Malformed` for what no result could be called."""
    negotiation.content_type_of(asked.write, asked.task.options)  # refused now, not when the result is there
    id_ = document_id_of(user_id, key) if key else uuid4()
    job = await upload(id_, user_id, asked.task, negotiation.kept_name(asked.filename), pieces_of(request), ports)
    return job_answer(id_, job, None), {"Location": f"/api/v1{JOBS_PATH}/{id_}"}


async def pieces_of(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes, however long that takes. Raise `HTTPException` for one that breaks off."""
    take_patiently(request.scope)
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise HTTPException(400, "the body broke off") from None
