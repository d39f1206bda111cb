"""Delete what nobody needs any more: results past their time, and what processes left that died."""

from datetime import datetime, timedelta
from uuid import UUID

from bounded_contexts.documents.application.commands import change_conversion
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.domain import conversion
from bounded_contexts.documents.domain.commands import Expire
from bounded_contexts.documents.domain.conversion import kept
from shared_kernel.blobs import BlobName
from shared_kernel.decider import state_of

GRACE = timedelta(hours=6)  # in which an upload or a conversion may end whose blob no event names yet


async def tidy(ports: JobPorts) -> None:
    """Let results expire whose time has come, and delete every blob that no job needs. What a job needs its events say, not its
    listing, which may be late. Safe to repeat, and to do by several at once."""
    now = ports.now()
    async for blob in ports.blobs.before(now - ports.terms.lifetime):
        await _expire(blob.owner, now, ports)
    async for blob in ports.blobs.before(now - GRACE):
        job, _ = await state_of(conversion, ports.store, blob.owner)
        if blob.part not in kept(job):
            await ports.blobs.delete(blob)


async def _expire(document_id: UUID, now: datetime, ports: JobPorts) -> None:
    job, _ = await state_of(conversion, ports.store, document_id)
    if job and job.status == "converted" and job.result:
        job = await change_conversion(Expire(document_id=document_id, at=now), ports)
        if job.result and job.result.id not in kept(job):
            await ports.blobs.delete(BlobName(document_id, job.result.id))
