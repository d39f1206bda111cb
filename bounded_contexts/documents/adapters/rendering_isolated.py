"""Renderings in a pool of workers: this process never reads instructions, and holds no engine (docs/adr/0048)."""

from collections.abc import AsyncIterable, AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib import metadata

import structlog

from bounded_contexts.documents.adapters.render_messages import (
    Examine,
    Examined,
    Find,
    Found,
    Inspect,
    Inspected,
    Outcome,
    Preview,
    Render,
    Rendered,
    Shown,
    Wrong,
    encode,
    error_of,
    outcome_of,
)
from bounded_contexts.documents.adapters.worker_messages import Failed
from bounded_contexts.documents.application.asset_ports import Facts
from bounded_contexts.documents.application.document_ports import Findings, RenderReport
from bounded_contexts.documents.application.template_ports import Inspection
from bounded_contexts.documents.domain.asset import MediaType
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from infra import worker_pool
from infra.worker_pool import LimitPassed, WorkerFailed, WorkerPool
from shared_kernel.errors import HeadwaterError

WORK = "bounded_contexts.documents.adapters.render_worker:work"
TOLD = 100  # warnings that are told with their places

log = structlog.get_logger()


class IsolatedRenderer:
    """Has each document rendered by a worker of its own."""

    def __init__(self, pool: WorkerPool, limits: RenderLimits) -> None:
        """The pool's workers do `WORK`."""
        self._pool, self._limits = pool, limits

    @asynccontextmanager
    async def rendering(self, target: Target, source: AsyncIterable[bytes]) -> AsyncIterator["IsolatedRendering"]:
        """Begin, in its turn. Raise `Unavailable` for no turn in time."""
        async with self._pool.running(encode(Render(target, self._limits, TOLD)), source) as running:
            yield IsolatedRendering(running)

    def is_current(self, engine: str, version: str) -> bool:
        """Return what the port says."""
        try:
            return metadata.version(engine) == version
        except metadata.PackageNotFoundError:
            return False

    async def findings(self, targets: Collection[Target], source: AsyncIterable[bytes]) -> Findings:
        """Return what the port says. Raise as it says."""
        async with self._pool.running(encode(Find(tuple(targets), self._limits, TOLD)), source) as running:
            async for _ in _output(running):
                pass
            outcome = _outcome(running)
        assert isinstance(outcome, Found)  # noqa: S101 – that is what was asked
        return outcome.findings

    async def preview(self, page: int, width: int, source: AsyncIterable[bytes]) -> tuple[bytes, int]:
        """Return what the port says. Raise as it says."""
        async with self._pool.running(encode(Preview(page, width, self._limits)), source) as running:
            image = b"".join([piece async for piece in _output(running)])
            outcome = _outcome(running)
        assert isinstance(outcome, Shown)  # noqa: S101 – that is what was asked
        return image, outcome.pages

    async def inspected(self, source: AsyncIterable[bytes]) -> Inspection:
        """Return what the port `Inspector` says. Raise as it says."""
        async with self._pool.running(encode(Inspect(self._limits)), source) as running:
            async for _ in _output(running):
                pass
            outcome = _outcome(running)
        assert isinstance(outcome, Inspected)  # noqa: S101 – that is what was asked
        return outcome.inspection

    async def examined(self, media_type: MediaType, source: AsyncIterable[bytes]) -> Facts:
        """Return what the port `Examiner` says. Raise as it says."""
        async with self._pool.running(encode(Examine(media_type, self._limits)), source) as running:
            async for _ in _output(running):
                pass
            outcome = _outcome(running)
        assert isinstance(outcome, Examined)  # noqa: S101 – that is what was asked
        return outcome.facts


class IsolatedRendering:
    """A rendering that has begun."""

    def __init__(self, running: worker_pool.Running) -> None:
        self._running = running
        self._report: RenderReport | None = None

    @property
    def report(self) -> RenderReport:
        """Return what it came to. Known once the pieces have ended."""
        if self._report is None:
            raise RuntimeError("the rendering has not ended")
        return self._report

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the file. Raise as `application.document_ports.Rendering` says."""
        async for piece in _output(self._running):
            yield piece
        outcome = _outcome(self._running)
        assert isinstance(outcome, Rendered)  # noqa: S101 – that is what was asked
        self._report = outcome.report


async def _output(running: worker_pool.Running) -> AsyncIterator[bytes]:
    try:
        async for piece in running.pieces():
            yield piece
    except LimitPassed as error:
        raise TooLarge(error.limit, error.allowed) from None
    except WorkerFailed as error:
        log.error("documents.failed", error=str(error))
        raise HeadwaterError("rendering_failed", "a defect of ours; it was logged") from None


def _outcome(running: worker_pool.Running) -> Outcome:
    outcome: Outcome | Wrong | Failed = outcome_of(running.result)
    if isinstance(outcome, Wrong | Failed):
        raise error_of(outcome)
    return outcome
