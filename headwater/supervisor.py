"""What `headwater up` does: local servers, preparation, role processes; watched, and stopped in order."""

import http.client
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from pydantic import SecretStr

from headwater.settings import PREFIX, Settings
from infra.local.artifacts import Progress
from infra.local.errors import StackError
from infra.local.kafka import Kafka
from infra.local.ports import LOOPBACK, choose, free_port
from infra.local.postgres import Passwords, Postgres
from infra.local.processes import POLL_S, Child, Command, Interrupted, last_lines
from infra.local.registry import Registry
from infra.local.servers import LocalServers, Ports
from infra.local.state import Home, Process, Stack, started, this_process

WEB = ("web", "realtime.delivery")
GATEWAY = "realtime.delivery"
RELAY = "relay"
WORK = "work"
READY_S = 90.0
WATCH_S = 0.25
ROLE_PATIENCE_S = 15.0  # a role finishes its batch and commits
MOST = 32  # processes of one role

Prepare = Callable[[Settings], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RoleProcess:
    """One process to start: its name, what it runs, and whether people reach it from outside."""

    name: str
    roles: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        return not {*WEB}.isdisjoint(self.roles)


def layout(roles: Sequence[str], scale: Mapping[str, int]) -> tuple[RoleProcess, ...]:
    """Return the processes for all `roles`: `web`, `work` and `relay`, less the scaled roles, which get their own.

    Raise `StackError` for a role that does not exist or a number that makes no sense.
    """
    for role, count in scale.items():
        if role not in roles:
            raise StackError(f"--scale {role}={count}: no such role; `headwater roles` lists them")
        if not 1 <= count <= MOST:
            raise StackError(f"--scale {role}={count}: choose 1 to {MOST}")
    left = [role for role in roles if role not in scale]
    groups = {
        "web": tuple(role for role in left if role in WEB),
        WORK: tuple(role for role in left if role not in (*WEB, RELAY)),
        RELAY: tuple(role for role in left if role == RELAY),
    }
    default = [RoleProcess(name, members) for name, members in groups.items() if members]
    return (*default, *(RoleProcess(f"{role}.{n}", (role,)) for role, count in scale.items() for n in range(1, count + 1)))


def parse_scale(options: Sequence[str]) -> dict[str, int]:
    """Return `ROLE=N` options as a mapping. Raise `StackError` naming the wrong one."""
    scale = {}
    for option in options:
        role, equals, count = option.partition("=")
        if not (role and equals and count.isdecimal()):
            raise StackError(f"--scale {option}: write it as ROLE=NUMBER, for example messaging.history=2")
        scale[role] = int(count)
    return scale


def attach(settings: Settings) -> Settings:
    """Return the settings completed by the stack that is up in `settings.home`, unchanged when none is.

    What is set already stays. Raise `StackError` if the state file is damaged.
    """
    stack = Home(settings.home).read()
    return complete(settings, stack) if stack and stack.is_up else settings


def complete(settings: Settings, stack: Stack) -> Settings:
    """Return the settings with the stack's addresses and secrets where they have none."""
    return settings.model_copy(update=_missing(settings, stack))


def _missing(settings: Settings, stack: Stack) -> dict[str, str | SecretStr]:
    known: dict[str, str | SecretStr | None] = {
        "kafka_bootstrap_servers": stack.kafka_bootstrap_servers,
        "database_url": SecretStr(stack.database_url) if stack.database_url else None,
        "schema_registry_url": stack.schema_registry_url,
        "secret_key": SecretStr(stack.secret_key),
    }
    if settings.mode == "development" and not settings.jwt_jwks_url:
        known["jwt_hs256_secret"] = SecretStr(stack.jwt_hs256_secret)
    return {name: value for name, value in known.items() if value is not None and not getattr(settings, name)}


class Supervisor:
    """Everything between `up` and the end. Made and run in the main thread, since it takes over the signals."""

    def __init__(self, settings: Settings, roles: Sequence[RoleProcess], prepare: Prepare, say: Say) -> None:
        self._settings = settings
        self._roles = {role.name: role for role in roles}
        self._prepare = prepare
        self._say = say
        self._home = Home(settings.home)
        self._stopping = threading.Event()
        self._children: dict[str, Child] = {}
        self._role_ports: dict[str, int] = {}
        self._servers: LocalServers | None = None
        self._stack = Stack()

    def run(self, on_ready: Callable[[Stack], None], progress: Progress | None = None) -> None:
        """Start everything, call `on_ready`, and return after a request to stop, when nothing runs any more.

        Raise `StackError` if something cannot start and `Interrupted` if the request came before all was ready;
        nothing is left running then either.
        """
        with self._home.locked(), self._signals():
            self._take_over()
            try:
                self._start(progress)
                on_ready(self._stack)
                self._watch()
            finally:
                self._stop()
                self._write(self._stack.stopped())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {name: signal.signal(name, self._on_signal) for name in names}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # A second one changes nothing: every child is being stopped, within its time limit.
        self._stopping.set()
        self._say(f"{signal.Signals(number).name}: stopping")

    def _take_over(self) -> None:
        stack = self._home.read() or Stack()
        for name in self._home.end_leftovers(stack):
            self._say(f"ended {name}, left by a supervisor that was killed")
        self._write(replace(stack.stopped(), supervisor=this_process("supervisor")))

    def _start(self, progress: Progress | None) -> None:
        ports = self._choose_ports()
        passwords = Passwords(self._stack.database_password, self._stack.registry_password)
        self._servers = LocalServers(self._home.directory, ports, passwords, self._stopping)
        self._servers.start(progress)
        self._write(self._with_addresses(self._servers))
        self._run_prepare(complete(self._settings, self._stack))
        for role in self._roles.values():
            self._children[role.name] = child = self._child(role)
            child.start()
        self._write(replace(self._stack, processes=self._processes()))
        self._await_roles()
        self._write(replace(self._stack, is_ready=True))

    def _choose_ports(self) -> Ports:
        wanted = self._settings
        public = choose(wanted.port, "the public address", f"{PREFIX}PORT", wanted.host)
        ports = Ports(
            None if wanted.kafka_bootstrap_servers else _local(wanted.local_kafka_port, "Kafka", "KAFKA"),
            None if wanted.database_url else _local(wanted.local_database_port, "PostgreSQL", "DATABASE"),
            None if wanted.schema_registry_url else _local(wanted.local_registry_port, "the registry", "REGISTRY"),
        )
        taken = {public, *(port for port in (ports.kafka, ports.database, ports.registry) if port)}
        for name in self._roles:
            port = public if name in ("web", "web.1") else free_port(frozenset(taken))
            taken.add(port)
            self._role_ports[name] = port
        return ports
