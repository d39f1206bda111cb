"""Waiting until lists show an order."""

import asyncio
from uuid import UUID, uuid4

from bounded_contexts.ordering.adapters.listing import is_listed
from bounded_contexts.ordering.application.ports import Buyer, Choice, Listed, Place
from tests.virtual_time import skip_waits


class Behind:
    """Lists that show nothing new."""

    def __init__(self) -> None:
        self.looks = 0

    async def listed(self, order: UUID) -> Listed | None:
        self.looks += 1
        return None

    async def page(self, of: Choice, limit: int, before: Place | None = None, offset: int = 0) -> list[Listed]:
        return []

    async def buyers(self, limit: int, before: Place | None = None, offset: int = 0) -> list[Buyer]:
        return []


def test_who_waits_for_long_asks_the_database_seldom() -> None:
    orders = Behind()

    async def wait() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        skip_waits(loop)
        began = loop.time()
        return await is_listed(uuid4(), 1, 10.0, orders), loop.time() - began

    found, took_s = asyncio.run(wait())

    assert not found
    assert 10 <= took_s < 11
    assert orders.looks < 60
