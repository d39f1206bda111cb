"""Port `Cache` on a Redis or Valkey: what one process has put another finds."""

from datetime import timedelta
from struct import Struct
from typing import cast

from infra.cache import CacheFigures
from infra.redis_server import RedisAway, RedisServer

VERSION = Struct(">Q")  # before each value


class RedisCache:
    """`prefix` tells installations apart that share the server."""

    def __init__(self, server: RedisServer, prefix: str, name: str, lifetime: timedelta) -> None:
        self._server = server
        self._before = f"{prefix}headwater:cache:{name}:"
        self._lifetime = lifetime
        self._figures = CacheFigures(name)

    async def get(self, key: str, version: int) -> bytes | None:
        try:
            found = cast("bytes | None", await self._server.ask(lambda redis: redis.get(self._before + key)))
        except RedisAway:
            self._figures.failed()
            return None
        value = found[VERSION.size :] if found and found.startswith(VERSION.pack(version)) else None
        self._figures.read(value)
        return value

    async def put(self, key: str, version: int, value: bytes) -> None:
        try:
            await self._server.ask(
                lambda redis: redis.set(self._before + key, VERSION.pack(version) + value, px=self._lifetime)
            )
        except RedisAway:
            self._figures.failed()

    async def evict(self, key: str) -> None:
        try:
            await self._server.ask(lambda redis: redis.delete(self._before + key))
        except RedisAway:
            self._figures.failed()
