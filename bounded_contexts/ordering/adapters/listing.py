"""Wait until lists show what was decided."""

import asyncio
from time import monotonic
from uuid import UUID

from bounded_contexts.ordering.application.ports import OrderReader

LOOK_AGAIN_S = 0.02


async def is_listed(order_id: UUID, version: int, wait_s: float, orders: OrderReader) -> bool:
    """Return whether lists show the order at this version or a later one, after waiting up to `wait_s` seconds for it; with
    0 seconds nobody looks."""
    until = monotonic() + wait_s
    while wait_s:
        listed = await orders.listed(order_id)
        if listed and listed.version >= version:
            return True
        if monotonic() >= until:
            return False
        await asyncio.sleep(LOOK_AGAIN_S)
    return False
