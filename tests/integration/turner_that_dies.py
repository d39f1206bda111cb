"""A member of a transform that kills itself while its transactions go on. Started by a test with the seconds to live."""

import asyncio
import os
import signal
import sys

from headwater import wiring
from headwater.environment import load
from infra.transform import TransformRunner
from tests.integration.test_transform import GROUP, echoing


async def main(lifetime_s: float) -> None:
    house = wiring.build(load())
    await house.start()
    runner = TransformRunner(echoing(GROUP, batch_size=50), house.kafka, house.codec)
    if lifetime_s:
        asyncio.get_running_loop().call_later(lifetime_s, os.kill, os.getpid(), signal.SIGKILL)
    await runner.run()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
