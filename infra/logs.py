"""One JSON object per line on standard output; secrets never get that far."""

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, MutableMapping
from time import monotonic
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from infra.envelope import TRACEPARENT
from shared_kernel.causation import current_cause

LIBRARY_S = 10.0
SECRET_WORDS = ("password", "passwd", "secret", "token", "authorization", "cookie", "api_key", "apikey", "credential")
HIDDEN = "***"
SHORTEST = 8  # a shorter secret is looked for by its place only: as text it may be a part of anything
NAMES = "|".join(SECRET_WORDS).replace("_", "[-_]?")
QUOTE = r"(?:\\?[\"'])"

# What gives a secret away in text that was not written for logs: an exception's words, an address, a repr. Each keeps its
# first group. Nothing here matches a quote or a backslash of JSON, so a line stays one object.
LEAKS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(://[^\s/:@\"\\]*:)[^\s/@\"\\]+(?=@)",  # scheme://user:password@host
        r"(\b(?:bearer|basic)\s+)[^\s,;\"'\\]+",
        rf"((?:{NAMES})[\w-]*(?:{QUOTE}\s*[=:,]\s*b?|\s*[=:]\s*){QUOTE}?)(?!\*\*\*|bearer |basic )[^\s,;&\"'\\)}}]+",
        r"()\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*",  # a JWT
    )
)


def configure(level: str, *, secrets: Collection[str] = (), **always: object) -> None:
    """Log at `level` and above; `always` stands in every line, none of `secrets` in any. Other libraries' warnings come along."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _cause,
            # Without locals: they are where passwords, tokens and people's texts are.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            _masked,
            structlog.processors.JSONRenderer(),
            _without(secrets),
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
        traced = TRACEPARENT.fullmatch(cause.traceparent or "")  # headers of records are written by anybody
        if traced:
            line.setdefault("trace_id", traced[1])
            line.setdefault("span_id", traced[2])
    return line


def _masked(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in line.items():
        line[name] = _hidden(name, value)
    return line


def _hidden(name: str, value: Any) -> Any:
    plain = name.lower().replace("-", "_")
    if any(word in plain for word in SECRET_WORDS):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): _hidden(str(key), item) for key, item in value.items()}
    if isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[0], (str, bytes)):
        return [value[0], _hidden(_text(value[0]), value[1])]  # a header, a field of a form
    return [_hidden("", item) for item in value] if isinstance(value, (list, tuple, set, frozenset)) else value


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _without(secrets: Collection[str]) -> Callable[[Any, str, Any], str]:
    """Return the last step: the finished line without these secrets and without what looks like one."""
    known = sorted({json.dumps(secret)[1:-1] for secret in secrets if len(secret) >= SHORTEST}, key=len, reverse=True)

    def clean(_: Any, __: str, rendered: Any) -> str:
        line = str(rendered)
        for secret in known:
            line = line.replace(secret, HIDDEN)
        for leak in LEAKS:
            line = leak.sub(rf"\1{HIDDEN}", line)
        return line

    return clean
