"""What `headwater up` does: local servers, preparation, role processes; watched, and stopped in order."""

import http.client
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

from pydantic import SecretStr

from headwater.addresses import listed
from headwater.layout import SOCKETS, RoleProcess, is_open
from headwater.settings import PREFIX, Settings, SettingsError
from infra.local.artifacts import Progress
from infra.local.errors import FilesMissing, StackError
from infra.local.kafka import Kafka
from infra.local.nursery import NAME as NURSERY
from infra.local.nursery import Nursery
from infra.local.ports import LOOPBACK, choose, free_port
from infra.local.postgres import Passwords, Postgres
from infra.local.processes import POLL_S, Child, Command, Interrupted
from infra.local.registry import Registry
from infra.local.servers import LocalServers, Ports
from infra.local.state import Home, Process, Stack, started, this_process
from infra.schema_registry import SchemaRejected
from shared_kernel.errors import HeadwaterError

PROGRAM: tuple[str, ...] = (sys.executable, "-m", "headwater")  # tests put a stub here
ROOT = Path(__file__).parent.parent
PACKAGES = ("headwater", "sagas", "bounded_contexts", "infra", "shared_kernel", "schemas")
PAYMENT_PROVIDER = "payment-provider"  # the simulated one
READY_PATH = "/health/ready"
READY_S = 90.0
WATCH_S = 0.25
ROLE_PATIENCE_S = 15.0  # a role finishes its batch and commits

Prepare = Callable[[Settings], None]
Say = Callable[[str], None]


def attach(settings: Settings) -> Settings:
    """Return the settings completed by the stack that is up in `settings.home`, unchanged when none is.

    What is set already stays. Raise `StackError` if the state file is damaged.
    """
    stack = running(settings)
    return complete(settings, stack) if stack else settings


def running(settings: Settings) -> Stack | None:
    """Return the stack that is up in `settings.home`. Raise `StackError` if the state file is damaged."""
    stack = Home(settings.home).read()
    return stack if stack and stack.is_up else None


def complete(settings: Settings, stack: Stack) -> Settings:
    """Return the settings with the stack's addresses and secrets where they have none."""
    return settings.model_copy(update=_missing(settings, stack))


def _missing(settings: Settings, stack: Stack) -> dict[str, str | SecretStr]:
    known: dict[str, str | SecretStr | None] = {
        "kafka_bootstrap_servers": stack.kafka_bootstrap_servers,
        "database_url": SecretStr(stack.database_url) if stack.database_url else None,
        "schema_registry_url": stack.schema_registry_url,
        "secret_key": SecretStr(stack.secret_key),
        **_of_payments(stack),
    }
    if settings.mode == "development" and not settings.jwt_jwks_url:
        known["jwt_hs256_secret"] = SecretStr(stack.jwt_hs256_secret)
    return {name: value for name, value in known.items() if value is not None and not getattr(settings, name)}


def _of_payments(stack: Stack) -> dict[str, str | SecretStr]:
    """Return what leads to the simulated payment provider, where there is one."""
    if stack.payment_provider_url is None:
        return {}
    return {
        "payment_provider_url": stack.payment_provider_url,
        "payment_provider_key": SecretStr(stack.payment_provider_key),
        "payment_webhook_secret": SecretStr(stack.payment_webhook_secret),
    }


