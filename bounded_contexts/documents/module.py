"""The door of documents. Who listens to what is decided here and nowhere else."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from bounded_contexts.documents.adapters.http_conversions import conversion_routes
from bounded_contexts.documents.adapters.http_convert import PATH, Waited, convert_routes
from bounded_contexts.documents.adapters.http_taking_in import JOBS_PATH
from bounded_contexts.documents.application.job_ports import JobPorts
from bounded_contexts.documents.application.removing import user_erased
from bounded_contexts.documents.application.tidying import tidy
from bounded_contexts.documents.application.working import Places, convert_requested
from bounded_contexts.documents.domain.conversion import ConversionEvent
from schemas.documents.events import (
    ConversionBegun,
    ConversionCancelled,
    ConversionDeleted,
    ConversionFailed,
    ConversionProgressed,
    ConversionRequested,
    DocumentConverted,
    ResultExpired,
)
from schemas.identity.events import UserErased
from shared_kernel.module import Chore, Consumer, Count, Module, Topic, on

NAME = "documents"
CONVERSION = "documents.conversion"
JOBS = "documents.jobs"
WAITING = 256  # jobs of a process that wait for their turn side by side: which turn it is, their sizes say
READ_MODEL = ("conversion_job",)
TIDY = timedelta(minutes=5)
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


def module(
    waited: Waited, jobs: JobPorts, at_once: int, begin: Callable[[], None], close: Callable[[], Awaitable[None]]
) -> Module:
    """Return the context as wiring knows it; a process converts `at_once` jobs side by side beside what is `waited` for.
    `begin` starts what does that, `close` ends what does either."""
    routes = convert_routes(waited, jobs)
    routes.include_router(conversion_routes(jobs))
    return Module(
        name=NAME,
        topics=(Topic("documents"),),
        has_outbox=True,
        router=routes,
        large_bodies={PATH: waited.limits.input_bytes, JOBS_PATH: jobs.terms.input_bytes},
        consumers=(
            Consumer(
                CONVERSION,
                (
                    on(ConversionRequested, partial(convert_requested, ports=jobs, places=Places(at_once))),
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
                    on(ConversionProgressed, jobs.job_writer.progressed),
                ),
                does="lists conversions",
                read_model=READ_MODEL,
                counts=(
                    Count("documents_converted", "Conversion jobs with a result.", DocumentConverted),
                    Count("conversions_failed", "Conversion jobs that came to nothing.", ConversionFailed),
                ),
            ),
        ),
        begin=begin,
        close=close,
        chores=(Chore(CONVERSION, "deletes what no conversion needs", TIDY, partial(tidy, ports=jobs)),),
    )
