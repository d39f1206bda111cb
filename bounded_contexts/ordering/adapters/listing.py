"""Wait until lists show what was decided."""

import asyncio
from uuid import UUID

from bounded_contexts.ordering.application.ports import OrderReader
from infra.positions import LOOK_AGAIN_S


async def is_listed(order_id: UUID, version: int, wait_s: float, orders: OrderReader) -> bool:
    """Return whether lists show the order at this version or a later one, after waiting up to `wait_s` seconds for it; with
    0 seconds nobody looks."""
    now = asyncio.get_running_loop().time
    until = now() + wait_s
    pause, longest = LOOK_AGAIN_S
    while wait_s:
        listed = await orders.listed(order_id)
        if listed and listed.version >= version:
            return True
        if now() >= until:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, longest)
    return False
