"""A Redis or Valkey that processes share. Whatever is in there can be done without, so it may be away, slow or full: who asks
meanwhile is told so at once, and one task looks again until it works.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

T = TypeVar("T")

TIMEOUT_S = 0.25  # of an answer, and of a place in the pool: the database is quicker than that
CONNECT_TIMEOUT_S = 1.0  # TLS takes a while
CONNECTIONS = 32
LOOK_AGAIN_S = 1.0
PROBE = "headwater:probe"

log = structlog.get_logger()


class RedisAway(Exception):
    """It is away, slow or full: do without."""


class RedisServer:
    """One server by its URL (`redis[s]://`). Connections are made when first needed."""

    def __init__(self, url: str, ssl_ca_file: Path | None = None) -> None:
        tls = {"ssl_ca_certs": str(ssl_ca_file)} if ssl_ca_file else {}
        self.pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            **tls,
        )
        self._redis = Redis(connection_pool=self.pool)
        self._looking: asyncio.Task[None] | None = None  # while it is in trouble

    async def ask(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        """Return what the call returns. Raise `RedisAway`."""
        if self._looking:
            raise RedisAway
        try:
            return await call(self._redis)
        except (RedisError, OSError) as error:
            if not self._looking:  # of many that fail at once the first says so
                log.warning("redis.away", error=type(error).__name__, detail=str(error))
                self._looking = asyncio.create_task(self._look())
            raise RedisAway from error

    async def check(self) -> None:
        """Raise `RedisAway` unless it can be used."""
        await self.ask(lambda redis: redis.ping())

    async def close(self) -> None:
        """Close the connections."""
        if self._looking:
            self._looking.cancel()
        await self.pool.disconnect()

    async def _look(self) -> None:
        """Wait until it takes something: one that is full still answers."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            with contextlib.suppress(RedisError, OSError):
                await self._redis.set(PROBE, b"", px=int(LOOK_AGAIN_S * 1000))
                self._looking = None
                log.info("redis.back")
                return
