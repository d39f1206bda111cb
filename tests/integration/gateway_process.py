"""A gateway node as a process of its own, on a port that it keeps, to be killed."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headwater.settings import Settings
from headwater.supervisor import answers
from infra.local.ports import LOOPBACK, free_port
from tests.probes import eventually

ROOT = Path(__file__).parents[2]
START_S = 60.0


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """Return the variables by which a process uses the same servers and topics."""
    assert settings.database_url
    assert settings.secret_key
    assert settings.jwt_hs256_secret
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": str(settings.kafka_bootstrap_servers),
        "HEADWATER_SCHEMA_REGISTRY_URL": str(settings.schema_registry_url),
        "HEADWATER_DATABASE_URL": settings.database_url.get_secret_value(),
        "HEADWATER_SECRET_KEY": settings.secret_key.get_secret_value(),
        "HEADWATER_JWT_HS256_SECRET": settings.jwt_hs256_secret.get_secret_value(),
        "HEADWATER_TOPIC_PREFIX": settings.topic_prefix,
    } | more


class GatewayProcess:
    def __init__(self, settings: Settings, **more: str) -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._environment = environment(settings, HEADWATER_PORT=str(self.port), **more)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Return the running process."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Return when it lets clients in."""
        command = (sys.executable, "-m", "headwater", "run", "realtime.delivery")
        self._process = await asyncio.create_subprocess_exec(*command, env=self._environment, cwd=ROOT)

        async def ready() -> bool:
            return await asyncio.to_thread(answers, LOOPBACK, self.port)

        await eventually(ready, within=START_S)

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def gateway_process(settings: Settings, **more: str) -> AsyncIterator[GatewayProcess]:
    """Run one while the block lasts."""
    node = GatewayProcess(settings, **more)
    try:
        await node.start()
        yield node
    finally:
        await node.kill()
