"""One socket of one user: what it may still be sent, and how far it has come while it lags."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar, Literal
from uuid import UUID

from bounded_contexts.realtime.adapters import packets
from bounded_contexts.realtime.adapters.connection import Connection
from bounded_contexts.realtime.adapters.metrics import DELIVERIES
from bounded_contexts.realtime.adapters.recovery import Recovery
from bounded_contexts.realtime.application.own_messages import OwnMessages
from bounded_contexts.realtime.application.reactions import Recipient
from bounded_contexts.realtime.application.recent import Entry, Reading
from infra.access_tokens import LEEWAY, User
from shared_kernel.module import Offsets


@dataclass(slots=True, eq=False)
class Session:
    """Live: events are queued as they come. Not live: they are taken from what is kept, in order, as there is room."""

    begins_at_once: ClassVar[bool] = True  # to listen, when the client knows it is in
    takes_login: ClassVar[Literal["always", "perhaps", "never"]] = "always"  # whether the client says who it is

    namespace: ClassVar[str] = packets.NAMESPACE
    hears_all: ClassVar[bool] = True  # of what is due to it, as it is

    user: User
    position: Offsets | None  # where the client wants to go on
    echo: bool
    own: OwnMessages
    connection: Connection | None = None  # None until the client knows it is in
    is_ready: bool = False  # whether it was told that it begins
    begins: Offsets = field(default_factory=dict)  # from where on it is sent events, once it is ready
    live: bool = False
    ended: bool = False
    revoked: str | None = None  # why its sign-in is over
    seq: int = 0  # while not live: the last of this node's deliveries that was looked at
    progress: Reading = field(default_factory=dict)  # while not live: everything before it was queued
    replayed: set[str] = field(default_factory=set)  # while not live: ids of events that came from the past
    expiry: asyncio.TimerHandle | None = None
    key: str = ""  # that has signed the token, where it says so
    recovery: Recovery | None = None  # of a client that wants to be recovered

    @property
    def id(self) -> UUID:
        return self.user.id

    @property
    def pid(self) -> str | None:
        """Return what a client that is to be recovered is known by on all nodes."""
        return self.recovery.pid if self.recovery else None

    @property
    def is_public(self) -> bool:
        """Return whether it hears public updates, and no others."""
        return False

    @property
    def recipients(self) -> Collection[Recipient]:
        """Return whose deliveries it is sent: of one delivery there is one of them at most."""
        return (self.id,)

    @property
    def covered(self) -> Reading:
        """Return, while not live, up to where the client has had everything."""
        return self.progress

    @property
    def is_full(self) -> bool:
        return self.connection is None or self.connection.outbox.is_full

    def seconds_left(self) -> float:
        """Return how long the token lasts, by the same leeway it was let in with."""
        return (self.user.expires_at + LEEWAY - datetime.now(UTC)).total_seconds()

    def say(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell the client something about the session."""
        if self.connection and not self.ended:
            self.connection.send(self.heard(packets.notice(name, data, self.namespace)))

    def heard(self, packet: Any) -> Any:
        """Return a Socket.IO packet as the client reads it."""
        return packet if self.recovery is None else packets.with_offset(packet)

    def whisper(self, name: str, data: Mapping[str, Any]) -> bool:
        """Tell the client what it can do without. Return False, and do nothing, before it has begun and while it is slow."""
        if not self.is_ready or self.connection is None or self.connection.outbox.is_crowded:
            return False
        self.say(name, data)
        return True

    def answer(self, number: int, outcome: Mapping[str, Any]) -> None:
        """Answer what the client asked as `number`. Raise `TypeError` for data that JSON has no form for."""
        if self.connection and not self.ended:
            self.connection.send(packets.ack(number, outcome, self.namespace))

    def offer(self, entry: Entry, packet: Any) -> bool:
        """Queue a delivery unless it is the socket's own message. Return False, and do nothing, when there is no room."""
        if not self.echo and self.own.take(entry.delivery):
            return True
        if self.connection is None or not self.connection.outbox.offer(self.heard(packet)):
            return False
        DELIVERIES.count += 1
        return True

    def offer_all(self, entries: Sequence[Entry], packets: Sequence[Any], size: int) -> Entry | None:
        """Queue deliveries that follow each other. Return the first that there was no room for."""
        connection = self.connection
        if (
            self.hears_all
            and self.recovery is None
            and connection is not None
            and (self.echo or self.own.is_idle)
            and connection.outbox.offer_all(packets, size)
        ):
            DELIVERIES.count += len(packets)
            return None
        return next(
            (entry for entry, packet in zip(entries, packets, strict=True) if not self.offer(entry, packet)), None
        )

    def lag(self, entry: Entry, reached: Reading) -> None:
        """Stop taking events as they come, beginning with this one."""
        self.live = False
        self.seq = entry.seq - 1
        self.progress = reached
        self.progress[entry.position.topic][entry.position.partition] = entry.position.offset

    def passes(self, entry: Entry) -> bool:
        """Return whether the client has had the delivery already."""
        at = entry.position
        return at.offset < self.progress.get(at.topic, {}).get(at.partition, 0) or entry.id in self.replayed

    def pass_by(self, entry: Entry) -> None:
        """Note that everything up to the entry was queued."""
        self.progress.setdefault(entry.position.topic, {})[entry.position.partition] = entry.position.offset + 1

    def skip_to(self, offsets: Offsets) -> None:
        """Note that everything before `offsets` was queued."""
        for topic, partitions in offsets.items():
            progress = self.progress.setdefault(topic, {})
            for number, offset in partitions.items():
                progress[number] = max(offset, progress.get(number, 0))

    def go_live(self) -> None:
        """Take events as they come from now on."""
        self.live = not self.ended
        self.progress = {}
        self.replayed = set()

    def end(self) -> None:
        """Take nothing more. May be repeated."""
        self.ended, self.live = True, False
        if self.expiry:
            self.expiry.cancel()


class Bucket:
    """A token bucket: `rate` a second, `burst` at once."""

    def __init__(self, rate: float, burst: int, now: Callable[[], float] = monotonic) -> None:
        self._rate, self._burst, self._now = rate, burst, now
        self._level, self._at = float(burst), now()

    def take(self) -> bool:
        """Return whether one more is within the rate."""
        now = self._now()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
