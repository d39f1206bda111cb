"""Convert what was uploaded, in a consumer's process: any size, any time, interrupted at any moment and begun anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog

from bounded_contexts.documents.application.commands import change_conversion, tell_progress
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.ports import Running, Task
from bounded_contexts.documents.domain import conversion
from bounded_contexts.documents.domain.commands import Begin, Complete, Fail
from bounded_contexts.documents.domain.conversion import Job
from bounded_contexts.documents.domain.losses import Loss
from schemas.documents.events import ConversionRequested
from shared_kernel.blobs import BlobName, Stored
from shared_kernel.decider import state_of
from shared_kernel.errors import HeadwaterError, Unavailable

LARGE = 8 << 20  # bytes of input, from which on a document must not take the places of small ones
LOOK_S = 1.0  # between looks at how far a conversion is and whether it is still wanted
TOLD = 1000  # changed leaves that a report names with their places, as far as an event holds them
STEPS = 100  # of progress that are told at most
PAUSE_S = 1.0  # before what was lost is tried again, then twice as long each time

log = structlog.get_logger()


class Places:
    """How many documents a process converts at once: large ones have half of the places at most, so that a small one never
    waits for minutes behind others'."""

    def __init__(self, count: int) -> None:
        self._all = asyncio.Semaphore(count)
        self._large = asyncio.Semaphore(max(count // 2, 1))

    @asynccontextmanager
    async def one(self, size: int) -> AsyncIterator[None]:
        """Lend a place for an input of so many bytes, in the order of asking."""
        if size < LARGE:
            async with self._all:
                yield
        else:
            async with self._large, self._all:
                yield


class _Lost(Exception):
    """The conversion came to nothing, through no fault that is known of the document."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class _Attempt:
    """One try at one document, while it runs."""

    document_id: UUID
    job: Job
    result_id: UUID
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


async def convert_requested(event: ConversionRequested, ports: JobPorts, places: Places) -> None:
    """Convert the document, unless that is done, cancelled or given up. Safe to repeat and to interrupt.

    Raise `Unavailable` where it could not even be begun, which is no attempt."""
    async with places.one(event.input_bytes):
        why, pause = None, PAUSE_S
        while (job := await _open(event.document_id, ports)) is not None:
            try:
                await _attempt(event.document_id, job, why, ports)
            except _Lost as lost:
                why = lost.code
                log.warning("documents.attempt_lost", document_id=str(event.document_id), code=why)
                await asyncio.sleep(pause)
                pause *= 2
    job, _ = await state_of(conversion, ports.store, event.document_id)
    if job is not None:
        await ports.blobs.delete(BlobName(event.document_id, job.input_id))


async def _open(document_id: UUID, ports: JobPorts) -> Job | None:
    job, _ = await state_of(conversion, ports.store, document_id)
    return job if job and job.is_open else None


async def _attempt(document_id: UUID, job: Job, why: str | None, ports: JobPorts) -> None:
    """Try once, while it is wanted. Raise `_Lost`, `Unavailable`."""
    attempt = _Attempt(document_id, job, uuid4())
    work = asyncio.create_task(_work(attempt, why, ports))
    try:
        while not work.done():
            await asyncio.wait([work], timeout=LOOK_S)
            if not work.done() and not await _is_wanted(attempt, ports):
                return
    finally:
        work.cancel()
        await asyncio.wait([work])
    work.result()


async def _is_wanted(attempt: _Attempt, ports: JobPorts) -> bool:
    """Tell how far it is; return whether anybody still waits for it. What cannot be reached for that is no reason to stop."""
    with suppress(Unavailable):
        if await _open(attempt.document_id, ports) is None:
            return False
        if (read := attempt.news) is not None:
            await tell_progress(attempt.document_id, attempt.job, read, ports)
            attempt.told = read
    return True


async def _work(attempt: _Attempt, why: str | None, ports: JobPorts) -> None:
    """Convert and record what came out; of a result that nobody needs nothing is left."""
    is_needed = False
    try:
        if outcome := await _outcome(attempt, why, ports):
            is_needed = (
                True  # perhaps: who is interrupted now does not know whether it is recorded. If not, it is tidied away
            )
            job = await change_conversion(outcome, ports)
            is_needed = job.result is not None and job.result.id == attempt.result_id
    finally:
        if not is_needed:
            await ports.blobs.delete(attempt.result)


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
        raise _Lost(error.code) from error
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
