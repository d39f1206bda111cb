"""A member of `messaging.history` that kills itself once between its effects and their commit. Started by a test."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headwater import wiring
from headwater.environment import load
from infra.consumer import ConsumerRunner
from schemas.messaging.events import MessageSent
from shared_kernel.module import Handler


def deadly(handler: Handler, batches: int, marker: Path) -> Handler:
    """Return the handler that does its work and then dies in the given batch, unless the marker says it has."""
    seen = 0

    async def call(messages: Sequence[MessageSent]) -> None:
        nonlocal seen
        await handler.call(messages)
        seen += 1
        if seen >= batches and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return replace(handler, call=call)


async def main(batches: int, marker: Path) -> None:
    house = wiring.build(load())
    await house.start()
    module = next(module for module in house.modules if module.name == "messaging")
    (consumer,) = module.consumers
    handlers = tuple(deadly(each, batches, marker) if each.event is MessageSent else each for each in consumer.handlers)
    await ConsumerRunner(
        replace(consumer, handlers=handlers), house.broker, house.codec, house.groups["messaging"], house.bulk
    ).run()


asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
