"""Tell once a second which channels of a node have got their first subscriber or lost the last: nothing is done for a single one,
nor for a delivery."""

import asyncio
from collections.abc import Collection
from itertools import islice
from uuid import UUID

import structlog

from bounded_contexts.realtime.application.ports import Occupancy
from bounded_contexts.realtime.application.subscriptions import Channel
from bounded_contexts.realtime.application.webhooks import subject_of

TELL_S = 1.0
PAGE = 10_000  # changes in one statement

log = structlog.get_logger()


class OccupiedChannels:
    """A node's channels, as far as others know. The database may be away for long: what has changed meanwhile is told later."""

    def __init__(self, occupancy: Occupancy, node: UUID, channels: Collection[Channel]) -> None:
        self._occupancy, self._node, self._channels = occupancy, node, channels
        self._told: set[Channel] = set()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await asyncio.sleep(TELL_S)
            await self.tell()

    async def tell(self) -> None:
        """Tell what has changed. What cannot be told now is told the next time."""
        now = set(self._channels)
        came, left = set(islice(now - self._told, PAGE)), set(islice(self._told - now, PAGE))
        if not came and not left:
            return
        try:
            await self._occupancy.change(self._node, [*map(subject_of, came)], [*map(subject_of, left)])
        except Exception as error:  # whatever it is, deliveries go on
            log.warning("realtime.channels_not_told", error=str(error), came=len(came), left=len(left))
            return
        self._told = (self._told | came) - left
