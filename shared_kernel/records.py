"""A record as it lies on its topic, whichever broker that is on."""

from collections.abc import Sequence
from typing import NamedTuple

Partition = tuple[str, int]  # topic as on the broker, number


class Record(NamedTuple):
    """What lies at one place of a partition, undecoded."""

    topic: str  # as on the broker
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int  # since the epoch; when it was produced, -1: not known

    @property
    def home(self) -> Partition:
        """Return the partition it lies in."""
        return self.topic, self.partition
