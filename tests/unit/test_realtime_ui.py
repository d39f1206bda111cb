"""UI updates, what a node remembers of channels and what it tells of positions: step by step."""

import asyncio
from typing import Any
from uuid import uuid4

from bounded_contexts.realtime.adapters.anonymous import anonymous
from bounded_contexts.realtime.adapters.outbox import Outbox
from bounded_contexts.realtime.adapters.past_in_turns import PastInTurns
from bounded_contexts.realtime.adapters.recovery import Recoveries
from bounded_contexts.realtime.adapters.ui import TOPIC, UiUpdates
from bounded_contexts.realtime.adapters.ui_sessions import UiSession
from bounded_contexts.realtime.adapters.wishes import Subscribing
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.own_messages import OwnMessages
from bounded_contexts.realtime.application.ports import NotKept
from bounded_contexts.realtime.application.subscriptions import Channel
from bounded_contexts.realtime.application.updates import Versions
from infra.feed_positions import seal_feed
from infra.opaque import OpaqueTokens
from tests.unit.test_realtime_catch_up import Wire

TOKENS = OpaqueTokens("0" * 32)
ENDS = {TOPIC: {0: 10, 1: 10}}


class Nothing:
    """A topic of which nothing is kept."""

    def read(self, _start: object) -> object:
        raise NotKept


def test_while_a_channel_is_behind_the_socket_is_told_its_position() -> None:
    nothing: Any = Nothing()
    ui = UiUpdates(
        PastInTurns(nothing, Limits()), TOKENS, Recoveries(TOKENS, nothing), Limits(), lambda work: work.close()
    )
    ui.begun({TOPIC: {0: 0, 1: 0}})
    ui.reached(ENDS)
    socket = UiSession(anonymous("127.0.0.1"), None, False, OwnMessages(uuid4()), Wire(10))
    ui.subscribe(socket, [Subscribing(channel="live")])
    assert ui.covered(socket) == ENDS

    behind = {TOPIC: {0: 3, 1: 10}}
    ui.subscribe(socket, [Subscribing(channel="behind", position=seal_feed(TOKENS, behind))])
    assert ui.covered(socket) == behind
    socket.channels["behind"].end()
    assert ui.covered(socket) == ENDS
    socket.end()
    assert not socket.channels


def test_a_version_is_newer_than_all_before_it_and_channels_are_forgotten_in_turn() -> None:
    versions = Versions(most=2)
    one, two, three = Channel("1", is_public=True), Channel("1", is_public=False), Channel("3", is_public=False)

    assert [versions.pass_on(one, version) for version in (2, 2, 1, 3, None, 3)] == [
        True,
        False,
        False,
        True,
        True,
        False,
    ]
    assert versions.pass_on(two, 1)
    assert versions.pass_on(three, 1)
    assert versions.pass_on(one, 1)


async def test_sessions_of_one_connection_wait_for_room_together() -> None:
    """A second waiter does not take the first one's place."""
    outbox = Outbox(2, 1_000)
    outbox.put_nowait("x")
    waiting = [asyncio.create_task(outbox.has_room(20)) for _ in range(2)]
    await asyncio.sleep(0)
    assert outbox.take_page()
    async with asyncio.timeout(60):
        assert await asyncio.gather(*waiting) == [True, True]
