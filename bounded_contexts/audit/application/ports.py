"""What the audit log needs from the outside."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bounded_contexts.audit.domain.chain import Head, Kept
from bounded_contexts.audit.domain.root import Root
from shared_kernel.events import Position
from shared_kernel.handling import Device, Handling
from shared_kernel.records import Record


class Log(Protocol):
    async def keep(self, records: Sequence[Record]) -> None:
        """Continue a partition's chain with consecutive records of it."""
        ...

    async def done(self) -> Mapping[tuple[str, int], int]:
        """Return for each chain the offset after the last record that the group says it has kept."""
        ...

    async def heads(self) -> list[Head]:
        """Return the last record of every chain, all at one moment."""
        ...

    def chain(self, topic: str, partition: int) -> AsyncIterator[Kept]:
        """Yield a chain's records in order, holding few of them."""
        ...

    async def about(self, correlation_id: str, limit: int) -> list[Kept]:
        """Return what has this correlation id, in the order of time."""
        ...

    async def of_events(self, event_ids: Sequence[str], limit: int) -> list[Kept]:
        """Return what has one of these event ids, in the order of time."""
        ...

    async def seal(self, root: Root) -> bool:
        """Add the root; return False if another has taken its number."""
        ...

    async def last_root(self) -> Root | None:
        """Return the newest root."""
        ...

    def roots(self) -> AsyncIterator[Root]:
        """Yield the roots in order."""
        ...


class Outcomes(Protocol):
    async def of(
        self, records: Mapping[tuple[str, int, int], str | None]
    ) -> Mapping[tuple[str, int, int], list[Handling]]:
        """Return what became of each record, by topic, partition and offset, in every group that hears its type."""
        ...


class Devices(Protocol):
    async def of(self, value: bytes | None, at: Position, time: datetime) -> list[Device]:
        """Return the sockets that the record lying there, `topic` without prefix, went to, as far as that is known."""
        ...


class RootKey(Protocol):
    @property
    def public_key(self) -> bytes:
        """Return what others verify with."""
        ...

    def sign(self, body: bytes) -> bytes:
        """Return the signature."""
        ...

    def is_signed(self, root: Root) -> bool:
        """Return whether the root's signature is by the key it names, and that key is trusted."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    log: Log
    key: RootKey
    now: Callable[[], datetime]  # time-zone aware, UTC
