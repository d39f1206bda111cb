"""A file of the same instructions is copied rather than rendered again, as long as it is kept."""

from uuid import UUID

from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.domain import document
from bounded_contexts.documents.domain.document import Document, File
from bounded_contexts.documents.domain.document_commands import CompleteDocument
from shared_kernel.blobs import BlobName
from shared_kernel.decider import state_of
from shared_kernel.errors import NotFound


async def copied(of: Document, blob: BlobName, ports: DocumentPorts) -> CompleteDocument | None:
    """Put a file into the blob that has been rendered for the same owner, of the same bytes, for the same target and by the
    engine that would render it now. Return what is to be said of it; None where there is none, and then perhaps something is
    left in the blob. Safe to repeat. Raise `Unavailable`."""
    for other in await ports.documents.alike(of.user_id, of.target, of.input_sha256):
        if other == blob.owner or (file := await _file(other, of, ports)) is None:
            continue
        try:
            stored = await ports.blobs.put(blob, ports.blobs.read(BlobName(other, file.id)), ports.terms.output_bytes)
        except NotFound:  # as after a loss of storage
            continue
        if stored.sha256 == file.sha256:
            return _complete(file, blob, ports)
    return None


async def _file(document_id: UUID, of: Document, ports: DocumentPorts) -> File | None:
    """The file of another document, if it is what this one would become: what is listed may be over by now."""
    other, _ = await state_of(document, ports.store, document_id)
    if other is None or other.file is None or other.status != "rendered" or other.file.expires_at <= ports.now():
        return None
    wanted, found = [(each.user_id, each.target, each.input_sha256) for each in (of, other)]
    return (
        other.file
        if wanted == found and ports.renderer.is_current(other.file.engine, other.file.engine_version)
        else None
    )


def _complete(file: File, blob: BlobName, ports: DocumentPorts) -> CompleteDocument:
    return CompleteDocument(
        document_id=blob.owner,
        result_id=blob.part,
        result_bytes=file.size,
        result_sha256=file.sha256,
        media_type=file.media_type,
        pages=file.pages,
        warnings=file.warnings,
        first_warnings=file.first_warnings,
        engine=file.engine,
        engine_version=file.engine_version,
        at=ports.now(),
    )
