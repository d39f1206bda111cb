"""Take back documents that were asked for, and let go of what nobody needs any more: the events first, then the blobs."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from bounded_contexts.documents.application.commands import change_document
from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.domain import document
from bounded_contexts.documents.domain.document import Document, kept
from bounded_contexts.documents.domain.document_commands import CancelDocument, DeleteDocument, ExpireDocument
from schemas.identity.events import UserErased
from shared_kernel.blobs import BlobName
from shared_kernel.decider import state_of
from shared_kernel.errors import NotFound

PAGE = 500  # documents or blobs looked for at once
EXPIRED = 5_000  # documents that are let expire each time
GRACE = timedelta(hours=6)  # in which a request or a rendering may end whose blob no event names yet


async def cancel(document_id: UUID, user_id: UUID, ports: DocumentPorts) -> Document:
    """Have it not rendered any more, also while it is; within seconds its worker is ended. Twice is once. Raise `NotFound`,
    `Taken` for one that is over."""
    found = await change_document(CancelDocument(document_id=document_id, user_id=user_id, at=ports.now()), ports)
    await _let_go(document_id, found, ports)
    return found


async def delete(document_id: UUID, user_id: UUID, ports: DocumentPorts) -> None:
    """Have nothing left of it but its events, also while it waits or is rendered. Links to it end. Raise `NotFound`."""
    found = await change_document(DeleteDocument(document_id=document_id, user_id=user_id, at=ports.now()), ports)
    await _let_go(document_id, found, ports)


async def user_erased(event: UserErased, ports: DocumentPorts) -> None:
    """Delete everything of somebody who is gone. Safe to repeat."""
    before = None
    while listed := await ports.documents.of_user(event.user_id, PAGE, before):
        for each in listed:
            with suppress(NotFound):  # deleted meanwhile
                await delete(each.document_id, event.user_id, ports)
        before = listed[-1].requested_at, listed[-1].document_id


async def expire(ports: DocumentPorts) -> None:
    """Let files expire whose time has come, as far as they are listed. Safe to repeat, and to do by several at once."""
    now = ports.now()
    for document_id in await ports.documents.past(now, EXPIRED):
        found = await change_document(ExpireDocument(document_id=document_id, at=now), ports)
        await _let_go(document_id, found, ports)


async def sweep(ports: DocumentPorts) -> None:
    """Delete every blob that no document needs, as processes leave them that die. The list says of most that they are needed; of
    the others the events say whether they are. Safe to repeat, and to do by several at once."""
    some: list[BlobName] = []
    async for blob in ports.blobs.before(ports.now() - GRACE):
        some.append(blob)
        if len(some) == PAGE:
            await _sweep(some, ports)
            some = []
    await _sweep(some, ports)


async def _sweep(some: Sequence[BlobName], ports: DocumentPorts) -> None:
    needed = await ports.documents.needed(some) if some else set()
    for blob in some:
        if blob in needed:
            continue
        found, _ = await state_of(document, ports.store, blob.owner)
        if blob.part not in kept(found):
            await ports.blobs.delete(blob)


async def _let_go(document_id: UUID, found: Document, ports: DocumentPorts) -> None:
    parts = {found.input_id} | ({found.file.id} if found.file else set())
    for part in parts - kept(found):
        await ports.blobs.delete(BlobName(document_id, part))
