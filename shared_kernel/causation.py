"""What caused what: carried along every call so that each event names its command and its cause."""

from collections.abc import Callable
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


Known = Cause | Callable[[], Cause]  # what finds it out is called when somebody asks, and mostly nobody does

_cause: ContextVar[Known | None] = ContextVar("cause", default=None)


def current_cause() -> Cause | None:
    """Return why the running code runs, or None outside of any request or event."""
    known = _cause.get()
    if known is None or isinstance(known, Cause):
        return known
    cause = known()
    _cause.set(cause)
    return cause


class because:  # noqa: N801 – read as a statement; a generator would cost every event a few microseconds
    """Run the block as caused by `cause`."""

    __slots__ = ("_before", "_cause")

    def __init__(self, cause: Known) -> None:
        self._cause = cause

    def __enter__(self) -> None:
        self._before: Token[Known | None] = _cause.set(self._cause)

    def __exit__(self, *_: object) -> None:
        _cause.reset(self._before)


def identify(actor: UUID) -> None:
    """Say who asked for what runs now, once that is known."""
    if (cause := current_cause()) is not None:
        _cause.set(replace(cause, actor=actor))
