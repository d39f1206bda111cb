"""The three real servers for tests: started once, killed and brought back where a test needs a crash."""

import secrets
import shutil
import threading
from pathlib import Path

from infra.local.kafka import Kafka
from infra.local.ports import free_port
from infra.local.postgres import Passwords, Postgres
from infra.local.registry import Registry
from infra.local.servers import LocalServers, Ports


class Servers:
    """Addresses of running servers. Ports and data stay the same across a kill and a start."""

    def __init__(self, directory: Path, local: LocalServers) -> None:
        self._directory = directory
        self._local = local
        self.kafka_bootstrap_servers = local.url(Kafka.name) or ""
        self.database_url = local.url(Postgres.name) or ""
        self.schema_registry_url = local.url(Registry.name) or ""

    def stop(self) -> None:
        """Stop all three. May be repeated."""
        self._local.stop()
        database = self._directory / "postgres"
        if database.is_symlink():  # root's temporary directories are closed to the account of PostgreSQL
            shutil.rmtree(database.resolve(), ignore_errors=True)

    def kill_kafka(self) -> None:
        """End the broker as `kill -9` does."""
        self._local.children[Kafka.name].kill()

    def start_kafka(self) -> None:
        """Start the broker again and block until it answers."""
        self._local.run(Kafka.name)

    def kill_postgres(self) -> None:
        """End the database server as `kill -9` does."""
        self._local.children[Postgres.name].kill()

    def start_postgres(self) -> None:
        """Start the database server again and block until it answers."""
        self._local.run(Postgres.name)

    def kill_registry(self) -> None:
        """End the schema registry as `kill -9` does."""
        self._local.children[Registry.name].kill()

    def start_registry(self) -> None:
        """Start the schema registry again and block until it answers."""
        self._local.run(Registry.name)


def start_servers(directory: Path) -> Servers:
    """Start Kafka, PostgreSQL and the registry on free ports with their data in `directory`. Raise `StackError`.

    They end with this process, however it ends. Call `stop` to end them sooner.
    """
    ports = Ports(kafka=free_port(), database=free_port(), registry=free_port())
    passwords = Passwords(secrets.token_urlsafe(24), secrets.token_urlsafe(24))
    local = LocalServers(directory, ports, passwords, threading.Event())
    local.start()
    return Servers(directory, local)
