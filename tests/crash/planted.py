"""A member of `messaging.history` with a planted bug, or none, that comes to grief where the bug shows. Started by a test.

Arguments: the bug, the grief, and a file that says it has happened.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bounded_contexts.messaging.adapters import history_postgres
from headwater import wiring
from headwater.environment import load
from infra import crash_points, positions
from infra.batches import BatchWorker
from infra.consumer import ConsumerRunner
from infra.dead_letters import Letter
from infra.member import Heard
from schemas.messaging.events import MessageSent
from shared_kernel.errors import Unavailable
from shared_kernel.module import Handler
from shared_kernel.records import Record

right_commit = BatchWorker._commit


async def position_first(
    self: BatchWorker, batch: Sequence[Record], heard: Sequence[Heard], dead: list[Letter]
) -> None:
    """Commit the position by itself, then the effects."""
    await right_commit(self, batch, [], dead)
    async with self._member.store.positions.transaction():
        for each in heard:
            assert each.handler
            await each.handler.call([each.event] if each.handler.batch else each.event)


async def effects_first(self: BatchWorker, batch: Sequence[Record], heard: Sequence[Heard], dead: list[Letter]) -> None:
    """Commit the effects by themselves, then the position."""
    for each in heard:
        assert each.handler
        await each.handler.call([each.event] if each.handler.batch else each.event)
    crash_points.crash_point("batch.before-commit")
    await right_commit(self, batch, [], dead)


async def without_its_key(
    self: BatchWorker, batch: Sequence[Record], heard: Sequence[Heard], dead: list[Letter]
) -> None:
    """Go on without the key that is in trouble."""
    try:
        await right_commit(self, batch, heard, dead)
    except Unavailable:
        await right_commit(self, batch, [each for each in heard if each.record.key != batch[0].key], dead)


async def stalled(self: BatchWorker, batch: Sequence[Record], heard: Sequence[Heard], dead: list[Letter]) -> None:
    """Stand still before the first messages are committed, go on when somebody says so, and die."""
    if not any(isinstance(each.event, MessageSent) for each in heard):
        return await right_commit(self, batch, heard, dead)
    marker.touch()
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        await right_commit(self, batch, heard, dead)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


async def deadly(_: Sequence[MessageSent]) -> None:
    marker.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def stumbling(handler: Handler) -> Handler:
    """Return the handler that fails the first time, as while a server is away."""

    async def call(messages: Sequence[MessageSent]) -> None:
        if not marker.exists():
            marker.touch()
            raise Unavailable("somewhere_unavailable")
        await handler.call(messages)

    return replace(handler, call=call)


def aggrieved(handler: Handler, grief: str) -> Handler:
    if handler.event is not MessageSent:
        return handler
    match grief:
        case "dies":
            return replace(handler, call=deadly)
        case "stumbles":
            return stumbling(handler)
    return handler


async def main(bug: str, grief: str) -> None:
    match bug:
        case "position_first":
            BatchWorker._commit = position_first  # type: ignore[method-assign]
        case "no_inbox":
            BatchWorker._commit = effects_first  # type: ignore[method-assign]
            history_postgres.SENT = re.sub("where not exists .*", "", history_postgres.SENT)
        case "skipped_key":
            BatchWorker._commit = without_its_key  # type: ignore[method-assign]
        case "no_fence":
            positions.ADVANCE = positions.ADVANCE.replace("claim = $6", "$6::bigint is not null")
    if grief == "stalls":
        BatchWorker._commit = stalled  # type: ignore[method-assign]
    if grief == "dies before the commit":
        crash_points.arm("batch.before-commit")
    house = wiring.build(load())
    await house.start()
    module = next(module for module in house.modules if module.name == "messaging")
    (consumer,) = module.consumers
    handlers = tuple(aggrieved(each, grief) for each in consumer.handlers)
    groups = house.groups["messaging"]
    await ConsumerRunner(replace(consumer, handlers=handlers), house.broker, house.codec, groups, house.bulk).run()


marker = Path(sys.argv[3])
asyncio.run(main(sys.argv[1], sys.argv[2]))
