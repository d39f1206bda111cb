"""In-memory twin of Kafka for the consumer runtime: same promises to a member, no threads, nothing survives.

A member reads in a task of its own, as Kafka's does in a thread: it delivers nothing while the loop is being asked about a
rebalance, and does what it was asked for between two deliveries.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from time import time

import structlog

from infra.broker import Callbacks, PositionLost
from infra.envelope import Headers
from shared_kernel.errors import Unavailable
from shared_kernel.events import Position
from shared_kernel.records import Partition, Record

PARTITIONS = 6  # of a topic that nobody made
BATCH = 500  # records delivered at once

log = structlog.get_logger()


class MemoryBroker:
    """Ports `Broker` and `Producer`."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.is_away = False  # whether sending fails
        self.logs: dict[str, list[list[Record]]] = {}  # by topic on the broker and partition
        self._groups: dict[str, Group] = {}
        self._keyless = count()

    def make(self, topic: str, partitions: int = PARTITIONS) -> None:
        """Make the topic, empty, whether it is there or not."""
        self.logs[self.prefix + topic] = [[] for _ in range(partitions)]

    def log_of(self, partition: Partition) -> list[Record]:
        """Return what lies in the partition."""
        topic, number = partition
        if topic not in self.logs:
            self.make(topic.removeprefix(self.prefix))
        return self.logs[topic][number]

    def send(
        self, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers
    ) -> "asyncio.Future[Position]":
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self.is_away:
            future.set_exception(Unavailable("broker_unavailable", "the test says so"))
            return future
        self.log_of((self.prefix + topic, 0))
        partitions = self.logs[self.prefix + topic]
        raw = key.encode() if isinstance(key, str) else key
        number = (next(self._keyless) if raw is None else murmur2(raw)) % len(partitions)
        offset = len(partitions[number])
        record = Record(self.prefix + topic, number, offset, raw, value, list(headers), int(time() * 1000))
        partitions[number].append(record)
        future.set_result(Position(topic, number, offset))
        for group in self._groups.values():
            group.wake()
        return future

    def consumer(self, group: str, topics: Sequence[str], callbacks: Callbacks) -> "MemoryConsumer":
        return MemoryConsumer(self, self.group(group), [self.prefix + topic for topic in topics], callbacks)

    def group(self, name: str) -> "Group":
        """Return the group, which need not have members."""
        return self._groups.setdefault(self.prefix + name, Group(self))


