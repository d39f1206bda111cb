"""Keep templates, and have them ready for documents."""

from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from bounded_contexts.documents.application.commands import change_template
from bounded_contexts.documents.application.template_ports import Inspection, TemplatePorts
from bounded_contexts.documents.domain import template
from bounded_contexts.documents.domain.template import (
    Kind,
    RemoveTemplate,
    StoreTemplate,
    Template,
    Version,
    content_id_of,
    kept,
    present,
    referred,
    template_id_of,
    version_of,
)
from shared_kernel.blobs import BlobName
from shared_kernel.decider import state_of
from shared_kernel.errors import Refused

GRACE = timedelta(hours=6)  # in which a request may end whose blob no event names yet


async def store(
    name: str, kind: Kind, content: bytes, user_id: UUID, ports: TemplatePorts
) -> tuple[Version, Inspection]:
    """Store a template that has been found fit, and to be of that kind. Return the version that it is, which is the newest one
    where that has the same content, and what it needs. Raise as `Inspector` says, `BlobTooLarge`, `Refused` for another kind or
    too many versions."""
    inspection = await ports.inspector.inspected(_once(content))
    if inspection.kind != kind:
        raise Refused("bad_template", f"it is {inspection.kind.upper()}, and said to be {kind.upper()}")
    id_, digest = template_id_of(name), sha256(content).hexdigest()
    blob = BlobName(id_, content_id_of(id_, digest))
    await ports.blobs.put(blob, _once(content), ports.input_bytes)
    ask = StoreTemplate(
        template_id=id_,
        name=name,
        kind=inspection.kind,
        content_id=blob.part,
        content_bytes=len(content),
        content_sha256=digest,
        user_id=user_id,
        at=ports.now(),
    )
    return version_of(await change_template(ask, ports), None), inspection


async def remove(name: str, user_id: UUID, ports: TemplatePorts) -> None:
    """Remove a template with all versions. Their contents are deleted when they are swept up. Raise `NotFound`."""
    await change_template(RemoveTemplate(template_id=template_id_of(name), user_id=user_id, at=ports.now()), ports)


async def template_for(name: str, ports: TemplatePorts) -> Template:
    """Return the template as its events say. Raise `NotFound`."""
    return present((await state_of(template, ports.store, template_id_of(name)))[0])


async def version_for(reference: str, ports: TemplatePorts) -> tuple[str, Version]:
    """Return name and version of `invoice@3`, or of the newest for `invoice`. Raise `NotFound`."""
    name, number = referred(reference)
    return name, version_of(await template_for(name, ports), number)


async def content_of(name: str, version: Version, ports: TemplatePorts) -> bytes:
    """Return what was stored. Raise `NotFound` when it is not there any more."""
    blob = BlobName(template_id_of(name), version.content_id)
    return b"".join([piece async for piece in ports.blobs.read(blob)])


async def inspected(name: str, version: Version, ports: TemplatePorts) -> Inspection:
    """Return what a version needs. Raise as `Inspector` says."""
    return await ports.inspector.inspected(ports.blobs.read(BlobName(template_id_of(name), version.content_id)))


async def sweep(ports: TemplatePorts) -> None:
    """Delete every blob that no template needs: those of removed ones, and what processes left that died. One that is stored
    anew is young again. Safe to repeat, and to do by several at once."""
    async for blob in ports.blobs.before(ports.now() - GRACE):
        found, _ = await state_of(template, ports.store, blob.owner)
        if blob.part not in kept(found):
            await ports.blobs.delete(blob)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
