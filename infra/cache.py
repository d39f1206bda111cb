"""Port `Cache`: what can be had again elsewhere, kept for a while (docs/adr/0032)."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Protocol

from prometheus_client import Counter

OUTCOMES = ("hit", "miss", "error")
READS = Counter(
    "headwater_cache_reads", "Reads of a cache: hit, miss, or error where it could not be asked.", ("cache", "outcome")
)
ENTRIES, BYTES = 20_000, 32 << 20  # of one cache in a process
EACH = 200  # bytes that an entry takes beside its own


class Cache(Protocol):
    """Bytes by key. Each is of a version of what it is about, and is no answer for any other: one that comes late, when there
    is a newer, does no harm. No call fails: who reads nothing asks where it comes from."""

    async def get(self, key: str, version: int) -> bytes | None:
        """Return what was put for this version, None once its time is over or there was no room."""
        ...

    async def put(self, key: str, version: int, value: bytes) -> None:
        """Keep it in place of what is there."""
        ...

    async def evict(self, key: str) -> None:
        """Forget it."""
        ...


class CacheFigures:
    """What a cache tells of its reads."""

    def __init__(self, name: str) -> None:
        self._reads = {outcome: READS.labels(name, outcome) for outcome in OUTCOMES}

    def read(self, found: object) -> None:
        self._reads["miss" if found is None else "hit"].inc()

    def failed(self) -> None:
        self._reads["error"].inc()


class MemoryCache:
    """In this process; what was not read for longest goes first."""

    def __init__(
        self,
        name: str,
        lifetime: timedelta,
        entries: int = ENTRIES,
        size: int = BYTES,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._lifetime_s, self._entries, self._size, self._now = lifetime.total_seconds(), entries, size, now
        self._kept: OrderedDict[str, tuple[int, float, bytes]] = OrderedDict()  # version, until when, value
        self._bytes = 0
        self._figures = CacheFigures(name)

    async def get(self, key: str, version: int) -> bytes | None:
        found = self._kept.get(key)
        value = found[2] if found and found[0] == version and self._now() < found[1] else None
        if value is not None:
            self._kept.move_to_end(key)
        self._figures.read(value)
        return value

    async def put(self, key: str, version: int, value: bytes) -> None:
        self._forget(key)
        self._kept[key] = (version, self._now() + self._lifetime_s, value)
        self._bytes += _taken(key, value)
        while len(self._kept) > self._entries or self._bytes > self._size:
            self._forget(next(iter(self._kept)))

    async def evict(self, key: str) -> None:
        self._forget(key)

    def _forget(self, key: str) -> None:
        if found := self._kept.pop(key, None):
            self._bytes -= _taken(key, found[2])


def _taken(key: str, value: bytes) -> int:
    return len(key) + len(value) + EACH
