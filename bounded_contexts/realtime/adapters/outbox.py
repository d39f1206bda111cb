"""What waits for one client: python-engineio's queue, counted in bytes and taken in pages."""

import asyncio
from collections import deque
from typing import Any

PAGE_PACKETS = 32  # python-engineio takes all there is at once and out of sight; so much it may
PAGE_BYTES = 32 * 1024


class Outbox(asyncio.Queue[Any]):
    """Unbounded as far as python-engineio is concerned; who offers events asks `is_full` first."""

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self._most_events, self._most_bytes = most_events, most_bytes
        self.bytes = 0
        self._page_packets = self._page_bytes = 0
        self._taken: asyncio.Event | None = None  # set when something is taken, while somebody waits for that
        super().__init__()

    @property
    def is_full(self) -> bool:
        return self.qsize() >= self._most_events or self.bytes >= self._most_bytes

    @property
    def is_crowded(self) -> bool:
        """Whether less than half of the room is left."""
        return 2 * self.qsize() >= self._most_events or 2 * self.bytes >= self._most_bytes

    async def has_room(self, patience_s: float) -> bool:
        """Wait while it is crowded; return False once the client has taken nothing for `patience_s` seconds."""
        while self.is_crowded:
            self._taken = self._taken or asyncio.Event()  # sessions that share a connection wait together
            try:
                await asyncio.wait_for(self._taken.wait(), patience_s)
            except TimeoutError:
                return False
        return True

    async def get(self) -> Any:
        """Begin a page."""
        self._page_packets = self._page_bytes = 0
        return await super().get()

    def get_nowait(self) -> Any:
        """Go on with the page. Raise `asyncio.QueueEmpty` at its end, though more may wait."""
        if self._page_packets >= PAGE_PACKETS or self._page_bytes >= PAGE_BYTES:
            raise asyncio.QueueEmpty
        return super().get_nowait()

    def _init(self, maxsize: int) -> None:
        self._queue: deque[Any] = deque()

    def _put(self, item: Any) -> None:
        self._queue.append(item)
        self.bytes += _size(item)

    def _get(self) -> Any:
        item = self._queue.popleft()
        size = _size(item)
        self.bytes -= size
        self._page_packets += 1
        self._page_bytes += size
        if self._taken is not None:
            self._taken.set()
            self._taken = None
        return item


def _size(item: Any) -> int:
    """An end mark is nothing; a packet keeps what it encodes, so asking again costs nothing."""
    return len(item.encode()) if item is not None else 0
