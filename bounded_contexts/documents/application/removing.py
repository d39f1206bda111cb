"""Take back what was asked for: the job's events first, then what it has stored."""

from uuid import UUID

from bounded_contexts.documents.application.commands import change_conversion
from bounded_contexts.documents.application.job_ports import Choice, JobPorts
from bounded_contexts.documents.domain.commands import Cancel, Delete
from bounded_contexts.documents.domain.conversion import Job
from schemas.identity.events import UserErased
from shared_kernel.blobs import BlobName
from shared_kernel.errors import NotFound

PAGE = 100  # jobs looked for at once


async def cancel(document_id: UUID, user_id: UUID, ports: JobPorts) -> Job:
    """Have it not converted any more, also while it runs; within seconds its worker is ended. Twice is once. Raise `NotFound`,
    `Taken` for a job that is over."""
    job = await change_conversion(Cancel(document_id=document_id, user_id=user_id, at=ports.now()), ports)
    await ports.blobs.delete(BlobName(document_id, job.input_id))
    return job


async def delete(document_id: UUID, user_id: UUID, ports: JobPorts) -> None:
    """Have nothing left of it but its events, also while it waits or runs. Raise `NotFound`."""
    job = await change_conversion(Delete(document_id=document_id, user_id=user_id, at=ports.now()), ports)
    for part in (job.input_id, job.result.id if job.result else None):
        if part:
            await ports.blobs.delete(BlobName(document_id, part))


async def user_erased(event: UserErased, ports: JobPorts) -> None:
    """Delete everything of somebody who is gone. Safe to repeat."""
    before = None
    while jobs := await ports.jobs.page(Choice(event.user_id), PAGE, before):
        for each in jobs:
            try:
                await delete(each.document_id, event.user_id, ports)
            except NotFound:
                continue  # deleted meanwhile
        before = jobs[-1].requested_at, jobs[-1].document_id
