"""Take in the instructions of a document that is to be rendered."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from bounded_contexts.documents.application.commands import request_document
from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.domain import document
from bounded_contexts.documents.domain.document import Document, kept
from bounded_contexts.documents.domain.document_commands import Origin, RequestDocument, input_id_of
from bounded_contexts.documents.domain.rendering.fidelity import Target
from shared_kernel.blobs import BlobName, BlobTooLarge, Stored
from shared_kernel.decider import state_of
from shared_kernel.errors import Exhausted, Refused, Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """What is to be rendered, for whom."""

    document_id: UUID
    user_id: UUID
    target: Target
    name: str | None  # of the file, without its extension
    # the document as docs/rendering.md has it; in pieces where it is not held, once
    content: bytes | AsyncIterator[bytes]
    origin: Origin = "request"
    source_id: UUID | None = None
    lifetime: timedelta


async def request_own(asked: Instructions, ports: DocumentPorts) -> Document:
    """Have rendered what the user asks for; a repeat is the same document. Raise `Exhausted` for who has too many
    waiting here, `Taken` for who has too much, which only deleting ends, and as `request` does."""
    usage, terms = await ports.documents.usage(asked.user_id), ports.terms
    if usage.waiting >= terms.waiting_per_user:
        raise Exhausted("too_many_documents", f"{terms.waiting_per_user} may wait or be rendered; cancel one, or wait")
    room = terms.stored_per_user - usage.stored
    exhausted = Taken("storage_exhausted", f"{terms.stored_per_user} bytes may be stored; delete documents")
    if room < (len(asked.content) if isinstance(asked.content, bytes) else 1):
        raise exhausted
    try:
        return await request(asked, ports, room)
    except BlobTooLarge:
        if isinstance(asked.content, bytes) or room >= terms.lines_bytes:
            raise
        raise exhausted from None


async def request(asked: Instructions, ports: DocumentPorts, room: int | None = None) -> Document:
    """Store the instructions, in so many bytes if they come in pieces, then return the document. The blob's name follows from
    document and content where this is held, so that a repeat changes nothing.

    Raise `BlobTooLarge`; `Refused` when something else was asked for under this id: nothing is left of it then; `Unavailable`:
    what is left is tidied away."""
    blob, stored = await _stored(asked, ports, room)
    ask = RequestDocument(
        document_id=asked.document_id,
        user_id=asked.user_id,
        target=asked.target,
        name=asked.name,
        origin=asked.origin,
        source_id=asked.source_id,
        input_id=blob.part,
        input_bytes=stored.size,
        input_sha256=stored.sha256,
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


async def _stored(asked: Instructions, ports: DocumentPorts, room: int | None) -> tuple[BlobName, Stored]:
    terms = ports.terms
    if isinstance(asked.content, bytes):
        part = input_id_of(asked.document_id, sha256(asked.content).hexdigest())
        pieces, limit = _once(asked.content), terms.input_bytes
    else:
        part, pieces, limit = uuid4(), asked.content, min(terms.lines_bytes, room or terms.lines_bytes)
    blob = BlobName(asked.document_id, part)
    return blob, await ports.blobs.put(blob, pieces, limit)


async def _let_go(blob: BlobName, found: Document | None, ports: DocumentPorts) -> None:
    if blob.part not in kept(found):  # the document may be over, or be another's with the same instructions
        await ports.blobs.delete(blob)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
