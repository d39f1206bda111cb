"""One JSON object per line on standard output; secrets never get that far."""

import logging
import sys
from collections import Counter
from collections.abc import MutableMapping
from time import monotonic
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from shared_kernel.causation import current_cause

LIBRARY_S = 10.0
SECRET_WORDS = ("password", "secret", "token", "authorization")


def configure(level: str, **always: object) -> None:
    """Log at `level` and above; `always` stands in every line. Other libraries' warnings come along."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _cause,
            _masked,
            # Without locals: they are where passwords, tokens and people's texts are.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**always)
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructlog()], force=True)


class _ToStructlog(logging.Handler):
    """Carries the standard library's records over, those of one place at most every `LIBRARY_S`: a client of a broker that
    is away says so a hundred times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._again: dict[tuple[str, int], float] = {}  # place in the code → when it may speak again
        self._unsaid: Counter[tuple[str, int]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        place, now = (record.pathname, record.lineno), monotonic()
        if now < self._again.get(place, 0.0):
            self._unsaid[place] += 1
            return
        self._again[place] = now + LIBRARY_S
        more = {"unsaid": unsaid} if (unsaid := self._unsaid.pop(place, 0)) else {}
        logger = structlog.get_logger()
        logger.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None, **more)


def _cause(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (cause := current_cause()) is not None:
        line.setdefault("correlation_id", cause.correlation_id)
        line.setdefault("causation_id", cause.causation_id)
    return line


def _masked(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in line.items():
        line[name] = _hidden(name, value)
    return line


def _hidden(name: str, value: Any) -> Any:
    if any(word in name.lower() for word in SECRET_WORDS):
        return "***"
    if isinstance(value, dict):
        return {key: _hidden(str(key), item) for key, item in value.items()}
    return [_hidden("", item) for item in value] if isinstance(value, list) else value
