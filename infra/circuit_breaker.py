"""Calls to something outside that may be away: a bulkhead bounds how many there are, a circuit breaker how long its absence is
paid for (docs/payments.md). pybreaker counts and changes states; here are its clock, its bounds and its figures.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from math import inf
from time import monotonic
from typing import Literal

import structlog
from anyio import CapacityLimiter
from prometheus_client import Counter
from pybreaker import (
    STATE_CLOSED,
    STATE_OPEN,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitMemoryStorage,
)
from pybreaker import CircuitBreaker as Breaker

from infra.metrics import Sample, SampledGauge, sample

State = Literal["closed", "half-open", "open"]
STATES: tuple[State, ...] = ("closed", "half-open", "open")

STATE = SampledGauge(
    "headwater_circuit_breaker_state", "1 for the state that the breaker is in, by process.", ("breaker", "state")
)
CALLS_IN = SampledGauge("headwater_bulkhead_calls", "Calls that are under way, of those that may be.", ("breaker",))
REFUSED = Counter("headwater_circuit_breaker_refused", "Calls that were not made.", ("breaker",))
OPENED = Counter("headwater_circuit_breaker_opened", "How often the breaker opened.", ("breaker",))

log = structlog.get_logger()


class Refusing(Exception):
    """The breaker lets nobody through now."""


class CircuitBreaker:
    """`failures` in a row open it; after `open_s` seconds it lets `probes` at a time through, and as many successes close it
    again. What a block under `call` raises is a failure. One instance is for one event loop."""

    def __init__(self, name: str, *, failures: int, open_s: float, probes: int, concurrency: int) -> None:
        self.name = name
        self._open_s = open_s
        self._probes = probes
        self._probing = 0
        self._storage = _Storage()
        self._breaker = Breaker(
            fail_max=failures,
            reset_timeout=open_s,
            success_threshold=probes,
            listeners=[_Told()],
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._limiter = CapacityLimiter(concurrency)
        OPENED.labels(name)  # shown from the start
        REFUSED.labels(name)
        sample(self)

    @property
    def state(self) -> State:
        """Return the state; an open one whose time is over is half-open, though nobody has called since."""
        if self._storage.state == STATE_OPEN and self._storage.open_for_s < self._open_s:
            return "open"
        return "closed" if self._storage.state == STATE_CLOSED else "half-open"

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Run the block as one call, when there is room for it. Raise `Refusing` at once while the breaker is open."""
        self._require(self.state != "open")
        async with self._limiter:
            with self._probed():
                try:
                    with self._breaker.calling():
                        yield
                except CircuitBreakerError:
                    self._require(False)

    @contextmanager
    def _probed(self) -> Iterator[None]:
        """Let only so many through until the breaker is closed; it may have opened while they waited for room."""
        if self.state == "closed":
            yield
            return
        self._require(self.state == "half-open" and self._probing < self._probes)
        self._probing += 1
        try:
            yield
        finally:
            self._probing -= 1

    def _require(self, allowed: bool) -> None:
        if not allowed:
            REFUSED.labels(self.name).inc()
            raise Refusing(self.name)

    def samples(self) -> Iterator[Sample]:
        state = self.state
        for each in STATES:
            yield STATE, (self.name, each), float(each == state)
        yield CALLS_IN, (self.name,), float(self._limiter.borrowed_tokens)


class _Storage(CircuitMemoryStorage):
    """The state, with a clock that nobody sets: a wall clock that is set back would keep the breaker open for as long."""

    def __init__(self) -> None:
        super().__init__(STATE_CLOSED)
        self._since = -inf

    @property
    def open_for_s(self) -> float:
        """Return how long ago it opened."""
        return monotonic() - self._since

    @property
    def opened_at(self) -> datetime | None:
        return datetime.now(UTC) - timedelta(seconds=self.open_for_s)

    @opened_at.setter
    def opened_at(self, _: datetime) -> None:
        self._since = monotonic()


class _Told(CircuitBreakerListener):
    """Says in the log, and counts, when the state changes."""

    def state_change(self, cb: Breaker, old_state: CircuitBreakerState | None, new_state: CircuitBreakerState) -> None:
        if new_state.name == STATE_OPEN:
            OPENED.labels(cb.name).inc()
        log.warning("circuit_breaker.changed", breaker=cb.name, state=new_state.name)
