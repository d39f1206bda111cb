"""Convert what was uploaded, in a consumer's process: any size, any time, interrupted at any moment and begun anew."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

from bounded_contexts.documents.application.attempting import Lost, until_over
from bounded_contexts.documents.application.commands import change_conversion, tell_progress
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.places import Places
from bounded_contexts.documents.application.ports import Running, Task
from bounded_contexts.documents.domain import conversion
from bounded_contexts.documents.domain.commands import Begin, Complete, Fail
from bounded_contexts.documents.domain.conversion import Job
from bounded_contexts.documents.domain.losses import Loss
from schemas.documents.events import ConversionRequested
from shared_kernel.blobs import BlobName, Stored
from shared_kernel.decider import state_of
from shared_kernel.errors import HeadwaterError, Unavailable

TOLD = 1000  # changed leaves that a report names with their places, as far as an event holds them
STEPS = 100  # of progress that are told at most


async def convert_requested(event: ConversionRequested, ports: JobPorts, places: Places) -> None:
    """Convert the document, unless that is done, cancelled or given up. Safe to repeat and to interrupt.

    Raise `Unavailable` where it could not even be begun, which is no attempt."""
    id_ = event.document_id

    async def begin() -> _Attempt | None:
        job = await _open(id_, ports)
        return _Attempt(id_, job, uuid4(), ports) if job else None

    async with places.one(event.user_id, event.input_bytes):
        await until_over(id_, begin)
    job, _ = await state_of(conversion, ports.store, id_)
    if job is not None:
        await ports.blobs.delete(BlobName(id_, job.input_id))


async def _open(document_id: UUID, ports: JobPorts) -> Job | None:
    job, _ = await state_of(conversion, ports.store, document_id)
    return job if job and job.is_open else None


@dataclass(slots=True)
class _Attempt:
    """One try at one document, while it runs."""

    document_id: UUID
    job: Job
    result_id: UUID
    ports: JobPorts
    running: Running | None = None
    told: int = 0  # bytes of progress

    @property
    def result(self) -> BlobName:
        return BlobName(self.document_id, self.result_id)

    @property
    def news(self) -> int | None:
        """Return how many bytes are read, if that is worth telling by now."""
        read = self.running.read_bytes if self.running else 0
        return read if read - self.told >= max(self.job.input_bytes // STEPS, 1) else None

    async def is_wanted(self) -> bool:
        """Tell how far it is; return whether anybody still waits for it. What cannot be reached for that is no reason to
        stop."""
        with suppress(Unavailable):
            if await _open(self.document_id, self.ports) is None:
                return False
            if (read := self.news) is not None:
                await tell_progress(self.document_id, self.job, read, self.ports)
                self.told = read
        return True

    async def work(self, why: str | None) -> None:
        """Convert and record what came out; of a result that nobody needs nothing is left."""
        is_needed = False
        try:
            if outcome := await _outcome(self, why, self.ports):
                # Perhaps: who is interrupted now does not know whether it is recorded. If not, it is tidied away.
                is_needed = True
                job = await change_conversion(outcome, self.ports)
                is_needed = job.result is not None and job.result.id == self.result_id
        finally:
            if not is_needed:
                await self.ports.blobs.delete(self.result)


async def _outcome(attempt: _Attempt, why: str | None, ports: JobPorts) -> Complete | Fail | None:
    """Return what came out, None where it was given up or is over."""
    job, id_ = attempt.job, attempt.document_id
    source = ports.blobs.read(BlobName(id_, job.input_id))
    task = Task(job.read, job.write, job.options, job.packing, told=TOLD)  # type: ignore[arg-type]  # it was one of them
    try:
        async with ports.converter.converting(task, source) as running:
            begun = await change_conversion(Begin(document_id=id_, why=why, at=ports.now()), ports)
            if not begun.is_open:
                return None
            attempt.running = running
            stored = await ports.blobs.put(attempt.result, running.pieces(), ports.terms.output_bytes)
            return _complete(running, stored, attempt, ports)
    except Unavailable as error:
        if attempt.running is None:
            raise
        raise Lost(error.code) from error
    except HeadwaterError as error:  # its own fault, or a defect of ours: another attempt would end like this one
        place = {name: str(value) for name, value in error.more.items()}
        return Fail(document_id=id_, code=error.code, detail=error.detail, place=place, at=ports.now())


def _complete(running: Running, stored: Stored, attempt: _Attempt, ports: JobPorts) -> Complete:
    report, now = running.report, ports.now()
    return Complete(
        document_id=attempt.document_id,
        result_id=attempt.result_id,
        result_bytes=stored.size,
        result_sha256=stored.sha256,
        losses=report.losses,
        first_losses=tuple(Loss(each.code, each.pointer, each.detail) for each in report.first),
        notes=report.notes,
        at=now,
        expires_at=now + ports.terms.lifetime,
    )
