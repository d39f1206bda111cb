"""Groups of kinds that no context declares yet, in a process that may die at a crash point. Started by a test.

Arguments: `lanes` and the file in which it notes the messages it has handled, or `transform`.
"""

import asyncio
import sys
from pathlib import Path

from headwater import wiring
from headwater.environment import load
from infra import crash_points
from infra.consumer import ConsumerRunner
from infra.transform import TransformRunner
from schemas.messaging.events import MessageSent
from shared_kernel.module import Consumer, on
from tests.integration.test_transform import GROUP, echoing

BATCH = 5  # so that there are several


async def main(kind: str, *noted: str) -> None:
    given = load()
    if given.crash_at:
        crash_points.arm(given.crash_at)
    house = wiring.build(given)
    await house.start()
    if kind == "transform":
        await TransformRunner(echoing(GROUP, BATCH), house.kafka, house.codec).run()

    async def note(message: MessageSent) -> None:
        with Path(*noted).open("a") as file:
            file.write(f"{message.message_id}\n")

    consumer = Consumer("messaging.lanes", (on(MessageSent, note),), lanes=8)
    await ConsumerRunner(consumer, house.broker, house.codec, house.groups["messaging"], house.bulk).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
