"""Pick what processes share beside broker and databases, or what each has for itself where there is no Redis."""

from datetime import timedelta

from headwater.settings import Settings
from infra.cache import Cache, MemoryCache
from infra.cache_redis import RedisCache
from infra.redis_server import RedisServer


def redis_server(settings: Settings) -> RedisServer | None:
    """Return the Redis of these settings."""
    return (
        RedisServer(settings.redis_url.get_secret_value(), settings.redis_ssl_ca_file) if settings.redis_url else None
    )


def cache(settings: Settings, redis: RedisServer | None, name: str, lifetime: timedelta) -> Cache:
    """Return the cache of that name."""
    return RedisCache(redis, settings.topic_prefix, name, lifetime) if redis else MemoryCache(name, lifetime)