class Supervisor:
    """Everything between `up` and the end. Made and run in the main thread, since it takes over the signals."""

    def __init__(
        self, settings: Settings, roles: Sequence[RoleProcess], prepare: Prepare, say: Say, *, reload: bool = False
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._prepare = prepare
        self._say = say
        self._reload = reload
        self._home = Home(settings.home)
        self._stopping = threading.Event()
        self._children: dict[str, Child] = {}
        self._role_ports: dict[str, int] = {}
        self._servers: LocalServers | None = None
        self._stack = Stack()
        self._nursery = Nursery(_nursery, self._home.log(NURSERY))
        self._loaded = 0.0

    def run(self, on_ready: Callable[[Stack], None], progress: Progress | None = None) -> None:
        """Start everything, call `on_ready`, and return after a request to stop, when nothing runs any more.

        Raise `StackError` if something cannot start and `Interrupted` if the request came before all was ready;
        nothing is left running then either.
        """
        with self._home.locked(), self._signals():
            is_first = self._home.read() is None
            self._take_over()
            ports = self._choose_ports()
            try:
                self._write(replace(self._stack, supervisor=this_process("supervisor")))
                self._start(ports, progress)
                on_ready(self._stack)
                self._watch()
            finally:
                self._stop()
                self._write(self._stack.stopped())
                if is_first and isinstance(sys.exception(), FilesMissing):
                    self._home.empty()  # nothing was stored, and no log says more than the error

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
        self._stack = stack.stopped()

    def _start(self, ports: Ports, progress: Progress | None) -> None:
        self._read_code()
        passwords = Passwords(self._stack.database_password, self._stack.registry_password)
        self._servers = LocalServers(self._home.directory, ports, passwords, self._stopping)
        self._say("starting the servers that are not configured")
        self._servers.start(progress)
        self._write(self._with_addresses(self._servers))
        self._say("preparing databases, topics and schemas")
        self._run_prepare()
        self._say(f"starting {', '.join(role.name for role in self._roles)}")
        self._start_roles()
        self._await_roles()
        self._write(replace(self._stack, is_ready=True))

    def _choose_ports(self) -> Ports:
        settings = self._settings
        public = choose(settings.port, "the public address", f"{PREFIX}PORT", settings.host)
        ports = Ports(
            None if settings.kafka_bootstrap_servers else _local(settings.local_kafka_port, "kafka"),
            None if settings.database_url else _local(settings.local_database_port, "database"),
            None if settings.schema_registry_url else _local(settings.local_registry_port, "registry"),
        )
        self._role_ports = {role.name: public if role == self._public else free_port() for role in self._roles}
        if settings.mode == "development" and not settings.payment_provider_url:
            self._role_ports[PAYMENT_PROVIDER] = free_port()
        return ports

    @property
    def _public(self) -> RoleProcess:
        return next(role for role in self._roles if "web" in role.roles)

    def _with_addresses(self, servers: LocalServers) -> Stack:
        settings = self._settings
        database = settings.database_url.get_secret_value() if settings.database_url else servers.url(Postgres.name)
        return replace(
            self._stack,
            url=f"http://{reached(self._public.roles, settings.host)}:{self._role_ports[self._public.name]}",
            kafka_bootstrap_servers=settings.kafka_bootstrap_servers or servers.url(Kafka.name),
            database_url=database,
            schema_registry_url=settings.schema_registry_url or servers.url(Registry.name),
            payment_provider_url=f"http://{LOOPBACK}:{self._role_ports[PAYMENT_PROVIDER]}"
            if PAYMENT_PROVIDER in self._role_ports
            else None,
            processes=self._processes(),
        )

    def _run_prepare(self) -> None:
        # In a thread of its own, so that a request to stop need not wait for it.
        done: Future[None] = Future()
        settings = complete(self._settings, self._stack)
        threading.Thread(target=_fulfil, args=(done, self._prepare, settings), daemon=True).start()
        while not done.done():
            if self._stopping.wait(POLL_S):
                raise Interrupted
        try:
            done.result()
        except SchemaRejected as error:
            if settings.schema_registry_url == self._settings.schema_registry_url:
                raise StackError(f"{PREFIX}SCHEMA_REGISTRY_URL: the registry refuses a schema: {error}") from None
            old = f"the data in {self._home.directory} is of another version of Headwater ({error})"
            raise StackError(f"{old}: `headwater reset` deletes it") from None

    def _read_code(self) -> None:
        self._loaded = _newest_source()  # before it is read: what is written from here on, no role may have
        self._nursery.begin()

    def _start_roles(self) -> None:
        self._nursery.wait(self._stopping)
        commands: dict[str, Callable[[], Command]] = {role.name: partial(self._command, role) for role in self._roles}
        if PAYMENT_PROVIDER in self._role_ports:
            commands = {PAYMENT_PROVIDER: self._payment_provider, **commands}
        for name, command in commands.items():
            child = Child(name, command, self._home.log(name), ROLE_PATIENCE_S, self._nursery.start)
            self._children[name] = child
            child.start()
        self._write(replace(self._stack, processes=self._processes()))

    def _command(self, role: RoleProcess) -> Command:
        port = str(self._role_ports[role.name])
        run = ("run", *role.roles, "--port", port)
        # Names and values of the environment are for this user's eyes only; a command line is for everyone's.
        values = _missing(self._settings, self._stack) | {
            "home": str(self._home.directory),
            "host": self._settings.host if is_open(role.roles) else LOOPBACK,
            **self._upstreams(role),
            **self._trusted(role),
        }
        return Command(run, Path.cwd(), {f"{PREFIX}{name.upper()}": _plain(value) for name, value in values.items()})

    def _payment_provider(self) -> Command:
        ledger = str(self._home.directory / "payments" / "ledger.jsonl")
        port, webhooks = str(self._role_ports[PAYMENT_PROVIDER]), f"{self._stack.url}/api/v1/payments/webhooks"
        run = ("payment-provider", "--port", port, "--ledger", ledger, "--webhooks", webhooks)
        values = _of_payments(self._stack) | {"home": str(self._home.directory)}
        return Command(run, Path.cwd(), {f"{PREFIX}{name.upper()}": _plain(value) for name, value in values.items()})

    def _upstreams(self, role: RoleProcess) -> dict[str, str]:
        """Return where a process of the public address finds the sockets that are at processes of their own."""
        others = [each for each in self._roles if SOCKETS in each.roles]
        if "web" not in role.roles or SOCKETS in role.roles or "realtime" in self._settings.upstreams:
            return {}
        urls = (f"http://{reached(each.roles, self._settings.host)}:{self._role_ports[each.name]}" for each in others)
        return {"upstream_realtime": ",".join(urls)}

    def _trusted(self, role: RoleProcess) -> dict[str, str]:
        """Return whom a process behind the public address believes: it is reached from this machine's own address."""
        host = reached(role.roles, self._settings.host)
        if SOCKETS not in role.roles or host == LOOPBACK:
            return {}
        own = {str(address[4][0]) for address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        return {"trusted_proxies": ",".join([*listed(self._settings.trusted_proxies), *sorted(own)])}

    def _await_roles(self) -> None:
        waiting = {role.name: role for role in self._roles}
        end = time.monotonic() + READY_S
        while waiting:
            for name in [name for name, role in waiting.items() if self._is_ready(role)]:
                del waiting[name]
            if waiting and self._stopping.wait(POLL_S):
                raise Interrupted
            for child in (self._children[name] for name in waiting):
                if not child.is_alive:
                    raise child.died()
                if time.monotonic() > end:
                    raise child.late(READY_S)

    def _is_ready(self, role: RoleProcess) -> bool:
        return answers(reached(role.roles, self._settings.host), self._role_ports[role.name])

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_S):
            if self._reload and _newest_source() > self._loaded:
                self._restart_roles()
            for news in self._tend():
                self._say(news)
                self._write(replace(self._stack, processes=self._processes()))

    def _restart_roles(self) -> None:
        self._say("the code has changed: starting the roles again")
        with ThreadPoolExecutor() as pool:
            list(pool.map(Child.stop, self._children.values()))
        self._nursery.stop()
        self._read_code()
        try:
            for child in self._children.values():
                child.start()
        except StackError as error:  # a mistake in the code, which the next change may mend
            self._say(str(error))
        self._write(replace(self._stack, processes=self._processes()))

    def _tend(self) -> Iterator[str]:
        if self._servers:
            yield from self._servers.tend()
        for child in self._children.values():
            if news := child.tend():
                yield news

    def _stop(self) -> None:
        public = {role.name for role in self._roles if "web" in role.roles}
        inner = [child for name, child in self._children.items() if name not in public]
        for children in (inner, [self._children[name] for name in public if name in self._children]):
            with ThreadPoolExecutor() as pool:
                list(pool.map(Child.stop, children))
        self._nursery.stop()
        if self._servers:
            self._servers.stop()

    def _write(self, stack: Stack) -> None:
        self._stack = stack
        self._home.write(stack)

    def _processes(self) -> tuple[Process, ...]:
        servers = self._servers.children if self._servers else {}
        roles = {role.name: role.roles for role in self._roles}
        return tuple(
            Process(
                name=name,
                pid=child.pid,
                started=started(child.pid) or "",
                roles=roles.get(name, ()),
                port=self._role_ports.get(name),
            )
            for name, child in (servers | self._children).items()
            if child.pid
        )


def answers(host: str, port: int) -> bool:
    """Return within seconds whether the role process at that address says it is ready."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", READY_PATH)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reached(roles: Sequence[str], host: str) -> str:
    """Return the address at which this machine reaches a process of these roles when the public one is `host`."""
    return LOOPBACK if host in ("0.0.0.0", "::") or not is_open(roles) else host  # noqa: S104


def _newest_source() -> float:
    """Return when any of our modules was last written, as seconds since the epoch."""
    sources = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return max(path.stat().st_mtime for path in sources)


def _nursery(connection: int) -> Command:
    return Command((*PROGRAM, "nursery", str(connection)), Path.cwd(), handed=(connection,))


def _fulfil(done: "Future[None]", prepare: Prepare, settings: Settings) -> None:
    try:
        prepare(settings)
        done.set_result(None)
    except (StackError, SettingsError, SchemaRejected) as error:
        done.set_exception(error)
    except HeadwaterError as error:
        done.set_exception(StackError(str(error)))
    except Exception as error:  # whatever the caller's code raises has to stop what was started
        done.set_exception(StackError(f"preparing the servers failed: {error!r}", traceback.format_exc()))


def _local(port: int, name: str) -> int:
    return choose(port, f"the local {name}", f"{PREFIX}LOCAL_{name.upper()}_PORT")


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
