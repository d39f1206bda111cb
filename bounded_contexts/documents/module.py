"""The door of documents. Who listens to what is decided here and nowhere else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from bounded_contexts.documents.adapters.http_assets import ASSETS_PATH, asset_routes
from bounded_contexts.documents.adapters.http_conversions import conversion_routes
from bounded_contexts.documents.adapters.http_convert import PATH, Waited, convert_routes
from bounded_contexts.documents.adapters.http_documents import (
    DOCUMENTS_PATH,
    PREVIEW_PATH,
    VALIDATE_PATH,
    Looked,
    document_routes,
)
from bounded_contexts.documents.adapters.http_exports import export_routes
from bounded_contexts.documents.adapters.http_taking_in import JOBS_PATH
from bounded_contexts.documents.adapters.http_templates import TEMPLATES_PATH, template_routes
from bounded_contexts.documents.application import assets, discarding, invoicing, templates
from bounded_contexts.documents.application.asset_ports import AssetPorts
from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.places import Places
from bounded_contexts.documents.application.removing import user_erased
from bounded_contexts.documents.application.rendering import render_requested
from bounded_contexts.documents.application.source_ports import SourcePorts
from bounded_contexts.documents.application.template_ports import TemplatePorts
from bounded_contexts.documents.application.tidying import tidy
from bounded_contexts.documents.application.working import convert_requested
from bounded_contexts.documents.domain.asset import AssetEvent
from bounded_contexts.documents.domain.conversion import ConversionEvent
from bounded_contexts.documents.domain.document import DocumentEvent
from bounded_contexts.documents.domain.template import TemplateEvent
from schemas.documents.events import (
    AssetRemoved,
    AssetStored,
    ConversionBegun,
    ConversionCancelled,
    ConversionDeleted,
    ConversionFailed,
    ConversionProgressed,
    ConversionRequested,
    DocumentCancelled,
    DocumentConverted,
    DocumentDeleted,
    DocumentExpired,
    DocumentFailed,
    DocumentRendered,
    DocumentRequested,
    RenderingBegun,
    ResultExpired,
    TemplateRemoved,
    TemplateStored,
)
from schemas.identity.events import UserErased
from schemas.ordering.events import OrderConfirmed, OrderPlaced, OrderRejected
from shared_kernel.module import Chore, Consumer, Count, Module, Topic, on

NAME = "documents"
CONVERSION = "documents.conversion"
JOBS = "documents.jobs"
RENDERING = "documents.rendering"
INVOICES = "documents.invoices"
WAITING = 256  # jobs of a process that wait for their turn side by side: which turn it is, their sizes say
READ_MODEL = ("conversion_job", "document", "document_template", "document_asset")
TIDY = timedelta(minutes=5)
SWEEP = timedelta(hours=1)
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"
EVENTS: tuple[type[ConversionEvent], ...] = (
    ConversionRequested,
    ConversionBegun,
    DocumentConverted,
    ConversionFailed,
    ConversionCancelled,
    ResultExpired,
    ConversionDeleted,
)
DOCUMENT_EVENTS: tuple[type[DocumentEvent], ...] = (
    DocumentRequested,
    RenderingBegun,
    DocumentRendered,
    DocumentFailed,
    DocumentCancelled,
    DocumentExpired,
    DocumentDeleted,
)
TEMPLATE_EVENTS: tuple[type[TemplateEvent], ...] = (TemplateStored, TemplateRemoved)
ASSET_EVENTS: tuple[type[AssetEvent], ...] = (AssetStored, AssetRemoved)


@dataclass(frozen=True, slots=True)
class AtOnce:
    """How much a process does side by side, beside what somebody waits for."""

    jobs: int
    renderings: int


def module(
    waited: Waited,
    jobs: JobPorts,
    looked: Looked,
    documents: DocumentPorts,
    kept: TemplatePorts,
    used: AssetPorts,
    sources: SourcePorts,
    at_once: AtOnce,
    begin: Callable[[], None],
    close: Callable[[], Awaitable[None]],
) -> Module:
    """Return the context as wiring knows it. `begin` starts what does conversions that somebody waits for, `close` ends
    whatever works."""
    routes = convert_routes(waited, jobs)
    routes.include_router(conversion_routes(jobs))
    routes.include_router(template_routes(kept))
    routes.include_router(asset_routes(used))
    routes.include_router(document_routes(documents, looked, kept, used))
    routes.include_router(export_routes(documents, sources))
    return Module(
        name=NAME,
        topics=(Topic("documents"),),
        has_outbox=True,
        router=routes,
        large_bodies={PATH: waited.limits.input_bytes, JOBS_PATH: jobs.terms.input_bytes},
        held_bodies=dict.fromkeys(
            (DOCUMENTS_PATH, VALIDATE_PATH, PREVIEW_PATH, TEMPLATES_PATH, ASSETS_PATH), looked.input_bytes
        ),
        line_bodies={DOCUMENTS_PATH: documents.terms.lines_bytes},
        consumers=(
            Consumer(
                RENDERING,
                (
                    on(
                        DocumentRequested, partial(render_requested, ports=documents, places=Places(at_once.renderings))
                    ),
                    on(UserErased, partial(discarding.user_erased, ports=documents)),
                ),
                does="renders documents",
                lanes=WAITING,
                is_interruptible=True,
            ),
            Consumer(
                INVOICES,
                (
                    on(OrderPlaced, partial(invoicing.order_placed, sources=sources)),
                    on(OrderRejected, partial(invoicing.order_rejected, sources=sources)),
                    on(OrderConfirmed, partial(invoicing.order_confirmed, sources=sources, ports=documents)),
                ),
                does="writes invoices of orders",
            ),
            Consumer(
                CONVERSION,
                (
                    on(ConversionRequested, partial(convert_requested, ports=jobs, places=Places(at_once.jobs))),
                    on(UserErased, partial(user_erased, ports=jobs)),
                ),
                does="converts documents that were uploaded",
                lanes=WAITING,
                is_interruptible=True,
            ),
            Consumer(
                JOBS,
                (
                    *(on(event, jobs.job_writer.changed) for event in EVENTS),
                    *(on(event, documents.writer.changed) for event in DOCUMENT_EVENTS),
                    *(on(event, kept.writer.changed) for event in TEMPLATE_EVENTS),
                    *(on(event, used.writer.changed) for event in ASSET_EVENTS),
                    on(ConversionProgressed, jobs.job_writer.progressed),
                ),
                does="lists conversions, documents, templates and assets",
                read_model=READ_MODEL,
                counts=(
                    Count("documents_converted", "Conversion jobs with a result.", DocumentConverted),
                    Count("conversions_failed", "Conversion jobs that came to nothing.", ConversionFailed),
                    Count("documents_rendered", "Documents with a file.", DocumentRendered),
                    Count("documents_failed", "Documents that came to nothing.", DocumentFailed),
                ),
            ),
        ),
        begin=begin,
        close=close,
        chores=(
            Chore(CONVERSION, "deletes what no conversion needs", TIDY, partial(tidy, ports=jobs)),
            Chore(RENDERING, "lets documents expire", TIDY, partial(discarding.expire, ports=documents)),
            Chore(RENDERING, "deletes what no document needs", SWEEP, partial(discarding.sweep, ports=documents)),
            Chore(RENDERING, "deletes what no template needs", SWEEP, partial(templates.sweep, ports=kept)),
            Chore(RENDERING, "deletes what no asset needs", SWEEP, partial(assets.sweep, ports=used)),
        ),
    )
