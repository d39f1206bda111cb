"""Conversions in a pool of workers: this process never parses a document (docs/adr/0048)."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import structlog

from bounded_contexts.documents.adapters.worker_messages import Failed, Job, encode, outcome_of, raised
from bounded_contexts.documents.application.ports import Report, Task
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.limits import Limits
from infra import worker_pool
from infra.worker_pool import LimitPassed, WorkerFailed, WorkerPool
from shared_kernel.errors import HeadwaterError

WORK = "bounded_contexts.documents.adapters.worker:work"

log = structlog.get_logger()


class IsolatedConverter:
    """Has each document converted by a worker of its own."""

    def __init__(self, pool: WorkerPool, limits: Limits) -> None:
        """The pool's workers do `WORK`."""
        self._pool, self._limits = pool, limits

    @asynccontextmanager
    async def converting(self, task: Task, source: AsyncIterable[bytes]) -> AsyncIterator["Conversion"]:
        """Begin a conversion, in its turn. Raise `Unavailable` for no turn in time."""
        async with self._pool.running(encode(Job(task, self._limits)), source) as running:
            yield Conversion(running)


class Conversion:
    """A conversion that has begun."""

    def __init__(self, running: worker_pool.Running) -> None:
        self._running = running
        self._report: Report | None = None

    @property
    def read_bytes(self) -> int:
        """Return how much of the input was taken so far."""
        return self._running.read_bytes

    @property
    def report(self) -> Report:
        """Return what it changed. Known once the pieces have ended."""
        if self._report is None:
            raise RuntimeError("the conversion has not ended")
        return self._report

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the result. Raise as `application.ports.Running` says."""
        try:
            async for piece in self._running.pieces():
                yield piece
        except LimitPassed as error:
            raise TooLarge(error.limit, error.allowed) from None
        except WorkerFailed as error:
            log.error("documents.failed", error=str(error))
            raise HeadwaterError("conversion_failed", "a defect of ours; it was logged") from None
        outcome = outcome_of(self._running.result)
        if isinstance(outcome, Failed):
            raise raised(outcome)
        self._report = outcome.report
