"""One conversion job, for its owner and who sees everybody's; what came out of it, for its owner alone."""

from uuid import UUID

from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.domain import conversion
from bounded_contexts.documents.domain.conversion import Job, Result, visible
from shared_kernel.decider import state_of
from shared_kernel.errors import Gone, Taken


async def job_for(document_id: UUID, user_id: UUID | None, ports: JobPorts) -> Job:
    """Return the job as its events say. Raise `NotFound` for who does not own it, None being who sees everybody's."""
    job, _ = await state_of(conversion, ports.store, document_id)
    return visible(job, user_id)


async def result_for(document_id: UUID, user_id: UUID, ports: JobPorts) -> tuple[Job, Result]:
    """Return the job and its result. Raise `NotFound`, `Taken` while or because there is none, `Gone` after its time."""
    job = await job_for(document_id, user_id, ports)
    if job.is_open:
        raise Taken("conversion_not_ready", f"it is {job.status}; ask again")
    if job.result is None:
        raise Taken("conversion_without_result", f"it is {job.status}")
    if job.status == "expired" or job.result.expires_at <= ports.now():
        raise Gone("result_expired", f"it was there until {job.result.expires_at.isoformat()}")
    return job, job.result
