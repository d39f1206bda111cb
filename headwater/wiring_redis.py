"""Pick what processes share beside broker and databases, or what each has for itself where there is no Redis."""

from datetime import timedelta
from math import ceil

from headwater.settings import Settings
from infra.cache import Cache, MemoryCache
from infra.cache_redis import RedisCache
from infra.rate_limit import RateLimit, RequestClass, TokenBuckets, Unlimited
from infra.rate_limit_redis import SharedWindows
from infra.redis_server import RedisServer


def redis_server(settings: Settings) -> RedisServer | None:
    """Return the Redis of these settings."""
    return (
        RedisServer(settings.redis_url.get_secret_value(), settings.redis_ssl_ca_file) if settings.redis_url else None
    )


def cache(settings: Settings, redis: RedisServer | None, name: str, lifetime: timedelta) -> Cache:
    """Return the cache of that name."""
    return RedisCache(redis, settings.topic_prefix, name, lifetime) if redis else MemoryCache(name, lifetime)


def rate_limits(settings: Settings, redis: RedisServer | None) -> dict[RequestClass, RateLimit]:
    """Return the limit of each class of requests."""
    every = settings.rate_limit_per_minute
    given: dict[RequestClass, tuple[int | None, int]] = {
        "read": (settings.rate_limit_read_per_minute, every),
        "write": (settings.rate_limit_write_per_minute, every),
        "auth": (settings.rate_limit_auth_per_minute, ceil(every / 10)),
    }
    return {
        name: _rate_limit(settings, redis, name, default if own is None else own)
        for name, (own, default) in given.items()
    }


def _rate_limit(settings: Settings, redis: RedisServer | None, name: RequestClass, per_minute: int) -> RateLimit:
    if not per_minute:
        return Unlimited()
    return SharedWindows(redis, settings.topic_prefix, name, per_minute) if redis else TokenBuckets(name, per_minute)
