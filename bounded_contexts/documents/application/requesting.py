"""Take in the instructions of a document that is to be rendered."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from bounded_contexts.documents.application.commands import request_document
from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.domain import document
from bounded_contexts.documents.domain.document import Document, kept
from bounded_contexts.documents.domain.document_commands import Origin, RequestDocument, input_id_of
from bounded_contexts.documents.domain.rendering.fidelity import Target
from shared_kernel.blobs import BlobName
from shared_kernel.decider import state_of
from shared_kernel.errors import Exhausted, Refused, Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """What is to be rendered, for whom."""

    document_id: UUID
    user_id: UUID
    target: Target
    name: str | None  # of the file, without its extension
    content: bytes  # the document as docs/rendering.md has it
    origin: Origin = "request"
    source_id: UUID | None = None
    lifetime: timedelta


async def request_own(asked: Instructions, ports: DocumentPorts) -> Document:
    """Have rendered what the user asks for; a repeat is the same document. Raise `Exhausted` for who has too many
    waiting here, `Taken` for who has too much, which only deleting ends, and as `request` does."""
    usage, terms = await ports.documents.usage(asked.user_id), ports.terms
    if usage.waiting >= terms.waiting_per_user:
        raise Exhausted("too_many_documents", f"{terms.waiting_per_user} may wait or be rendered; cancel one, or wait")
    if usage.stored + len(asked.content) > terms.stored_per_user:
        raise Taken("storage_exhausted", f"{terms.stored_per_user} bytes may be stored; delete documents")
    return await request(asked, ports)


async def request(asked: Instructions, ports: DocumentPorts) -> Document:
    """Store the instructions, then return the document. The blob's name follows from document and content, so that a repeat
    changes nothing.

    Raise `BlobTooLarge`; `Refused` when something else was asked for under this id: nothing is left of it then; `Unavailable`:
    what is left is tidied away."""
    digest = sha256(asked.content).hexdigest()
    blob = BlobName(asked.document_id, input_id_of(asked.document_id, digest))
    await ports.blobs.put(blob, _once(asked.content), ports.terms.input_bytes)
    ask = RequestDocument(
        document_id=asked.document_id,
        user_id=asked.user_id,
        target=asked.target,
        name=asked.name,
        origin=asked.origin,
        source_id=asked.source_id,
        input_id=blob.part,
        input_bytes=len(asked.content),
        input_sha256=digest,
        lifetime=asked.lifetime,
        at=ports.now(),
    )
    try:
        found = await request_document(ask, ports)
    except Refused:
        other, _ = await state_of(document, ports.store, asked.document_id)
        await _let_go(blob, other, ports)
        raise
    await _let_go(blob, found, ports)
    return found


async def _let_go(blob: BlobName, found: Document | None, ports: DocumentPorts) -> None:
    if blob.part not in kept(found):  # the document may be over, or be another's with the same instructions
        await ports.blobs.delete(blob)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
