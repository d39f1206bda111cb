"""One document, and its file, for its owner or for who has a link."""

from uuid import UUID

from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.domain import document
from bounded_contexts.documents.domain.document import Document, File, present, visible
from shared_kernel.decider import state_of
from shared_kernel.errors import Gone, Taken


async def document_for(document_id: UUID, user_id: UUID, ports: DocumentPorts) -> Document:
    """Return the document as its events say. Raise `NotFound` for who does not own it."""
    found, _ = await state_of(document, ports.store, document_id)
    return visible(found, user_id)


async def file_for(document_id: UUID, user_id: UUID, ports: DocumentPorts) -> tuple[Document, File]:
    """Return the document and its file. Raise `NotFound`, `Taken` while or because there is none, `Gone` after its time."""
    return _with_file(await document_for(document_id, user_id, ports), ports)


async def linked_file(document_id: UUID, ports: DocumentPorts) -> tuple[Document, File]:
    """Return the same for somebody who has shown a link to it."""
    found, _ = await state_of(document, ports.store, document_id)
    return _with_file(present(found), ports)


def _with_file(found: Document, ports: DocumentPorts) -> tuple[Document, File]:
    if found.is_open:
        raise Taken("document_not_ready", f"it is {found.status}; ask again")
    if found.file is None:
        raise Taken("document_without_file", f"it is {found.status}")
    if found.status == "expired" or found.file.expires_at <= ports.now():
        raise Gone("document_expired", f"it was there until {found.file.expires_at.isoformat()}")
    return found, found.file
