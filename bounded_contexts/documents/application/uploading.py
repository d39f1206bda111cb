"""Take a document in to be converted later."""

from collections.abc import AsyncIterable
from uuid import UUID, uuid4

from bounded_contexts.documents.application.commands import request_conversion
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.ports import Task
from bounded_contexts.documents.domain.commands import RequestConversion
from bounded_contexts.documents.domain.conversion import Job, kept
from shared_kernel.blobs import BlobName, BlobTooLarge
from shared_kernel.errors import Exhausted, Refused, Taken


async def upload(
    document_id: UUID, user_id: UUID, task: Task, name: str | None, source: AsyncIterable[bytes], ports: JobPorts
) -> Job:
    """Store the input while it comes, then return the job. A repeat with the same content is the same job.

    Raise `Exhausted` for who has too many jobs here, `Taken` for too many bytes, which only deleting ends, `BlobTooLarge`,
    `Refused`: no input is left then; `Unavailable`: what is left is tidied away."""
    room = await _room(user_id, ports)
    blob = BlobName(document_id, uuid4())
    try:
        stored = await ports.blobs.put(blob, source, min(ports.terms.input_bytes, room))
    except BlobTooLarge as error:
        if room < ports.terms.input_bytes:
            raise _too_much(ports) from error
        raise
    ask = RequestConversion(
        document_id=document_id,
        user_id=user_id,
        read=task.read,
        write=task.write,
        options=task.options,
        packing=task.packing,
        name=name,
        input_id=blob.part,
        input_bytes=stored.size,
        input_sha256=stored.sha256,
        at=ports.now(),
    )
    try:
        job = await request_conversion(ask, ports)
    except Refused:  # not where the outcome is unknown: the job may be there, and need it
        await ports.blobs.delete(blob)
        raise
    if blob.part not in kept(job):
        await ports.blobs.delete(blob)
    return job


async def _room(user_id: UUID, ports: JobPorts) -> int:
    """Return how many bytes the user may store. Raise `Exhausted`, `Taken`."""
    usage = await ports.jobs.usage(user_id)
    if usage.waiting >= ports.terms.waiting_per_user:
        raise Exhausted("too_many_conversions", f"{ports.terms.waiting_per_user} may wait or run; cancel one, or wait")
    if usage.stored >= ports.terms.stored_per_user:
        raise _too_much(ports)
    return ports.terms.stored_per_user - usage.stored


def _too_much(ports: JobPorts) -> Taken:
    # Not `Exhausted`: to come again later, as programs do by themselves then, changes nothing.
    return Taken("storage_exhausted", f"{ports.terms.stored_per_user} bytes may be stored; delete conversions")
