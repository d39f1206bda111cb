"""What caused what: carried along every call so that each event names its command and its cause."""

from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something happens now."""

    correlation_id: str  # of the request at the very beginning, the same through the whole flow
    causation_id: str  # of the request or event directly before
    traceparent: str | None = None  # W3C trace context
    actor: UUID | None = None  # who asked, if somebody did


_cause: ContextVar[Cause | None] = ContextVar("cause", default=None)


def current_cause() -> Cause | None:
    """Return why the running code runs, or None outside of any request or event."""
    return _cause.get()


class because:  # noqa: N801 – read as a statement; a generator would cost every event a few microseconds
    """Run the block as caused by `cause`."""

    __slots__ = ("_before", "_cause")

    def __init__(self, cause: Cause) -> None:
        self._cause = cause

    def __enter__(self) -> None:
        self._before: Token[Cause | None] = _cause.set(self._cause)

    def __exit__(self, *_: object) -> None:
        _cause.reset(self._before)


def identify(actor: UUID) -> None:
    """Say who asked for what runs now, once that is known."""
    if (cause := _cause.get()) is not None:
        _cause.set(replace(cause, actor=actor))
