"""Pick documents's adapters, as `wiring` does for the others."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

from bounded_contexts.documents import module as documents
from bounded_contexts.documents.adapters import rendering_isolated
from bounded_contexts.documents.adapters.assets_postgres import PostgresAssets
from bounded_contexts.documents.adapters.documents_postgres import PostgresDocuments
from bounded_contexts.documents.adapters.http_convert import Waited
from bounded_contexts.documents.adapters.http_documents import Looked
from bounded_contexts.documents.adapters.isolated import WORK, IsolatedConverter
from bounded_contexts.documents.adapters.jobs_postgres import PostgresJobs
from bounded_contexts.documents.adapters.rendering_isolated import IsolatedRenderer
from bounded_contexts.documents.adapters.templates_postgres import PostgresTemplates
from bounded_contexts.documents.application.asset_ports import AssetPorts, Examiner
from bounded_contexts.documents.application.document_ports import DocumentPorts, DocumentTerms, Renderer
from bounded_contexts.documents.application.job_ports import JobPorts, Terms
from bounded_contexts.documents.application.ports import Converter
from bounded_contexts.documents.application.template_ports import Inspector, TemplatePorts
from bounded_contexts.documents.domain.asset import AssetEvent
from bounded_contexts.documents.domain.conversion import ConversionEvent
from bounded_contexts.documents.domain.document import DocumentEvent
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.template import TemplateEvent
from bounded_contexts.identity.application.ports import Directory
from bounded_contexts.messaging.application.ports import Ports as MessagingPorts
from headwater.given import Given
from headwater.settings import Settings
from headwater.wiring_sources import source_ports
from infra.blobs_directory import DirectoryBlobs
from infra.blobs_s3 import S3Blobs
from infra.event_store_postgres import PostgresEventStore
from infra.kafka_log import KafkaLog
from infra.worker_pool import PoolLimits, TaskLimits, WorkerPool
from shared_kernel.blobs import Blobs
from shared_kernel.module import Module

IDLE_S = 60.0  # that a client may take nothing of a result: its worker waits meanwhile
JOB_CPU_S, JOB_S = 3_600, 7_200.0  # of one job: whoever waits for it waits for a notification


def module_of_documents(given: Given, talk: MessagingPorts, people: Directory) -> Module:
    """Return the context, which asks messaging what was said, and identity what people are called. Each kind of work has workers
    of its own."""
    settings, at_once = given.settings, given.settings.documents_jobs_at_once
    now = pool_of_documents(settings, PoolLimits(settings.documents_workers))
    later = pool_of_documents(settings, PoolLimits(at_once, waiting=at_once, spare=1), JOB_CPU_S, JOB_S)
    looking, rendering = render_pools(settings)

    async def close() -> None:
        await asyncio.gather(*(pool.close() for pool in (now, later, looking, rendering)))

    input_bytes = settings.documents_render_input_limit
    looker = IsolatedRenderer(looking, RenderLimits(input_bytes=input_bytes))
    return documents.module(
        waited_for(settings, now),
        job_ports(given, IsolatedConverter(later, Limits())),
        Looked(looker, input_bytes),
        document_ports(given, IsolatedRenderer(rendering, RenderLimits())),
        template_ports(given, looker),
        asset_ports(given, looker),
        source_ports(given, talk, people),
        documents.AtOnce(at_once, settings.documents_renderings_at_once),
        now.start,
        close,
    )


def render_pools(settings: Settings) -> tuple[WorkerPool, WorkerPool]:
    """Return the workers for what somebody waits for, and for what is rendered later."""

    def pool(limits: PoolLimits, cpu_s: int) -> WorkerPool:
        task = TaskLimits(settings.documents_render_memory, cpu_s=cpu_s, total_s=2.0 * cpu_s)
        return WorkerPool(rendering_isolated.WORK, limits, task, settings.documents_spool_directory)

    at_once = settings.documents_renderings_at_once
    return (
        pool(PoolLimits(settings.documents_previews_at_once, spare=1), settings.documents_preview_seconds),
        pool(PoolLimits(at_once, waiting=at_once, spare=1), settings.documents_render_seconds),
    )


def pool_of_documents(
    settings: Settings, limits: PoolLimits, cpu_s: int | None = None, total_s: float | None = None
) -> WorkerPool:
    """Return workers that convert, each document within the settings or so much time."""
    task = TaskLimits(
        memory_bytes=settings.documents_worker_memory,
        cpu_s=cpu_s or settings.documents_worker_seconds,
        total_s=total_s or settings.documents_timeout,
    )
    return WorkerPool(WORK, limits, task, settings.documents_spool_directory)


def waited_for(settings: Settings, pool: WorkerPool) -> Waited:
    """Return what converts while somebody waits."""
    limits = Limits(input_bytes=settings.documents_input_limit)
    return Waited(
        IsolatedConverter(pool, limits),
        limits,
        pool.task,
        pool.limits,
        settings.documents_per_user,
        IDLE_S,
        settings.documents_spool_directory,
    )


def blobs_of(settings: Settings, kind: str) -> Blobs:
    """Return where blobs of one kind are kept, apart from the others: who tidies one kind knows nothing of the others."""
    if settings.documents_bucket:
        return S3Blobs(f"{settings.documents_bucket.rstrip('/')}/{kind}")
    return DirectoryBlobs((settings.documents_directory or settings.home / "documents") / kind)


def document_ports(given: Given, renderer: Renderer) -> DocumentPorts:
    """Return what documents that are rendered need."""
    settings, database = given.settings, given.databases[documents.NAME]
    listed = PostgresDocuments(database)
    return DocumentPorts(
        store=PostgresEventStore[DocumentEvent](database, documents.NAME, given.codec),
        blobs=blobs_of(settings, "rendered"),
        renderer=renderer,
        writer=listed,
        documents=listed,
        terms=DocumentTerms(
            input_bytes=RenderLimits().input_bytes + RenderLimits().asset_bytes,
            lines_bytes=settings.documents_render_rows_limit,
            output_bytes=RenderLimits().output_bytes,
            waiting_per_user=settings.documents_renderings_per_user,
            stored_per_user=settings.documents_rendered_bytes_per_user,
            lifetime=timedelta(seconds=settings.documents_rendered_lifetime),
        ),
        now=partial(datetime.now, UTC),
    )


def template_ports(given: Given, inspector: Inspector) -> TemplatePorts:
    """Return what templates need."""
    settings, database = given.settings, given.databases[documents.NAME]
    listed = PostgresTemplates(database)
    return TemplatePorts(
        store=PostgresEventStore[TemplateEvent](database, documents.NAME, given.codec),
        blobs=blobs_of(settings, "templates"),
        inspector=inspector,
        writer=listed,
        templates=listed,
        input_bytes=settings.documents_render_input_limit,
        now=partial(datetime.now, UTC),
    )


def asset_ports(given: Given, examiner: Examiner) -> AssetPorts:
    """Return what assets need."""
    settings, database = given.settings, given.databases[documents.NAME]
    listed = PostgresAssets(database)
    return AssetPorts(
        store=PostgresEventStore[AssetEvent](database, documents.NAME, given.codec),
        blobs=blobs_of(settings, "assets"),
        examiner=examiner,
        writer=listed,
        assets=listed,
        input_bytes=settings.documents_render_input_limit,
        used_bytes=RenderLimits().asset_bytes,
        now=partial(datetime.now, UTC),
    )


def job_ports(given: Given, converter: Converter) -> JobPorts:
    """Return what conversion jobs need."""
    settings, database, limits = given.settings, given.databases[documents.NAME], Limits()
    jobs = PostgresJobs(database)
    return JobPorts(
        store=PostgresEventStore[ConversionEvent](database, documents.NAME, given.codec),
        log=KafkaLog(given.commands, given.codec),
        blobs=blobs_of(settings, "conversions"),
        converter=converter,
        job_writer=jobs,
        jobs=jobs,
        terms=Terms(
            input_bytes=limits.input_bytes,
            output_bytes=limits.output_bytes,
            waiting_per_user=settings.documents_jobs_per_user,
            stored_per_user=settings.documents_bytes_per_user,
            lifetime=timedelta(seconds=settings.documents_result_lifetime),
        ),
        now=partial(datetime.now, UTC),
    )
