"""What documents need from elsewhere."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bounded_contexts.documents.domain.losses import TOLD

Packed = Literal["identity", "zstd", "gzip", "br"]
Packing = Literal["identity", "gzip", "deflate", "br", "zstd"]


@dataclass(frozen=True, slots=True)
class Task:
    """One conversion as it is asked for: formats by name, options as texts (`domain.options`), how the input is packed and
    how the result shall be."""

    read: str | None  # None: as its first bytes look
    write: str
    options: Mapping[str, str] = field(default_factory=dict)
    packing: Packing = "identity"
    packed: Packed = "identity"
    told: int = TOLD  # changed leaves that are told with their places, at most


@dataclass(frozen=True, slots=True)
class ToldLoss:
    """One changed leaf: code and JSON Pointer as docs/documents.md has them."""

    code: str
    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a conversion changed and found out; sizes in bytes, of the input as it was sent."""

    losses: Mapping[str, int]  # by code
    first: tuple[ToldLoss, ...]
    notes: Mapping[str, str]
    read_bytes: int
    written_bytes: int


class Running(Protocol):
    """A conversion that has begun."""

    @property
    def read_bytes(self) -> int:
        """Return how much of the input was taken so far: progress."""

    @property
    def report(self) -> Report:
        """Return what it changed. Complete once the pieces have ended."""

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the result while the input is taken; who reads slowly slows it down. Once.

        Raise what the source raises, `Unreadable`, `Unwritable`, `Malformed`, and `TooLarge`, also for the memory and the time
        that a worker may take; `Unavailable` when its worker died; `HeadwaterError` for a defect of ours."""


class Converter(Protocol):
    """Converts apart from this process: what it reads can harm nobody but itself."""

    def converting(self, task: Task, source: AsyncIterable[bytes]) -> AbstractAsyncContextManager[Running]:
        """Begin, and end whatever still works when the block is left. Raise `Unavailable` when no worker was
        free for too long."""
