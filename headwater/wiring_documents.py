"""Pick documents's adapters, as `wiring` does for the others."""

from datetime import UTC, datetime, timedelta
from functools import partial

from bounded_contexts.documents import module as documents
from bounded_contexts.documents.adapters.isolated import WORK, IsolatedConverter
from bounded_contexts.documents.adapters.jobs_postgres import PostgresJobs
from bounded_contexts.documents.application.job_ports import JobPorts, Terms
from bounded_contexts.documents.application.ports import Converter
from bounded_contexts.documents.domain.conversion import ConversionEvent
from bounded_contexts.documents.domain.limits import Limits
from headwater.given import Given
from infra.blobs_directory import DirectoryBlobs
from infra.event_store_postgres import PostgresEventStore
from infra.kafka_log import KafkaLog
from infra.worker_pool import PoolLimits, TaskLimits, WorkerPool
from shared_kernel.module import Module

JOB = TaskLimits(cpu_s=3_600, total_s=7_200.0)  # of one job: whoever waits for it waits for a notification


def module_of_documents(given: Given) -> Module:
    """Return the context."""
    at_once = given.settings.documents_jobs_at_once
    pool = WorkerPool(WORK, PoolLimits(at_once=at_once, waiting=at_once, spare=1), JOB)
    return documents.module(job_ports(given, IsolatedConverter(pool, Limits())), at_once, pool.close)


def job_ports(given: Given, converter: Converter) -> JobPorts:
    """Return what conversion jobs need."""
    settings, database, limits = given.settings, given.databases[documents.NAME], Limits()
    jobs = PostgresJobs(database)
    return JobPorts(
        store=PostgresEventStore[ConversionEvent](database, documents.NAME, given.codec),
        log=KafkaLog(given.commands, given.codec),
        blobs=DirectoryBlobs(settings.documents_directory or settings.home / "documents"),
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
