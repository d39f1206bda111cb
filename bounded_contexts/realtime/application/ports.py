"""What realtime needs from the outside."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared_kernel.events import Recorded
from shared_kernel.module import Offsets, SocketCommand


class NotKept(Exception):
    """Some of the records asked for are gone."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some records of the topics."""

    events: Sequence[Recorded]  # those of the feed
    reached: Offsets  # what comes after all of them


class Past(Protocol):
    """The topics, as far back as they go."""

    def read(self, start: Offsets) -> AsyncGenerator[Stretch, None]:
        """Yield what follows `start`, in order per partition, for ever; stretches without events too.

        Raise `NotKept`, before anything is yielded, if records after `start` are gone, and `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    past: Past
    commands: Mapping[str, SocketCommand]  # event name → what a client may ask
