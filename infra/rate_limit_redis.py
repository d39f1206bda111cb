"""How often somebody may ask, counted by all processes together (docs/adr/0032)."""

from collections import OrderedDict
from math import ceil
from time import monotonic

from limits.aio.storage import RedisStorage
from redis.asyncio import Redis

from infra.rate_limit import KEYS, Allowance, Quota, RateLimited, RequestClass, TokenBuckets
from infra.redis_server import RedisAway, RedisServer


class SharedWindows:
    """A count for each key, in windows that begin with its first request; while Redis is away, in this process."""

    def __init__(self, server: RedisServer, prefix: str, name: RequestClass, per_minute: int) -> None:
        self._server = server
        self._quota = Quota.of(name, per_minute)
        self._alone = TokenBuckets(name, per_minute)
        self._storage = RedisStorage(
            "redis://",  # of which the pool knows better
            implementation="redispy",
            key_prefix=f"{prefix}headwater:rate:{name}",
            connection_pool=server.pool,  # type: ignore[arg-type]  # as its documentation says
        )
        self._ends: OrderedDict[str, float] = OrderedDict()  # of windows, so that Redis is asked once for each

    async def take(self, key: str, cost: int = 1) -> Allowance:
        try:
            count, reset_s = await self._server.ask(lambda redis: self._counted(redis, key, cost))
        except RedisAway:
            return await self._alone.take(key, cost)
        is_refused = count > self._quota.at_once
        used = count - cost if is_refused else count
        allowance = Allowance(self._quota, max(self._quota.at_once - used, 0), reset_s)
        if is_refused:
            raise RateLimited(reset_s, allowance)
        return allowance

    async def _counted(self, redis: Redis, key: str, cost: int) -> tuple[int, int]:
        """Return how many requests there were in the window, this one included, and the seconds until it ends."""
        window_s = self._quota.window_s
        count = await self._storage.incr(key, window_s, cost)
        if count - cost < self._quota.at_once < count:  # what was left stays
            await self._storage.incr(key, window_s, -cost)
        now = monotonic()
        if count == cost:
            self._remember(key, now + window_s)
        elif self._ends.get(key, 0.0) <= now:
            left_ms = await redis.pttl(self._storage.bridge.prefixed_key(key))
            self._remember(key, now + max(left_ms, 0) / 1000)
        return count, max(ceil(self._ends[key] - now), 1)

    def _remember(self, key: str, end: float) -> None:
        self._ends[key] = end
        self._ends.move_to_end(key)
        if len(self._ends) > KEYS:
            self._ends.popitem(last=False)
