"""Look at this machine before `headwater up` does and say what would go wrong."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from infra.local import account, artifacts, java, postgres
from infra.local.artifacts import Part
from infra.local.errors import StackError
from infra.local.ports import LOOPBACK, holder_of, is_free
from infra.local.state import ANOTHER_HOME, Home

OLDEST_PYTHON = (3, 11)
LEAST_FREE = 2_000_000_000  # bytes: downloads packed and unpacked, and room for the first data


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. Only what is not `ok` keeps `up` from working."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A port that will be bound, and the setting that chooses another; 0 is always free."""

    number: int
    what: str
    variable: str
    host: str = LOOPBACK


def examine(home: Home, ports: Sequence[WantedPort], parts: Sequence[Part], needs_database: bool) -> Iterator[Check]:
    """Yield one check after the other, changing nothing but the download cache. Never raises `StackError`."""
    is_up = home.is_locked()
    yield _python()
    yield Check("running", not is_up, _already_up(home) if is_up else "no other `headwater up` in this directory")
    yield _stale(home)
    yield (writable := _writable(home.directory))
    if writable.ok:
        yield _space(home.directory)
    for port in ports:
        yield _port(port, is_up)
    if both := clash(ports):
        yield Check("ports", False, both)
    if parts:
        yield asked("Java", _java)
        yield asked("downloads", lambda: _downloads(parts))
    if needs_database:
        yield asked("PostgreSQL", _postgres)


def clash(ports: Sequence[WantedPort]) -> str | None:
    """Return what to do about two settings that ask for the same port, None if there are none."""
    for one, other in combinations(ports, 2):
        if one.number == other.number != 0:
            return f"{one.variable} and {other.variable} both ask for port {one.number}: change one of them (0 = any)"
    return None


def asked(name: str, question: Callable[[], str]) -> Check:
    """Return the check that the question answers, whose `StackError` says what would go wrong."""
    try:
        return Check(name, True, question())
    except StackError as error:
        return Check(name, False, str(error))


def _python() -> Check:
    text = ".".join(map(str, sys.version_info[:3]))
    return Check("Python", sys.version_info >= OLDEST_PYTHON, f"{text}, 3.11 or newer is needed")


def _already_up(home: Home) -> str:
    return f"already up in {home.directory}: `headwater down` stops it"


def _stale(home: Home) -> Check:
    try:
        stack = home.read()
    except StackError as error:
        return Check("state", False, str(error))
    if stack and stack.supervisor and not stack.is_up:
        return Check("state", True, f"the last supervisor (pid {stack.supervisor.pid}) was killed; `up` cleans up")
    return Check("state", True, "up" if stack and stack.is_up else "nothing left behind")


def _writable(directory: Path) -> Check:
    existing = _existing(directory)
    try:
        with tempfile.TemporaryDirectory(dir=existing):  # rights alone do not tell: root has them all, also in /proc
            return Check("home", True, str(directory))
    except OSError as error:
        return Check("home", False, f"cannot write {existing} ({error.strerror}): {ANOTHER_HOME}")


def _space(directory: Path) -> Check:
    places = {_existing(directory), _existing(artifacts.cache())}
    free = min(shutil.disk_usage(place).free for place in places)
    text = f"{free / 1e9:.1f} GB free, {LEAST_FREE / 1e9:.0f} GB are needed"
    return Check("disk", free >= LEAST_FREE, text)


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _port(port: WantedPort, is_up: bool) -> Check:
    if port.number == 0:
        return Check("any free port", True, f"{port.what}: chosen at the start")
    name = f"port {port.number}"
    if is_up:
        return Check(name, True, f"{port.what}: held by the running stack")
    try:
        if is_free(port.number, port.host):
            return Check(name, True, f"{port.what}: free")
    except StackError as error:
        return Check(name, False, str(error))
    holder = holder_of(port.number) or "another process"
    return Check(name, False, f"{port.what}: taken by {holder}; stop it or set {port.variable}")


def _java() -> str:
    found = java.find()
    return f"{found.version} ({found.source})"


def _downloads(parts: Sequence[Part]) -> str:
    missing = artifacts.missing_from([artifact for part in parts for artifact in artifacts.locked(part)])
    if not missing:
        return f"all there and intact in {artifacts.cache()}"
    artifacts.fetch_only([min(missing, key=lambda artifact: artifact.size)])
    size = sum(artifact.size for artifact in missing) / 1e6
    return f"{len(missing)} files ({size:.0f} MB) to fetch, and the network answers"


def _postgres() -> str:
    if os.geteuid() == 0 and not account.can_be_made():
        raise StackError(f"PostgreSQL does not run as root and there is no useradd to make {account.ACCOUNT}")
    directory = postgres.installed()
    try:
        answer = subprocess.run((directory / "postgres", "--version"), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StackError(
            f"{directory / 'postgres'} cannot be executed ({error}): install headwater[local] again"
        ) from None
    return answer.stdout.strip() + (f", run as {account.ACCOUNT}" if os.geteuid() == 0 else "")
