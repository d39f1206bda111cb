"""Pick documents's adapters, as `wiring` does for the others."""

from bounded_contexts.documents import module as documents
from bounded_contexts.documents.adapters.http_convert import Waited
from bounded_contexts.documents.adapters.isolated import WORK, IsolatedConverter
from bounded_contexts.documents.domain.limits import Limits
from headwater.given import Given
from headwater.settings import Settings
from infra.worker_pool import PoolLimits, TaskLimits, WorkerPool
from shared_kernel.module import Module

IDLE_S = 60.0  # that a client may take nothing of a result: its worker waits meanwhile


def module_of_documents(given: Given) -> Module:
    """Return the context."""
    pool = pool_of_documents(given.settings)
    return documents.module(waited_for(given.settings, pool), pool.close)


def pool_of_documents(settings: Settings) -> WorkerPool:
    """Return the workers that those who wait have their documents converted by."""
    task = TaskLimits(
        memory_bytes=settings.documents_worker_memory,
        cpu_s=settings.documents_worker_seconds,
        total_s=settings.documents_timeout,
    )
    return WorkerPool(WORK, PoolLimits(settings.documents_workers), task, settings.documents_spool_directory)


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
