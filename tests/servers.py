"""The three real servers for tests: started once, killed and brought back where a test needs a crash."""

import secrets
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infra.local.kafka import Kafka
from infra.local.ports import free_port
from infra.local.postgres import Passwords, Postgres
from infra.local.registry import Registry
from infra.local.servers import LocalServers, Ports


class Stack(Protocol):
    """What runs the servers: processes of this machine, or containers (tests/containers.py)."""

    def stop(self) -> None:
        """Stop all three. May be repeated."""

    def kill(self, name: str) -> None:
        """End the server as `kill -9` does."""

    def run(self, name: str) -> None:
        """Start the server again and block until it answers."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of running servers. Ports and data stay the same across a kill and a start."""

    kafka_bootstrap_servers: str
    database_url: str
    schema_registry_url: str
    stack: Stack

    def stop(self) -> None:
        self.stack.stop()

    def kill_kafka(self) -> None:
        self.stack.kill(Kafka.name)

    def start_kafka(self) -> None:
        self.stack.run(Kafka.name)

    def kill_postgres(self) -> None:
        self.stack.kill(Postgres.name)

    def start_postgres(self) -> None:
        self.stack.run(Postgres.name)

    def kill_registry(self) -> None:
        self.stack.kill(Registry.name)

    def start_registry(self) -> None:
        self.stack.run(Registry.name)


class _Processes:
    def __init__(self, directory: Path, local: LocalServers) -> None:
        self._directory, self._local = directory, local

    def stop(self) -> None:
        self._local.stop()
        database = self._directory / "postgres"
        if database.is_symlink():  # root's temporary directories are closed to the account of PostgreSQL
            shutil.rmtree(database.resolve(), ignore_errors=True)

    def kill(self, name: str) -> None:
        self._local.children[name].kill()

    def run(self, name: str) -> None:
        self._local.run(name)


def start_servers(directory: Path) -> Servers:
    """Start Kafka, PostgreSQL and the registry on free ports with their data in `directory`. Raise `StackError`.

    They end with this process, however it ends. Call `stop` to end them sooner.
    """
    ports = Ports(kafka=free_port(), database=free_port(), registry=free_port())
    passwords = Passwords(secrets.token_urlsafe(24), secrets.token_urlsafe(24))
    local = LocalServers(directory, ports, passwords, threading.Event())
    local.start()
    kafka, database, registry = (local.url(name) or "" for name in (Kafka.name, Postgres.name, Registry.name))
    return Servers(kafka, database, registry, _Processes(directory, local))
