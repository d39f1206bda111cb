"""What happens to conversion jobs, to documents, to templates and to assets. Each function writes exactly once."""

from uuid import UUID

from bounded_contexts.documents.application.asset_ports import AssetPorts
from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.template_ports import TemplatePorts
from bounded_contexts.documents.domain import asset, conversion, document, template
from bounded_contexts.documents.domain.asset import Asset, AssetCommand
from bounded_contexts.documents.domain.commands import (
    Begin,
    Cancel,
    Complete,
    Delete,
    Expire,
    Fail,
    RequestConversion,
)
from bounded_contexts.documents.domain.conversion import Job, known
from bounded_contexts.documents.domain.document import Document
from bounded_contexts.documents.domain.document_commands import DocumentChange, RequestDocument
from bounded_contexts.documents.domain.template import Template, TemplateCommand
from schemas.documents.events import ConversionProgressed
from shared_kernel.decider import execute

ATTEMPTS = 10  # a job's owner, its worker and the chore may meet at it


async def request_conversion(ask: RequestConversion, ports: JobPorts) -> Job:
    """Return the job, which a repeat finds as it is by now. Raise `Refused` when something else was asked for under this id."""
    job, _, _ = await execute(conversion, ports.store, ask.document_id, ask, ATTEMPTS)
    return known(job)


async def change_conversion(ask: Begin | Complete | Fail | Cancel | Expire | Delete, ports: JobPorts) -> Job:
    """Return the job after it. What is over stays as it is. Raise `NotFound`, also to who does not own it, `Taken` for a job
    that is over and cannot be cancelled any more."""
    job, _, _ = await execute(conversion, ports.store, ask.document_id, ask, ATTEMPTS)
    return known(job)


async def tell_progress(document_id: UUID, job: Job, read_bytes: int, ports: JobPorts) -> None:
    """Say how far the conversion is; nothing is decided by it. Raise `Unavailable`."""
    at = ports.now()
    await ports.log.publish(
        ConversionProgressed(
            document_id=document_id,
            user_id=job.user_id,
            read_bytes=read_bytes,
            input_bytes=job.input_bytes,
            at=at,
        )
    )


async def request_document(ask: RequestDocument, ports: DocumentPorts) -> Document:
    """Return the document, which a repeat finds as it is by now. Raise `Refused` when something else was asked for under this
    id."""
    found, _, _ = await execute(document, ports.store, ask.document_id, ask, ATTEMPTS)
    return document.known(found)


async def change_document(ask: DocumentChange, ports: DocumentPorts) -> Document:
    """Return the document after it. What is over stays as it is. Raise `NotFound`, also to who does not own it, `Taken` for one
    that is over and cannot be cancelled any more."""
    found, _, _ = await execute(document, ports.store, ask.document_id, ask, ATTEMPTS)
    return document.known(found)


async def change_template(ask: TemplateCommand, ports: TemplatePorts) -> Template | None:
    """Return the template after it. What is its newest version already changes nothing. Raise `NotFound` for one to remove that
    is not there, `Refused` for too many versions."""
    found, _, _ = await execute(template, ports.store, ask.template_id, ask, ATTEMPTS)
    return found


async def change_asset(ask: AssetCommand, ports: AssetPorts) -> Asset | None:
    """Return the asset after it. What is its newest version already changes nothing. Raise `NotFound` for one to remove that is
    not there, `Refused` for too many versions."""
    found, _, _ = await execute(asset, ports.store, ask.asset_id, ask, ATTEMPTS)
    return found
