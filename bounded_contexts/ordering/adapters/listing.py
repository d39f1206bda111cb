"""Wait until lists show what was decided."""

from uuid import UUID

from bounded_contexts.ordering.application.ports import OrderReader
from infra.positions import comes_true


async def is_listed(order_id: UUID, version: int, wait_s: float, orders: OrderReader) -> bool:
    """Return whether lists show the order at this version or a later one, after waiting up to `wait_s` seconds for it; with
    0 seconds nobody looks."""

    async def is_shown() -> bool:
        listed = await orders.listed(order_id)
        return listed is not None and listed.version >= version

    return wait_s > 0 and await comes_true(is_shown, wait_s)
