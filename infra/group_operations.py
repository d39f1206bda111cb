"""What operators see of the consumer groups and do with them; the CLI and the admin API stand on this (docs/consumers.md)."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from infra.broker_groups import BrokerGroups, BrokerMember
from infra.dead_letters import Choice, Letter, PostgresDeadLetters
from infra.group_control import MemberReport, PostgresGroupControl
from infra.kafka_client import KafkaConfig
from infra.kafka_reader import KafkaReader, OpenReader
from infra.member import GroupStore
from infra.positions import PostgresPositions, Progress
from infra.watermark import Stretch
from shared_kernel.errors import Conflict, NotFound, Refused
from shared_kernel.module import Consumer, Module, Recorder, Transform
from shared_kernel.records import Partition


@dataclass(frozen=True, slots=True)
class PartitionView:
    """How far a group is in one partition."""

    topic: str
    partition: int
    next: int
    end: int
    lag: int  # records from the first unfinished one to the end
    moved_at: datetime | None  # when `next` last changed, UTC


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group at one moment."""

    group: str
    state: str  # running, paused or stopped
    members: tuple[MemberReport | BrokerMember, ...]
    partitions: tuple[PartitionView, ...]
    dead_letters: int | None  # None: not known, a transform's are on their topic only

    @property
    def lag(self) -> int:
        """Return how many records it has not finished; a dead letter is finished."""
        return sum(each.lag for each in self.partitions)

    @property
    def oldest(self) -> datetime | None:
        """Return since when the slowest partition with lag stands where it stands, as far as that is known."""
        return min((each.moved_at for each in self.partitions if each.lag and each.moved_at), default=None)


