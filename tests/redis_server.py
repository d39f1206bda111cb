"""A real Redis for tests, which can be killed, stopped for a while and brought back on the same port."""

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from infra.local.ports import free_port
from tests.debian import unpacked, with_libraries
from tests.probes import eventually

PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "liblua5.1-0", "libatomic1")


class RunningRedis:
    def __init__(self, directory: str) -> None:
        self.port = free_port()
        self._directory = directory
        self._usr = unpacked(*PACKAGES)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    async def start(self, *options: str) -> None:
        command = (self._usr / "bin" / "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "")
        self._process = subprocess.Popen(
            (*command, "--dir", self._directory, *options), env=with_libraries(self._usr), stdout=subprocess.DEVNULL
        )

        async def answers() -> bool:
            try:
                return bool(await asyncio.to_thread(self.client().ping))
            except RedisError:
                return False

        await eventually(answers)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop_answering(self) -> None:
        """Have it accept connections and say nothing, until `go_on`."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server() -> Iterator[RunningRedis]:
    """Lend one that is not started yet, and end it after the block."""
    with tempfile.TemporaryDirectory() as directory:
        running = RunningRedis(str(Path(directory)))
        try:
            yield running
        finally:
            running.kill()
