"""What realtime needs from the outside."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared_kernel.events import Recorded
from shared_kernel.module import Offsets, SocketCommand


class NotKept(Exception):
    """Some of the records asked for are gone."""


class Past(Protocol):
    """The topics, as far back as they go."""

    def read(self, start: Offsets, stop: Offsets) -> AsyncGenerator[Sequence[Recorded], None]:
        """Yield the events of the feed from `start` up to `stop`, in order per partition; end when all were yielded.

        `stop` has been written. Raise `NotKept`, before anything is yielded, if records after `start` are gone, and
        `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    past: Past
    commands: Mapping[str, SocketCommand]  # event name → what a client may ask
