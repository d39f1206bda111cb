"""Events that go to the same sockets one after the other: offered to each socket together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bounded_contexts.realtime.adapters.packets import Packet
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.recent import Entry


@dataclass(slots=True)
class Run:
    """Of one partition: who lags from one of them on has had what other partitions had before."""

    sessions: Sequence[Session]
    entries: list[Entry] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    size: int = 0

    def takes(self, entry: Entry) -> bool:
        """Return whether the entry is for the same sockets."""
        first = self.entries[0]
        at, begun_at = entry.position, first.position
        return (
            first.delivery.recipients == entry.delivery.recipients
            and (at.topic, at.partition) == (begun_at.topic, begun_at.partition)
        )  # fmt: skip

    def add(self, entry: Entry, packet: Packet) -> None:
        self.entries.append(entry)
        self.packets.append(packet)
        self.size += len(packet)
