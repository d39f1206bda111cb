"""What waits for one client, counted in events and bytes."""

import asyncio
from collections.abc import Callable, Sequence, Sized
from typing import Any

PAGE_PACKETS = 64  # taken at once, so that what was taken and has not gone out is bounded, too
PAGE_BYTES = 64 * 1024


class Outbox:
    """Unbounded for who puts something in; who offers events asks `is_full` first."""

    __slots__ = ("_items", "_most_bytes", "_most_events", "_put", "_taken", "bytes")

    def __init__(self, most_events: int, most_bytes: int, put: Callable[[], None] | None = None) -> None:
        """`put` is called when something lies in it that was empty."""
        self._most_events, self._most_bytes = most_events, most_bytes
        self.bytes = 0
        self._items: list[Any] = []
        self._put = put
        self._taken: asyncio.Event | None = None  # set when something is taken, while somebody waits for that

    def qsize(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        return self.bytes >= self._most_bytes or len(self._items) >= self._most_events

    @property
    def is_crowded(self) -> bool:
        """Whether less than half of the room is left."""
        return 2 * len(self._items) >= self._most_events or 2 * self.bytes >= self._most_bytes

    async def has_room(self, patience_s: float) -> bool:
        """Wait while it is crowded; return False once the client has taken nothing for `patience_s` seconds."""
        while self.is_crowded:
            self._taken = self._taken or asyncio.Event()  # sessions that share a connection wait together
            try:
                await asyncio.wait_for(self._taken.wait(), patience_s)
            except TimeoutError:
                return False
        return True

    def put_nowait(self, item: Sized) -> None:
        items = self._items
        items.append(item)
        self.bytes += len(item)
        if len(items) == 1 and self._put is not None:
            self._put()

    def offer(self, item: Sized) -> bool:
        """Put it in if there is room. Return whether there was."""
        items = self._items
        if self.bytes >= self._most_bytes or len(items) >= self._most_events:
            return False
        items.append(item)
        self.bytes += len(item)
        if len(items) == 1 and self._put is not None:
            self._put()
        return True

    def offer_all(self, items: Sequence[Sized], size: int) -> bool:
        """Put all of them in, `size` bytes, if there is room. Return whether there was."""
        waiting = self._items
        count = len(waiting)
        if self.bytes + size > self._most_bytes or count + len(items) > self._most_events:
            return False
        waiting.extend(items)
        self.bytes += size
        if count == 0 and self._put is not None:
            self._put()
        return True

    def take_page(self) -> list[Any]:
        """Return what comes next, as much as may be taken at once."""
        items = self._items
        if len(items) <= PAGE_PACKETS and self.bytes <= PAGE_BYTES:
            page, self._items = items, []
            self.bytes = 0
        else:
            count = size = 0
            while count < min(len(items), PAGE_PACKETS) and size < PAGE_BYTES:
                size += len(items[count])
                count += 1
            page = items[:count]
            del items[:count]
            self.bytes -= size
        if page:
            self._told()
        return page

    def close(self) -> None:
        """Throw away what is in it, and wake who waits for room: nobody takes anything any more."""
        self._items, self._put = [], None
        self.bytes = 0
        self._told()

    def _told(self) -> None:
        if self._taken is not None:
            self._taken.set()
            self._taken = None


class Queue(Outbox):
    """An outbox that somebody waits at."""

    __slots__ = ("_filled",)

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self._filled = asyncio.Event()
        super().__init__(most_events, most_bytes, self._filled.set)

    async def get(self) -> Any:
        """Return what comes next, as soon as there is something."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        item = self._items.pop(0)
        self.bytes -= len(item)
        self._told()
        return item