@dataclass(frozen=True, slots=True)
class Move:
    """What a replay does to one partition."""

    topic: str
    partition: int
    now: int
    begin: int  # where it will stand
    end: int  # the offset after the last record to handle again
    left_out: tuple[Stretch, ...]  # done before and not to be handled again
    claim: int

    @property
    def records(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    topics: tuple[str, ...]
    can_replay: bool
    has_outside_effects: bool
    positions: PostgresPositions
    letters: PostgresDeadLetters
    control: PostgresGroupControl


class GroupOperations:
    """Every group of the house."""

    def __init__(self, config: KafkaConfig, modules: Iterable[Module], stores: Mapping[str, GroupStore]) -> None:
        self._config = config
        self._broker = BrokerGroups(config)
        modules = list(modules)
        groups = [group for module in modules for group in _groups(module, stores)]
        self._groups = {group.name: group for group in groups}
        self._transforms = {each.group: each for module in modules for each in module.transforms}

    @property
    def names(self) -> tuple[str, ...]:
        """Return every group's name."""
        return (*self._groups, *self._transforms)

    async def view(self, names: Iterable[str] = ()) -> list[GroupView]:
        """Return the groups, all if none is named. Raise `NotFound`, `Unavailable`."""
        wanted = [self._transforms.get(name) or self._known(name) for name in names or self.names]
        topics = sorted({topic for group in wanted for topic in group.topics})
        async with KafkaReader(self._config).open(topics) as reader:
            ends, beginnings = await reader.ends(), await reader.beginnings()
        return [
            await self._transform_view(group, beginnings, ends)
            if isinstance(group, Transform)
            else await self._view(group, beginnings, ends)
            for group in wanted
        ]

    async def pause(self, name: str) -> None:
        """Have the group's members begin nothing more, until `resume`, restarts included. Safe to repeat."""
        await self._known(name).control.pause(self._config.topic(name))

    async def resume(self, name: str) -> None:
        """Have the group go on. Safe to repeat."""
        await self._known(name).control.resume(self._config.topic(name))

    async def letters(self, name: str, choice: Choice) -> list[Letter]:
        """Return the group's dead letters that are meant, in the order of their partitions."""
        return await self._known(name).letters.chosen(self._config.topic(name), choice)

    async def count_letters(self, name: str, choice: Choice) -> int:
        """Return how many letters are meant."""
        return await self._known(name).letters.count(self._config.topic(name), choice)

    async def redrive(self, name: str, choice: Choice) -> int:
        """Ask the group for another try of these letters and of all others with their keys. Return how many."""
        return await self._known(name).letters.redrive(self._config.topic(name), choice)

    async def discard(self, name: str, choice: Choice) -> int:
        """Forget these letters for good; they stay on the dead-letter topic. Return how many."""
        return await self._known(name).letters.discard(self._config.topic(name), choice)

    async def plan_replay(self, name: str, begin: str, end: str | None) -> list[Move]:
        """Return what a replay from `begin` up to `end` would do, places being `beginning`, an offset or an ISO 8601 time.

        A partition whose group stands before `begin` stays as it is: a replay never skips what was not handled."""
        group = self._known(name)
        if not group.can_replay:
            raise Refused("not_replayable", f"{name} keeps every record once")
        standing = {(each.topic, each.partition): each for each in await group.positions.standing(name)}
        async with KafkaReader(self._config).open(group.topics) as reader:
            first, last = await _places(reader, begin), await _places(reader, end) if end else {}
        moves = []
        for (topic, number), start in sorted(first.items()):
            at = standing.get((self._config.topic(topic), number))
            if at and start < at.next:
                until = min(last.get((topic, number), at.next), at.next)
                rest = ((until, at.next),) if until < at.next else ()
                if start < until:
                    moves.append(Move(topic, number, at.next, start, until, rest + at.beyond, at.claim))
        return moves

    async def replay(self, name: str, moves: Iterable[Move], *, with_effects: bool = False) -> None:
        """Move the stopped group as planned, all partitions or none.

        Raise `Refused` for a group with outside effects unless they are meant, `Conflict` if it runs or has moved."""
        group = self._known(name)
        if group.has_outside_effects and not with_effects:
            raise Refused("outside_effects", f"{name} sends to the outside and would do so again; say --with-effects")
        if not await self.is_stopped(name):
            raise Conflict("group_is_running", f"stop every process of {name} first, or wait until the broker knows")
        targets = {
            (self._config.topic(each.topic), each.partition): Progress(each.begin, each.left_out, each.claim)
            for each in moves
        }
        if not await group.positions.move(name, targets):
            raise Conflict("group_has_moved", f"{name} is not where it was when the replay was planned; plan again")

    async def is_stopped(self, name: str) -> bool:
        """Return whether no process is a member of the group, as far as the broker and the members themselves say."""
        if await self._known(name).control.members(self._config.topic(name)):
            return False
        return not await asyncio.to_thread(self._broker.has_members, name)

    async def _view(
        self, group: _Group, beginnings: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> GroupView:
        name = group.name
        members = await group.control.members(self._config.topic(name))
        standing = {(each.topic, each.partition): each for each in await group.positions.standing(name)}
        partitions = []
        for (topic, number), end in sorted(ends.items()):
            if topic in group.topics:
                at = standing.get((self._config.topic(topic), number))
                next_ = max(at.next if at else 0, beginnings[topic, number])
                done = sum(max(last - max(first, next_), 0) for first, last in at.beyond) if at else 0
                moved = at.moved_at if at else None
                partitions.append(PartitionView(topic, number, next_, end, max(end - next_ - done, 0), moved))
        is_paused = await group.control.is_paused(self._config.topic(name))
        state = "paused" if is_paused else "running" if members else "stopped"
        letters = await group.letters.count(self._config.topic(name), Choice())
        return GroupView(name, state, tuple(members), tuple(partitions), letters)

    async def _transform_view(
        self, group: Transform, beginnings: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> GroupView:
        """Return what the broker knows, which is where a transform's position is."""
        committed = await asyncio.to_thread(self._broker.committed, group.group)
        members = await asyncio.to_thread(self._broker.members, group.group)
        partitions = []
        for (topic, number), end in sorted(ends.items()):
            if topic in group.topics:
                next_ = max(committed.get((self._config.topic(topic), number), 0), beginnings[topic, number])
                partitions.append(PartitionView(topic, number, next_, end, max(end - next_, 0), None))
        return GroupView(group.group, "running" if members else "stopped", tuple(members), tuple(partitions), None)

    def _known(self, name: str) -> _Group:
        if name in self._transforms:
            raise Refused(
                "is_transform", "a transform is not paused or replayed; its dead letters are on their topic only"
            )
        if name not in self._groups:
            raise NotFound("group_not_found", f"there is no group {name}; there are {', '.join(self.names)}")
        return self._groups[name]


def _groups(module: Module, stores: Mapping[str, GroupStore]) -> Iterator[_Group]:
    for consumer in module.consumers:
        yield _group(consumer, True, consumer.has_outside_effects, stores[module.name])
    if module.recorder:
        yield _group(module.recorder, False, False, stores[module.name])


def _group(declared: Consumer | Recorder, can_replay: bool, has_outside_effects: bool, store: GroupStore) -> _Group:
    """Return the group with its operators' side, which only the database has."""
    return _Group(
        declared.group,
        declared.topics,
        can_replay,
        has_outside_effects,
        cast("PostgresPositions", store.positions),
        cast("PostgresDeadLetters", store.letters),
        cast("PostgresGroupControl", store.control),
    )


async def _places(reader: OpenReader, place: str) -> dict[Partition, int]:
    beginnings, ends = await reader.beginnings(), await reader.ends()
    if place == "beginning":
        return beginnings
    if place.isdecimal():
        return {key: min(max(int(place), first), ends[key]) for key, first in beginnings.items()}
    try:
        moment = datetime.fromisoformat(place)
    except ValueError:
        raise Refused("invalid_place", "say `beginning`, an offset or an ISO 8601 time") from None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return await reader.at(int(zoned.timestamp() * 1000))
