"""Everything a campaign breaks: the three servers, proxies before two of them, and the roles as `headwater up` runs them."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

from headwater.supervisor import answers
from infra.local import artifacts
from infra.local.java import Java
from infra.local.kafka import Kafka
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import Passwords, Postgres
from infra.local.registry import Registry
from infra.local.servers import LocalServers, Ports
from infra.local.state import Process
from tests.e2e.conftest import HEADWATER, ROOT, START_S, Stack
from tests.probes import eventually

LINKS = (Kafka.name, Postgres.name)
SERVERS = (Kafka.name, Postgres.name, Registry.name)
SCALE = ("messaging.history=2", "realtime.delivery=2")


class KafkaBehindProxy(Kafka):
    """Sends its clients to the proxy's port."""

    def __init__(self, home: Path, port: int, proxy_port: int, java: Java) -> None:
        super().__init__(home, port, java, artifacts.kafka_jars())
        self._proxy_port = proxy_port

    def prepare(self) -> None:
        super().prepare()
        own, proxy = (f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{port}" for port in (self.port, self._proxy_port))
        self._properties.write_text(self._properties.read_text().replace(own, proxy))


class ServersBehindProxies(LocalServers):
    def __init__(self, home: Path, ports: Ports, kafka_proxy: int) -> None:
        super().__init__(home, ports, Passwords(*(secrets.token_urlsafe(24) for _ in "12")), threading.Event())
        self._kafka_proxy = kafka_proxy

    def _start_kafka(self, files: "Future[None]", runtime: "Future[Java | None]") -> None:
        files.result()
        found = runtime.result()
        assert self._ports.kafka
        assert found
        self._start(KafkaBehindProxy(self._home, self._ports.kafka, self._kafka_proxy, found))


class Installation:
    """What runs, by name: `kafka`, `postgres`, `registry`, and the processes of `headwater up`."""

    def __init__(self, directory: Path, scale: Sequence[str] = SCALE) -> None:
        self.ports = Ports(kafka=free_port(), database=free_port(), registry=free_port())
        self.proxies = dict(zip(LINKS, (free_port(), free_port()), strict=True))
        self.servers = ServersBehindProxies(directory / "servers", self.ports, self.proxies[Kafka.name])
        self.stack = Stack(directory)
        self._directory = directory
        self._scale = scale
        self._proxy: subprocess.Popen[bytes] | None = None

    @property
    def kafka(self) -> str:
        return f"{LOOPBACK}:{self.proxies[Kafka.name]}"

    @property
    def database_url(self) -> str:
        """Return the owner's, past the proxy."""
        return self.servers.url(Postgres.name) or ""

    @property
    def registry_url(self) -> str:
        return self.servers.url(Registry.name) or ""

    @property
    def roles(self) -> list[str]:
        """Return the names of the role processes."""
        return [each.name for each in self._processes()]

    def port(self, name: str) -> int:
        return self._process(name).port or 0

    def pid(self, name: str) -> int:
        return self._process(name).pid

    def is_ready(self, name: str) -> bool:
        """Return whether the role process says so."""
        return answers(LOOPBACK, self.port(name))

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a process, if it runs."""
        if name in SERVERS:
            pid, runs = self.servers.children[name].pid, self.servers.children[name].is_alive
        else:
            pid, runs = self.pid(name), self._process(name).is_running
        if pid and runs:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def link(self, name: str, do: str, **more: float) -> None:
        """Have the proxy do something."""
        assert self._proxy
        assert self._proxy.stdin
        self._proxy.stdin.write(json.dumps({"link": name, "do": do, **more}).encode() + b"\n")
        self._proxy.stdin.flush()

    @contextmanager
    def running(self, log: Path) -> Iterator["Installation"]:
        """Run everything while the block lasts."""
        try:
            self._start_proxy()
            self.servers.start()
            with log.open("wb") as output:
                options = [word for each in self._scale for word in ("--scale", each)]
                up = subprocess.Popen(
                    (*HEADWATER, "up", *options), env=self._environment(), stdout=output, stderr=subprocess.STDOUT
                )
            try:
                asyncio.run(self._until_ready(up, log))
                yield self
            finally:
                for name in self.roles:
                    self.signal(name, signal.SIGCONT)
                up.terminate()
                up.wait(90)
        finally:
            self.servers.stop()
            if self._proxy and self._proxy.stdin:
                self._proxy.communicate(timeout=10)  # closes both ends of its pipes
            database = self._directory / "servers" / "postgres"
            if database.is_symlink():  # root's temporary directories are closed to the account of PostgreSQL
                shutil.rmtree(database.resolve(), ignore_errors=True)

    def _start_proxy(self) -> None:
        targets = dict(zip(LINKS, (self.ports.kafka, self.ports.database), strict=True))
        links = [f"{name}={port}:{targets[name]}" for name, port in self.proxies.items()]
        command = (sys.executable, "-m", "tests.crash.proxy", *links)
        self._proxy = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._proxy.stdout
        assert self._proxy.stdout.readline() == b"ready\n"

    def _environment(self) -> dict[str, str]:
        direct, proxy = (f":{port}/" for port in (self.ports.database, self.proxies[Postgres.name]))
        self.stack.environment |= {
            "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "HEADWATER_DATABASE_URL": self.database_url.replace(direct, proxy),
            "HEADWATER_SCHEMA_REGISTRY_URL": self.registry_url,
        }
        return self.stack.environment

    async def _until_ready(self, up: "subprocess.Popen[bytes]", log: Path) -> None:
        async def ready() -> bool:
            assert up.poll() is None, log.read_text()
            found = self.stack.home.read()
            return bool(found and found.is_ready)

        await eventually(ready, within=START_S)

    def _processes(self) -> tuple[Process, ...]:
        found = self.stack.home.read()
        return found.processes if found else ()

    def _process(self, name: str) -> Process:
        return next(each for each in self._processes() if each.name == name)
