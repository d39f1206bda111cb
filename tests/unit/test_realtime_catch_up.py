"""Sessions that are not live: the seams between past, memory and what happens now, step by step."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from bounded_contexts.realtime.adapters import packets, past_in_turns
from bounded_contexts.realtime.adapters.catch_up import CatchUp
from bounded_contexts.realtime.adapters.outbox import Queue
from bounded_contexts.realtime.adapters.past_in_turns import PastInTurns
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.adapters.session_notes import SessionNotes
from bounded_contexts.realtime.application.erased import ErasedMessages
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.own_messages import OwnMessages
from bounded_contexts.realtime.application.ports import NotKept, SessionNote, Stretch
from bounded_contexts.realtime.application.reactions import delivery_of
from bounded_contexts.realtime.application.recent import Recent, copied
from infra.access_tokens import User
from shared_kernel.errors import Unavailable
from shared_kernel.events import Recorded
from shared_kernel.module import Offsets
from tests.probes import eventually
from tests.unit.test_realtime_reactions import ANN, BOB, ERASED
from tests.unit.test_realtime_recent import recorded

LIMITS = Limits(queue_events=4, patience_s=0.05, recent_records=10, past_records=100)


class Wire:
    """A connection that notes what becomes of it."""

    sid = "s"

    def __init__(self, queue_events: int) -> None:
        self.outbox = Queue(queue_events, LIMITS.queue_bytes)
        self.ended = ""

    def send(self, packet: Any) -> None:
        self.outbox.put_nowait(packet)

    def cut(self) -> None:
        self.ended = "cut"

    def hang_up(self) -> None:
        self.ended = "hung up"

    async def take(self) -> str:
        """Return the next packet as the client gets it."""
        return str((await asyncio.wait_for(self.outbox.get(), 5)).text)

    async def takes(self, count: int) -> list[int]:
        """Return the offsets of the next events, by their ids."""
        return [int((await self.take()).split('"id":"id-0-')[1].split('"')[0]) for _ in range(count)]


class Sessions:
    """Port `SessionLog`, as far as it is told."""

    def __init__(self) -> None:
        self.notes: dict[str, SessionNote] = {}
        self.is_away = False

    async def note(self, node_id: UUID, reached: Offsets, notes: Sequence[SessionNote]) -> None:
        if self.is_away:
            raise Unavailable("database_unavailable")
        self.notes |= {each.sid: each for each in notes}

    async def prune(self) -> None:
        raise NotImplementedError


class Node:
    """What a gateway does around `CatchUp`, without sockets and Kafka."""

    def __init__(self, past: "Past", queue_events: int = LIMITS.queue_events) -> None:
        self.recent = Recent(LIMITS.recent_records, 1 << 20)
        self.recent.begin({"messages": {0: 0}})
        self.log = Sessions()
        self.notes = SessionNotes(self.log, self.recent)
        in_turns = PastInTurns(past, LIMITS)
        self.catch_up = CatchUp(self.recent, ErasedMessages(), in_turns, self.notes.began, str, LIMITS)
        self.wire = Wire(queue_events)
        wire: Any = self.wire
        user = User(BOB, frozenset(), datetime.now(UTC) + timedelta(hours=1))
        self.session = Session(user, None, False, OwnMessages(BOB), wire)

    def read(self, *offsets: int) -> None:
        """Read records as the gateway delivers them."""
        for offset in offsets:
            record = recorded(offset)
            delivery = delivery_of(record.event)
            assert delivery
            entry = self.recent.add(record, delivery, packets.opening(record, delivery))
            packet = packets.completed(entry.text, "p")
            if self.session.live and not self.session.offer(entry, packet):
                self.session.lag(entry, copied(self.recent.reached))
        self.catch_up.moved()

    def another(self, user: UUID) -> Session:
        """Return a socket of another user."""
        wire: Any = Wire(LIMITS.queue_events)
        known = User(user, frozenset(), datetime.now(UTC) + timedelta(hours=1))
        return Session(known, None, False, OwnMessages(user), wire)

    def resumes(self, offset: int) -> "asyncio.Task[None]":
        position = {"messages": {0: offset}}
        self.session.position = position
        return asyncio.create_task(self.catch_up.resume(self.session, position))


class Past:
    """Stretches that a test hands over one by one."""

    def __init__(self) -> None:
        self.stretches: asyncio.Queue[Stretch | Exception] = asyncio.Queue()
        self.asked: list[Offsets] = []

    def give(self, *offsets: int, reached: int) -> None:
        events: list[Recorded] = [recorded(offset) for offset in offsets]
        self.stretches.put_nowait(Stretch(events, {"messages": {0: reached}}))

    def has_been_asked(self, times: int) -> Callable[[], Awaitable[bool]]:
        async def asked() -> bool:
            return len(self.asked) == times

        return asked

    async def read(self, start: Offsets) -> AsyncGenerator[Stretch, None]:
        self.asked.append(start)
        while True:
            stretch = await self.stretches.get()
            if isinstance(stretch, Exception):
                raise stretch
            yield stretch


async def test_past_then_memory_then_what_happens() -> None:
    past = Past()
    node = Node(past)
    node.read(*range(20))  # memory holds 10 to 19
    resuming = node.resumes(5)
    past.give(5, 6, 7, reached=8)
    past.give(8, 9, 10, 11, reached=12)

    assert '"resumed":true' in await node.wire.take()
    assert await node.wire.takes(15) == list(range(5, 20))
    await resuming
    node.read(20)
    assert await node.wire.takes(1) == [20]
    assert past.asked == [{"messages": {0: 5}}]


async def test_the_past_is_sent_without_what_was_erased() -> None:
    past = Past()
    node = Node(past)
    node.read(*range(20))
    resuming = node.resumes(5)
    erasure = replace(recorded(7), event=ERASED, id="id-0-7")
    past.stretches.put_nowait(Stretch([recorded(5), erasure], {"messages": {0: 10}}))

    await node.wire.take()
    created, erased = await node.wire.take(), await node.wire.take()
    assert '"body":""' in created
    assert "message.erased" in erased
    assert await node.wire.takes(10) == list(range(10, 20))
    await resuming


async def test_what_the_past_has_before_this_node_has_read_it_comes_once() -> None:
    past = Past()
    node = Node(past, queue_events=100)
    node.read(*range(20))
    resuming = node.resumes(9)
    past.give(*range(9, 22), reached=22)
    while not past.stretches.empty():
        await asyncio.sleep(0)
    node.read(20, 21)
    await resuming
    node.read(22)

    await node.wire.take()
    assert await node.wire.takes(14) == list(range(9, 23))
    assert node.wire.outbox.qsize() == 0


async def test_a_position_in_the_middle_of_memory_is_gone_on_from() -> None:
    node = Node(Past(), queue_events=100)
    node.read(*range(20))
    await node.resumes(15)

    await node.wire.take()
    assert await node.wire.takes(5) == list(range(15, 20))
    assert node.wire.outbox.qsize() == 0


async def test_memory_that_moves_on_while_the_past_is_read_leaves_no_gap() -> None:
    past = Past()
    node = Node(past)
    node.read(*range(20))
    resuming = node.resumes(5)
    past.give(5, 6, reached=7)
    await node.wire.take()
    assert await node.wire.takes(2) == [5, 6]
    node.read(*range(20, 30))  # memory holds 20 to 29 now
    past.give(*range(7, 20), reached=20)

    assert await node.wire.takes(23) == list(range(7, 30))
    await resuming
    assert node.session.live


async def test_who_returns_with_many_sockets_leaves_others_a_turn() -> None:
    past = Past()
    node = Node(past)
    node.read(*range(20))
    greedy = [node.another(ANN) for _ in range(LIMITS.past_readers + 1)]
    holding = [asyncio.create_task(node.catch_up.resume(each, {"messages": {0: 5}})) for each in greedy]
    await eventually(past.has_been_asked(LIMITS.past_readers_per_user))
    resuming = node.resumes(8)
    await eventually(past.has_been_asked(LIMITS.past_readers_per_user + 1))
    for each in holding:
        each.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    past.give(8, 9, reached=10)

    assert '"resumed":true' in await node.wire.take()
    assert await node.wire.takes(12) == list(range(8, 20))
    await resuming
    assert past.asked[-1] == {"messages": {0: 8}}


async def test_who_makes_room_for_others_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_in_turns, "TURN_S", 0.0)
    past = Past()
    node = Node(past)
    node.read(*range(20))
    others = [node.another(UUID(int=number)) for number in range(2, LIMITS.past_readers + 2)]
    resuming = node.resumes(5)
    await eventually(past.has_been_asked(1))
    holding = [asyncio.create_task(node.catch_up.resume(each, {"messages": {0: 0}})) for each in others]
    await eventually(past.has_been_asked(LIMITS.past_readers))
    past.give(5, 6, 7, reached=8)
    await eventually(past.has_been_asked(LIMITS.past_readers + 1))
    for each in holding:
        each.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    past.give(6, 7, 8, 9, reached=10)

    assert '"resumed":true' in await node.wire.take()
    assert await node.wire.takes(15) == list(range(5, 20))
    await resuming
    assert past.asked[-1] == {"messages": {0: 6}}


async def test_whose_session_ends_reads_no_further() -> None:
    past = Past()
    node = Node(past)
    node.read(*range(20))
    resuming = node.resumes(5)
    await eventually(past.has_been_asked(1))
    node.session.end()
    past.give(reached=6)
    await resuming
    assert node.wire.outbox.qsize() == 0


async def test_records_that_are_gone_are_said_so_before_anything_is_sent() -> None:
    past = Past()
    node = Node(past)
    node.read(*range(20))
    past.stretches.put_nowait(NotKept())
    await node.resumes(5)

    assert '"resumed":false' in await node.wire.take()
    assert "resync.required" in await node.wire.take()
    node.read(20)
    assert await node.wire.takes(1) == [20]


async def test_a_failure_in_the_middle_cuts_so_that_the_client_goes_on_from_there() -> None:
    past = Past()
    node = Node(past)
    node.read(*range(20))
    past.give(5, reached=6)
    past.stretches.put_nowait(NotKept())
    await node.resumes(5)

    assert '"resumed":true' in await node.wire.take()
    assert await node.wire.takes(1) == [5]
    assert node.wire.ended == "cut"


async def test_a_client_that_takes_nothing_is_cut() -> None:
    node = Node(Past())
    node.read(*range(10))
    await node.resumes(0)

    assert node.wire.ended == "cut"
    assert node.wire.outbox.qsize() <= LIMITS.queue_events + 1


async def test_a_session_that_lags_gets_all_in_order_and_is_live_again() -> None:
    node = Node(Past())
    node.catch_up.start(node.session)
    assert '"resumed":false' in await node.wire.take()
    node.read(*range(10))
    assert not node.session.live
    following = asyncio.create_task(node.catch_up.follow(node.session))

    assert await node.wire.takes(10) == list(range(10))
    await following
    assert node.session.live
    node.read(10)
    assert await node.wire.takes(1) == [10]


async def test_a_session_that_lags_further_than_memory_goes_is_cut() -> None:
    node = Node(Past())
    node.catch_up.start(node.session)
    node.read(*range(30))
    await node.catch_up.follow(node.session)

    assert node.wire.ended == "cut"


async def test_what_a_socket_was_sent_is_noted_when_it_begins_lags_and_ends() -> None:
    node = Node(Past(), queue_events=4)
    node.read(0, 1)
    node.catch_up.start(node.session)
    await node.notes.tell()
    (begun,) = node.log.notes.values()
    node.read(2, 3, 4, 5, 6)  # one too many, the greeting included
    await node.notes.tell()
    (lagging,) = node.log.notes.values()
    node.session.end()
    node.notes.ended("s")
    node.notes.ended("s")
    node.log.is_away = True
    await node.notes.tell()
    assert node.log.notes["s"].ended_at is None
    node.log.is_away = False
    await node.notes.tell()
    (ended,) = node.log.notes.values()

    assert (begun.sid, begun.user_id, begun.acknowledged) == ("s", BOB, None)
    assert (begun.begins, begun.reached) == ({"messages": {0: 2}}, None)
    assert lagging.reached == {"messages": {0: 5}}
    assert ended.reached == {"messages": {0: 5}}
    assert ended.ended_at is not None


async def test_a_socket_that_comes_back_says_what_it_had() -> None:
    past = Past()
    node = Node(past)
    node.read(*range(20))  # memory holds 10 to 19
    await node.resumes(18)
    await node.notes.tell()

    (note,) = node.log.notes.values()
    assert (note.acknowledged, note.begins, note.reached) == ({"messages": {0: 18}}, {"messages": {0: 18}}, None)
