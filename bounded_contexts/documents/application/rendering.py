"""Render what was asked for, in a consumer's process: interrupted at any moment and begun anew, with the same bytes each time."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog

from bounded_contexts.documents.application.attempting import Lost, until_over
from bounded_contexts.documents.application.commands import change_document
from bounded_contexts.documents.application.document_ports import DocumentPorts, RenderReport
from bounded_contexts.documents.application.places import Places
from bounded_contexts.documents.application.reusing import copied
from bounded_contexts.documents.domain import document
from bounded_contexts.documents.domain.document import Document, File
from bounded_contexts.documents.domain.document_commands import BeginRendering, CompleteDocument, FailDocument
from bounded_contexts.documents.domain.rendering.problems import Invalid
from schemas.documents.events import DocumentRequested
from shared_kernel.blobs import BlobName, Stored
from shared_kernel.decider import state_of
from shared_kernel.errors import HeadwaterError, NotFound, Unavailable

log = structlog.get_logger()


async def render_requested(event: DocumentRequested, ports: DocumentPorts, places: Places) -> None:
    """Render the document, unless that is done, cancelled or given up; a file that is not there any more before its time is
    rendered again, and nothing else happens then. Safe to repeat and to interrupt.

    Raise `Unavailable` where it could not even be begun, which is no attempt."""
    id_ = event.document_id

    async def begin() -> _Attempt | None:
        found = await _state(id_, ports)
        return _Attempt(id_, found, uuid4(), ports) if found and found.is_open else None

    async with places.one(event.user_id, event.input_bytes):
        await until_over(id_, begin)
        found = await _state(id_, ports)
        if found and found.file and found.status == "rendered":
            await _restore(id_, found, found.file, ports)
    if found and event.input_id not in document.kept(found):
        await ports.blobs.delete(BlobName(id_, event.input_id))


async def _state(document_id: UUID, ports: DocumentPorts) -> Document | None:
    return (await state_of(document, ports.store, document_id))[0]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One try at one document, while it runs."""

    document_id: UUID
    document: Document
    file_id: UUID
    ports: DocumentPorts

    @property
    def file(self) -> BlobName:
        return BlobName(self.document_id, self.file_id)

    async def is_wanted(self) -> bool:
        """Return whether anybody still waits for it. What cannot be reached for that is no reason to stop."""
        with suppress(Unavailable):
            found = await _state(self.document_id, self.ports)
            return found is not None and found.is_open
        return True

    async def work(self, why: str | None) -> None:
        """Render, or copy what has been rendered before, and record it; of a file that nobody needs nothing is left."""
        is_needed = False
        try:
            if outcome := await copied(self.document, self.file, self.ports) or await _outcome(self, why):
                is_needed = True  # perhaps, as with a conversion
                found = await change_document(outcome, self.ports)
                is_needed = self.file_id in document.kept(found)
        finally:
            if not is_needed:
                await self.ports.blobs.delete(self.file)


async def _outcome(attempt: _Attempt, why: str | None) -> CompleteDocument | FailDocument | None:
    """Return what came out, None where it was given up or is over."""
    ports, id_ = attempt.ports, attempt.document_id
    has_begun = False
    try:
        source = ports.blobs.read(BlobName(id_, attempt.document.input_id))
        async with ports.renderer.rendering(attempt.document.target, source) as rendering:
            begun = await change_document(BeginRendering(document_id=id_, why=why, at=ports.now()), ports)
            if not begun.is_open:
                return None
            has_begun = True
            stored = await ports.blobs.put(attempt.file, rendering.pieces(), ports.terms.output_bytes)
            return _complete(rendering.report, stored, attempt)
    except Unavailable as error:
        if not has_begun:
            raise
        raise Lost(error.code) from error
    except HeadwaterError as error:  # its own fault, or a defect of ours: another attempt would end like this one
        return _fail(error, attempt)


def _complete(report: RenderReport, stored: Stored, attempt: _Attempt) -> CompleteDocument:
    return CompleteDocument(
        document_id=attempt.document_id,
        result_id=attempt.file_id,
        result_bytes=stored.size,
        result_sha256=stored.sha256,
        media_type=report.media_type,
        pages=report.pages,
        warnings=report.warnings,
        first_warnings=report.first,
        engine=report.engine,
        engine_version=report.engine_version,
        at=attempt.ports.now(),
    )


def _fail(error: HeadwaterError, attempt: _Attempt) -> FailDocument:
    problems = error.problems if isinstance(error, Invalid) else ()
    place = {"pointer": problems[0].pointer} if problems else {name: str(each) for name, each in error.more.items()}
    return FailDocument(
        document_id=attempt.document_id,
        code=error.code,
        detail=error.detail,
        place=place,
        problems=problems,
        at=attempt.ports.now(),
    )


async def _restore(document_id: UUID, found: Document, file: File, ports: DocumentPorts) -> None:
    """Render the file again if its blob is gone, as after a loss of storage. Bytes that differ from what the event says are not
    kept: another version of the engine has made them."""
    blob = BlobName(document_id, file.id)
    if await _is_there(blob, ports):
        return
    told = {"document_id": str(document_id), "engine": file.engine, "version": file.engine_version}
    try:
        async with ports.renderer.rendering(
            found.target, ports.blobs.read(BlobName(document_id, found.input_id))
        ) as run:
            stored = await ports.blobs.put(blob, run.pieces(), ports.terms.output_bytes)
    except Unavailable:
        raise
    except HeadwaterError as error:  # the instructions are gone, too, or another version of the engine refuses them
        log.warning("documents.not_restored", code=error.code, **told)
        return
    if stored.sha256 == file.sha256:
        log.info("documents.restored", **told)
        return
    await ports.blobs.delete(blob)
    log.warning("documents.not_restored", code="other_bytes", **told)


async def _is_there(blob: BlobName, ports: DocumentPorts) -> bool:
    try:
        async for _ in ports.blobs.read(blob, 0, 1):
            pass
    except NotFound:
        return False
    return True
