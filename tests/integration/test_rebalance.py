"""Members join and leave again and again while events come: each is handled once, none is left out, and the pause is short."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from statistics import median
from time import monotonic
from uuid import UUID, uuid4

from headwater.wiring import House
from infra.consumer import ConsumerRunner
from infra.kafka_log import KafkaLog
from schemas.messaging.events import MessageSent
from shared_kernel.module import Consumer, on
from tests.contract.test_event_log import sent
from tests.probes import eventually

JOINS = 20
KEYS = 24
RATE = 100  # events a second
SETTLED_S = 0.3  # after a member has partitions, or has left
LANES = (0, 8)  # both ways to work, a group each
PAUSE_S = 3.0  # generous: 0.15 is the goal on a machine of one's own (docs/reliability.md)


class Group:
    """One group's members and what they handled, and when."""

    def __init__(self, house: House, lanes: int) -> None:
        self._house = house
        self._consumer = Consumer(f"messaging.rebalance{lanes}", (on(MessageSent, self._handle),), lanes=lanes)
        self.handled: list[tuple[MessageSent, float]] = []

    async def _handle(self, message: MessageSent) -> None:
        self.handled.append((message, monotonic()))

    @asynccontextmanager
    async def member(self) -> AsyncIterator[None]:
        """Have a member while the block lasts, from when it has partitions."""
        house = self._house
        runner = ConsumerRunner(self._consumer, house.broker, house.codec, house.groups["messaging"], house.bulk)
        task = asyncio.create_task(runner.run())

        async def has_partitions() -> bool:
            return bool(runner._workers)

        try:
            await eventually(has_partitions)
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def has_handled(self) -> set[UUID]:
        return {message.message_id for message, _ in self.handled}


class Load:
    """Events in turn of each key, and when the broker had them."""

    def __init__(self, house: House) -> None:
        self._log = KafkaLog(house.commands, house.codec)
        self.published: dict[UUID, float] = {}
        self.of_key: dict[UUID, list[UUID]] = {uuid4(): [] for _ in range(KEYS)}

    async def run(self) -> None:
        for key in cycle(self.of_key):
            event = sent(key)
            await self._log.publish(event)
            self.published[event.message_id] = monotonic()
            self.of_key[key].append(event.message_id)
            await asyncio.sleep(1 / RATE)


async def test_members_that_join_and_leave_under_load_handle_everything_once_and_soon(own_house: House) -> None:
    groups, load = [Group(own_house, lanes) for lanes in LANES], Load(own_house)
    changes: list[tuple[Group, float, float]] = []  # begun, settled

    async def come_and_go(group: Group) -> None:
        for _ in range(JOINS):
            begun = monotonic()
            async with group.member():
                await asyncio.sleep(SETTLED_S)
                changes.append((group, begun, monotonic()))
                begun = monotonic()
            await asyncio.sleep(SETTLED_S)
            changes.append((group, begun, monotonic()))

    async with groups[0].member(), groups[1].member():
        talking = asyncio.create_task(load.run())
        await asyncio.gather(*map(come_and_go, groups))
        talking.cancel()
        await asyncio.wait([talking])
        for group in groups:
            await eventually(group.has_handled, until=lambda found: load.published.keys() <= found)

    for group in groups:
        times = Counter(message.message_id for message, _ in group.handled)
        assert [id_ for id_, count in times.items() if count > 1] == []
        for key, ids in load.of_key.items():
            assert [message.message_id for message, _ in group.handled if message.conversation_id == key][
                : len(ids)
            ] == ids
    pauses = [pause(group, load, begun, settled) for group, begun, settled in changes]
    print(
        f"{len(load.published)} events, {len(pauses)} changes: pause {median(pauses):.3f} s median, {max(pauses):.3f} s at most"
    )
    assert median(pauses) < PAUSE_S


def pause(group: Group, load: Load, begun: float, settled: float) -> float:
    """Return how long the event waited longest that came while members changed, in seconds."""
    waits = [
        at - load.published[message.message_id]
        for message, at in group.handled
        if begun <= load.published.get(message.message_id, 0.0) <= settled
    ]
    return max(waits, default=0.0)
