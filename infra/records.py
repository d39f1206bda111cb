"""A record as every part of the consumer runtime sees it, whichever broker it came from."""

from typing import NamedTuple

from infra.envelope import Headers

Partition = tuple[str, int]  # topic on the broker, number


class Record(NamedTuple):
    """What lies at one place of a partition."""

    topic: str  # on the broker
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int  # since the epoch; when it was produced, -1: not known

    @property
    def home(self) -> Partition:
        """Return the partition it lies in."""
        return self.topic, self.partition
