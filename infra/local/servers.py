"""Start and stop the local servers: in parallel, the registry after the database that it stores in."""

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from infra.local import artifacts, java
from infra.local.artifacts import Part, Progress
from infra.local.java import Java
from infra.local.kafka import Kafka
from infra.local.postgres import Passwords, Postgres
from infra.local.processes import Child, Command, Interrupted, wait_until
from infra.local.registry import Registry

READY_S = 90.0  # a first start on a busy machine with two cores takes a quarter of it


class Server(Protocol):
    """What each of the three tells about itself."""

    name: str
    patience_s: float  # seconds from the request to stop until it is killed

    @property
    def url(self) -> str: ...
    def prepare(self) -> None:
        """Make the data directory ready for a start. May be repeated, also after a crash."""

    def command(self) -> Command:
        """Return how to execute the server."""

    def is_ready(self) -> bool:
        """Return within seconds whether clients can use the server."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each server listens on loopback; None for a server that is not to be started."""

    kafka: int | None
    database: int | None
    registry: int | None


class LocalServers:
    """The servers of one home directory. `stopping` makes a start in progress end with `Interrupted`."""

    def __init__(self, home: Path, ports: Ports, passwords: Passwords, stopping: threading.Event) -> None:
        self.children: dict[str, Child] = {}  # by server name, in no order
        self._home = home.absolute()
        self._ports = ports
        self._passwords = passwords
        self._stopping = stopping
        self._servers: dict[str, Server] = {}

    def url(self, name: str) -> str | None:
        """Return the address of a server started here, the database's with its password."""
        return self._servers[name].url if name in self._servers else None

    def start(self, progress: Progress | None = None) -> None:
        """Return when all are ready. Raise `StackError` or `Interrupted` after stopping what was started."""
        with ThreadPoolExecutor() as pool:
            database = pool.submit(self._start_database)
            files = pool.submit(self._fetch, progress)
            runtime = pool.submit(self._find_java)
            kafka = pool.submit(self._start_kafka, files, runtime)
            registry = pool.submit(self._start_registry, files, runtime, database)
            steps: tuple[Future[Any], ...] = (files, database, runtime, kafka, registry)
            wait(steps, return_when=FIRST_EXCEPTION)
            if any(step.done() and step.exception() for step in steps):
                self._stopping.set()  # so that the others give up
        errors = [error for step in steps if (error := step.exception())]
        if errors:
            self.stop()
            raise next((error for error in errors if not isinstance(error, Interrupted)), errors[0])

    def stop(self) -> None:
        """Stop what runs, the database last. May be repeated."""
        for name in (Registry.name, Kafka.name, Postgres.name):
            if name in self.children:
                self.children[name].stop()

    def tend(self) -> Iterator[str]:
        """Start again what has died; yield a line about each."""
        for child in self.children.values():
            if news := child.tend():
                yield news

    def run(self, name: str) -> None:
        """Start the server again after it was stopped or killed, and wait until it is ready. Raise `StackError`."""
        child = self.children[name]
        child.start()
        wait_until(self._servers[name].is_ready, child, READY_S, self._stopping)

    def _fetch(self, progress: Progress | None) -> None:
        wanted: dict[Part, int | None] = {"kafka": self._ports.kafka, "registry": self._ports.registry}
        artifacts.fetch([part for part, port in wanted.items() if port is not None], self._unless_stopping(progress))

    def _unless_stopping(self, progress: Progress | None) -> Progress:
        def report(done: int, total: int) -> None:
            if self._stopping.is_set():
                raise Interrupted
            if progress:
                progress(done, total)

        return report

    def _start_database(self) -> str | None:
        if self._ports.database is None:
            return None
        server = Postgres(self._home, self._ports.database, self._passwords)
        self._start(server)
        return server.registry_url

    def _find_java(self) -> Java | None:
        """Look once for both: of two threads that import what cannot be imported, one is given half of it."""
        return java.find() if self._ports.kafka is not None or self._ports.registry is not None else None

    def _start_kafka(self, files: "Future[None]", runtime: "Future[Java | None]") -> None:
        found = runtime.result()
        if self._ports.kafka is not None and found is not None:
            files.result()
            self._start(Kafka(self._home, self._ports.kafka, found, artifacts.kafka_jars()))

    def _start_registry(
        self, files: "Future[None]", runtime: "Future[Java | None]", database: "Future[str | None]"
    ) -> None:
        found = runtime.result()
        if self._ports.registry is not None and found is not None:
            files.result()
            program = artifacts.registry_directory()
            self._start(Registry(self._home, self._ports.registry, found, program, database.result()))

    def _start(self, server: Server) -> None:
        if self._stopping.is_set():
            raise Interrupted
        log = self._home / "logs" / f"{server.name}.log"
        self._servers[server.name] = server
        self.children[server.name] = Child(server.name, partial(_prepared, server), log, server.patience_s)
        self.run(server.name)


def _prepared(server: Server) -> Command:
    server.prepare()
    return server.command()
