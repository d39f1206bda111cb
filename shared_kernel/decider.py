"""Aggregates as deciders: a pure function from state and request to events, and one from state and event to state."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import Generic, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from shared_kernel.errors import Conflict, Stale
from shared_kernel.events import Event, EventStore

E = TypeVar("E", bound=Event)
S = TypeVar("S")
C_contra = TypeVar("C_contra", contravariant=True)

ATTEMPTS = 3  # the first and two on newer state; more would hide a hot aggregate


class Decider(Protocol[S, C_contra, E]):
    """What a domain module offers for one aggregate. The module itself satisfies this protocol."""

    @property
    def INITIAL(self) -> S: ...  # noqa: N802 – a constant of a module

    def decide(self, state: S, ask: C_contra, /) -> tuple[E, ...]:
        """Return what happens, nothing if it already has. Raise `Refused`."""
        ...

    def evolve(self, state: S, event: E, /) -> S: ...


@runtime_checkable
class StateStore(Protocol):
    """An event store that need not read a long stream whole to say what it has come to."""

    async def state(self, decider: Decider[S, C_contra, E], stream: UUID) -> tuple[S, int]:
        """Return what `state_of` would make of all events."""
        ...


async def state_of(
    decider: Decider[S, C_contra, E], store: EventStore[E], stream: UUID, as_of: datetime | None = None
) -> tuple[S, int]:
    """Return the aggregate as its events left it, or had left it by then, and its version: 0 before its first event."""
    if as_of is None and isinstance(store, StateStore):
        return await store.state(decider, stream)
    events, version = await store.load(stream, as_of)
    return reduce(decider.evolve, events, decider.INITIAL), version


class AtVersion(Generic[E]):
    """An event store whose streams are decided on at one version only: what a client has seen and says so."""

    def __init__(self, store: EventStore[E], version: int) -> None:
        self._store = store
        self._version = version

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[E], int]:
        """As the store does. Raise `Stale` for another version."""
        events, version = await self._store.load(stream, as_of)
        self._require(version)
        return events, version

    async def state(self, decider: Decider[S, C_contra, E], stream: UUID) -> tuple[S, int]:
        """As `state_of` of the store. Raise `Stale` for another version."""
        state, version = await state_of(decider, self._store, stream)
        self._require(version)
        return state, version

    async def append(self, stream: UUID, version: int, events: Sequence[E]) -> None:
        await self._store.append(stream, version, events)

    def _require(self, version: int) -> None:
        if version != self._version:
            raise Stale("precondition_failed", f"it is at version {version}")


async def execute(
    decider: Decider[S, C_contra, E], store: EventStore[E], stream: UUID, ask: C_contra, attempts: int = ATTEMPTS
) -> tuple[S, int, Sequence[E]]:
    """Decide and append; on `Conflict` decide again on the newer state, `attempts` times in all.

    Return the state and version after it and the new events. Raise `Refused`, `Conflict` or `Unavailable`."""
    for left in range(attempts - 1, -1, -1):
        state, version = await state_of(decider, store, stream)
        events = decider.decide(state, ask)
        try:
            if events:
                await store.append(stream, version, events)
        except Conflict:
            if not left:
                raise
        else:
            return reduce(decider.evolve, events, state), version + len(events), events
    raise AssertionError("attempts must be at least 1")