class Group:
    """Who shares the partitions, and where the group has committed."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.members: list[MemoryConsumer] = []
        self.owners: dict[Partition, MemoryConsumer] = {}
        self.committed: dict[Partition, int] = {}
        self._broker = broker

    def wake(self) -> None:
        """Let the members see what changed."""
        for member in self.members:
            member.woken.set()

    def balance(self) -> None:
        """Say who is to have which partitions, evenly, moving as few as possible; the members do it when they see it."""
        wanted = {(topic, number) for member in self.members for topic in member.topics for number in self._of(topic)}
        share, more = divmod(len(wanted), len(self.members) or 1)
        for at, member in enumerate(self.members):
            member.target = set(sorted(member.target & wanted)[: share + (at < more)])
        free = sorted(wanted - {partition for member in self.members for partition in member.target}, reverse=True)
        for at, member in enumerate(self.members):
            while len(member.target) < share + (at < more):
                member.target.add(free.pop())
        self.wake()

    def _of(self, topic: str) -> range:
        self._broker.log_of((topic, 0))
        return range(len(self._broker.logs[topic]))


class MemoryConsumer:
    """Port `GroupConsumer`. `stall` and `recover` are for tests."""

    def __init__(self, broker: MemoryBroker, group: Group, topics: Sequence[str], callbacks: Callbacks) -> None:
        self.topics = topics
        self.target: set[Partition] = set()
        self.woken = asyncio.Event()
        self._broker = broker
        self._group = group
        self._callbacks = callbacks
        self._next: dict[Partition, int] = {}  # by the partitions it has
        self._paused: set[Partition] = set()
        self._requests: deque[Callable[[], None]] = deque()
        self._closing = self._stalled = self._expired = False
        self.ended: Exception | None = None
        self._reading: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._join()
        self._reading = asyncio.create_task(self._read())

    def pause(self, partition: Partition) -> None:
        self._ask_for(lambda: self._paused.add(partition))

    def resume(self, partition: Partition) -> None:
        self._ask_for(lambda: self._paused.discard(partition))

    def seek(self, partition: Partition, offset: int, moved: Callable[[], None]) -> None:
        def move() -> None:
            if partition in self._next:
                self._next[partition] = offset
            moved()

        self._ask_for(move)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self._ask_for(lambda: self._group.committed.update(offsets))

    def end(self, partition: Partition) -> int | None:
        return len(self._broker.log_of(partition))

    async def close(self) -> None:
        self._closing = True
        self.recover()
        if self._reading:
            await self._reading

    def stall(self) -> None:
        """Stop reading until `recover`; the group gives the partitions to the others, as after a missed session."""
        self._stalled = self._expired = True
        self._leave()

    def recover(self) -> None:
        """Read again: what was lost is told first, then the group is joined anew."""
        self._stalled = False
        self.woken.set()

    def _ask_for(self, request: Callable[[], None]) -> None:
        self._requests.append(request)
        self.woken.set()

    def _join(self) -> None:
        self._group.members.append(self)
        self._group.balance()

    def _leave(self) -> None:
        if self in self._group.members:
            self._group.members.remove(self)
            self.target = set()
            owners = self._group.owners
            self._group.owners = {partition: owner for partition, owner in owners.items() if owner is not self}
            self._group.balance()

    async def _read(self) -> None:
        while not self._closing:
            if self._stalled or not await self._turn():
                await self.woken.wait()
            self.woken.clear()
            await asyncio.sleep(0)
        await self._give_back(set(self._next))
        self._leave()

    async def _turn(self) -> bool:
        """Do what is to be done. Return whether it was something."""
        if self._expired:
            self._expired = False
            await self._give_back(set(self._next))
            self._join()
        while self._requests:
            self._requests.popleft()()
        if leaving := self._next.keys() - self.target:
            await self._give_back(leaving)
            return True
        if coming := {each for each in self.target - self._next.keys() if each not in self._group.owners}:
            await self._take(coming)
            return True
        return self._deliver()

    async def _take(self, partitions: set[Partition]) -> None:
        self._group.owners |= dict.fromkeys(partitions, self)
        committed = {partition: self._group.committed.get(partition, 0) for partition in partitions}
        self._next |= committed | {**await self._callbacks.assigned(sorted(partitions))}

    async def _give_back(self, partitions: set[Partition]) -> None:
        offsets: Mapping[Partition, int] = {}
        try:
            offsets = await self._callbacks.revoked(sorted(partitions)) if partitions else {}
        except Exception as error:  # as in Kafka's thread: the member hears of it from its own work
            log.warning("consumer.read_failed", error=str(error))
        for partition in partitions:
            del self._next[partition]
            self._paused.discard(partition)
            if self._group.owners.get(partition) is self:  # otherwise somebody else's, since the session was missed
                del self._group.owners[partition]
                self._group.committed |= {partition: offsets[partition]} if partition in offsets else {}
        self._group.wake()

    def _deliver(self) -> bool:
        batch: list[Record] = []
        for partition in sorted(self._next.keys() - self._paused):
            lying = self._broker.log_of(partition)
            begin = self._next[partition]
            if begin > len(lying):
                self.ended = PositionLost(f"the group is at {begin} of {partition}, beyond its end")
            records = lying[begin : begin + BATCH - len(batch)]
            self._next[partition] = begin + len(records)
            batch += records
        if batch:
            self._callbacks.deliver(batch)
        return bool(batch)


def murmur2(key: bytes) -> int:
    """Return the hash by which Kafka's own producer chooses the partition."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    hashed = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        hashed = (hashed * multiplier & mask) ^ word
    if rest := key[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * multiplier & mask
    hashed = (hashed ^ hashed >> 13) * multiplier & mask
    return (hashed ^ hashed >> 15) & 0x7FFFFFFF
