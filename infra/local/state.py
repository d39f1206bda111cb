"""The home directory of a local stack: who is in charge, where the servers are, and the secrets made for them."""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from infra.local.errors import StackError
from infra.webhooks import shown

OWN = ("kafka", "postgres", "registry", "history", "payments", "logs", "stack.json")  # what `empty` may delete
PRIVATE = 0o700
ANOTHER_HOME = "set HEADWATER_HOME to a directory that you may write"
LEFTOVERS_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A running process. `started` tells it from a later one with the same id."""

    name: str
    pid: int
    started: str
    roles: tuple[str, ...] = ()
    port: int | None = None

    @property
    def is_running(self) -> bool:
        return started(self.pid) == self.started


def _secret() -> str:
    return secrets.token_urlsafe(48)


def _webhook_secret() -> str:
    return shown(secrets.token_bytes(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What `stack.json` says. Secrets are made once and kept; the rest is true while the supervisor runs."""

    secret_key: str = field(default_factory=_secret, repr=False)
    jwt_hs256_secret: str = field(default_factory=_secret, repr=False)
    database_password: str = field(default_factory=_secret, repr=False)
    registry_password: str = field(default_factory=_secret, repr=False)
    payment_provider_key: str = field(default_factory=_secret, repr=False)
    payment_webhook_secret: str = field(default_factory=_webhook_secret, repr=False)
    supervisor: Process | None = None
    is_ready: bool = False
    url: str | None = None
    kafka_bootstrap_servers: str | None = None
    database_url: str | None = field(default=None, repr=False)
    schema_registry_url: str | None = None
    payment_provider_url: str | None = None
    processes: tuple[Process, ...] = ()

    @property
    def is_up(self) -> bool:
        return self.supervisor is not None and self.supervisor.is_running

    def stopped(self) -> "Stack":
        """Return what is left when nothing runs any more: the secrets."""
        return Stack(
            secret_key=self.secret_key,
            jwt_hs256_secret=self.jwt_hs256_secret,
            database_password=self.database_password,
            registry_password=self.registry_password,
            payment_provider_key=self.payment_provider_key,
            payment_webhook_secret=self.payment_webhook_secret,
        )


class Home:
    """The directory itself. Nothing is written before `locked`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self._state = self.directory / "stack.json"
        self._lock = self.directory / "lock"

    def log(self, name: str) -> Path:
        """Return where the process of that name writes."""
        return self.directory / "logs" / f"{name}.log"

    def read(self) -> Stack | None:
        """Return what was written last, None before the first start. Raise `StackError` if it cannot be read."""
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=Stack)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise StackError(f"{self._state} cannot be read ({error}): repair it or run `headwater reset`") from None

    def write(self, stack: Stack) -> None:
        """Replace the state in one step, readable by its owner only. Call it under `locked`."""
        fresh = self._state.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(stack)) + b"\n")
        fresh.replace(self._state)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one in charge of the directory, making it when missing. Raise `StackError`.

        What was made for this is removed again if nothing was written there.
        """
        with self.made(), self._lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(self._already_up()) from None
            yield

    @contextmanager
    def made(self) -> Iterator[None]:
        """Do what `make` does, and take it back if nothing was written there in between."""
        had_directory, had_lock = self.directory.exists(), self._lock.exists()
        self.make()
        try:
            yield
        finally:
            if not had_lock:
                self._remove_if_unused(had_directory)

    def make(self) -> None:
        """Make the directory and the one for logs, closed to other accounts, and prove that they can be written.

        A directory that was there keeps its mode, since it may be anyone's; what is ours in it is closed. Raise `StackError`.
        """
        # Root's PostgreSQL runs under an account that has to pass through.
        passable = 0o711 if os.geteuid() == 0 else PRIVATE
        try:
            self.directory.mkdir(passable, parents=True, exist_ok=True)
            (self.directory / "logs").mkdir(PRIVATE, exist_ok=True)
            for path in (self.directory / name for name in OWN):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(PRIVATE)
            self._lock.touch(0o600)
        except OSError as error:
            raise StackError(f"cannot write {self.directory} ({error.strerror}): {ANOTHER_HOME}") from None

    def is_locked(self) -> bool:
        """Return whether a supervisor is in charge right now."""
        try:
            with self._lock.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def end_leftovers(self, stack: Stack) -> list[str]:
        """Kill what a supervisor that was killed has left behind. Return the names; call it under `locked`."""
        left = [process for process in stack.processes if process.is_running]
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        end = time.monotonic() + LEFTOVERS_S
        while any(process.is_running for process in left) and time.monotonic() < end:
            time.sleep(0.02)
        return [process.name for process in left]

    def empty(self) -> None:
        """Delete all data, logs and secrets, but nothing else that lies there. Call it under `locked`."""
        for path in (self.directory / name for name in OWN):
            if path.is_symlink():  # PostgreSQL's data may be elsewhere, see `account.give`
                shutil.rmtree(path.resolve(), ignore_errors=True)
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _remove_if_unused(self, keep_directory: bool) -> None:
        logs = self.directory / "logs"
        with suppress(OSError):  # whatever is not empty stays
            if logs.exists():
                logs.rmdir()
            if list(self.directory.iterdir()) == [self._lock]:
                self._lock.unlink()
                if not keep_directory:
                    self.directory.rmdir()

    def _already_up(self) -> str:
        stack = self.read()
        pid = f" (pid {stack.supervisor.pid})" if stack and stack.supervisor else ""
        return f"already up in {self.directory}{pid}: `headwater status` shows it, `headwater down` stops it"


def this_process(name: str) -> Process:
    """Return the entry of the calling process."""
    return Process(name=name, pid=os.getpid(), started=started(os.getpid()) or "")


def started(pid: int) -> str | None:
    """Return a mark of when the process started that no other process with this id has, None if it does not run."""
    if not Path("/proc/self/stat").exists():
        return _started_by_ps(pid)
    try:
        # The name in parentheses may hold anything, so count from its end: state is field 3, start time field 22.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _started_by_ps(pid: int) -> str | None:
    answer = subprocess.run(("ps", "-o", "lstart=", "-p", str(pid)), capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
