"""What the consumer runtime needs of a broker. Kafka is one (infra/kafka_consumer.py), the twin in memory the other."""

from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from infra.envelope import Headers
from shared_kernel.events import Position
from shared_kernel.records import Partition, Record


class PositionLost(Exception):
    """Where the group stands is not on the topic. The process ends: nothing it could do would be right."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What a member does when the broker has something for it. They run on the loop, one after the other."""

    deliver: Callable[[list[Record]], None]  # in the order of each partition, each once, from where it was to begin
    # Returns where to begin; what it does not name begins where the group has committed.
    assigned: Callable[[list[Partition]], Awaitable[Mapping[Partition, int]]]
    revoked: Callable[[list[Partition]], Awaitable[Mapping[Partition, int]]]  # returns what to commit, work being done


class GroupConsumer(Protocol):
    """One member of a group."""

    ended: Exception | None  # what ended the reading, if it was not `close`: `PositionLost`, or what a callback raised

    def start(self) -> None:
        """Join the group and begin to deliver."""

    def pause(self, partition: Partition) -> None:
        """Deliver nothing more of the partition until `resume`, except what is on its way."""

    def resume(self, partition: Partition) -> None:
        """Deliver again."""

    def seek(self, partition: Partition, offset: int, moved: Callable[[], None]) -> None:
        """Go on at `offset`. What is delivered before `moved` is called is from before the move, the rest from after it."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Tell the broker, without waiting, where the group stands."""

    def end(self, partition: Partition) -> int | None:
        """Return the offset the next record of the partition will get, as far as that is known without asking."""

    async def close(self) -> None:
        """Give the partitions back (`revoked` is called) and leave the group."""


class Broker(Protocol):
    @property
    def prefix(self) -> str:
        """Return what stands before every topic and group name."""
        ...

    def consumer(self, group: str, topics: Sequence[str], callbacks: Callbacks) -> GroupConsumer:
        """Return a member that has not joined yet. Names are without prefix; delivered records have it."""
        ...


class Producer(Protocol):
    def send(self, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers) -> "Future[Position]":
        """Hand one record over; the future ends with its position, or `Unavailable` when it was not acknowledged."""
        ...
