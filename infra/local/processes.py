"""Run child processes that never outlive us, each with its own log file."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from infra.local import private
from infra.local.errors import StackError

LOG_LIMIT = 10_000_000  # bytes; a longer log is set aside when its process starts
POLL_S = 0.05
STEADY_S = 30.0  # a child that lived this long starts again at once
LONGEST_PAUSE_S = 15.0  # shorter than a steady life, or every pause would end the counting
TAIL = 15  # lines of a log that are shown when its process died
PR_SET_PDEATHSIG = 1  # prctl(2)

# The death signal is tied to the thread that forked (prctl(2)), so one thread that lives as long as we do forks all.
_forks = ThreadPoolExecutor(1, "forks")
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Interrupted(Exception):
    """Someone asked to stop while something was still being waited for."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute. `environment` is added to our own; `user` is a system account, only for root to choose."""

    arguments: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    handed: tuple[int, ...] = ()  # file descriptors
    stop_signal: signal.Signals = signal.SIGTERM


class Running(Protocol):
    """What `Child` needs of a process: a part of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...


def execute(command: Command, log: Path) -> Running:
    """Start a process of its own. Raise `StackError` if that fails."""
    return _forks.submit(_start, command, log).result()


class Child:
    """One process that can be started, stopped and started again, its output appended to `log`."""

    def __init__(
        self,
        name: str,
        command: Callable[[], Command],
        log: Path,
        patience_s: float = 10.0,
        start: Callable[[Command, Path], Running] = execute,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._patience_s = patience_s
        self._start = start
        self._process: Running | None = None
        self._stop_signal = signal.SIGTERM
        self._started_at = 0.0
        self._deaths = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process unless it runs, by a command asked for anew. Raise `StackError` if that fails."""
        if not self.is_alive:
            command = self._command()
            self._process = self._start(command, self.log)
            self._stop_signal = command.stop_signal
            self._started_at = time.monotonic()

    def stop(self) -> None:
        """Ask the process to stop, wait, and end its whole group after `patience_s` seconds. May be repeated."""
        if not self._process or not self.is_alive:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process and its group at once, as `kill -9` does. May be repeated."""
        if self._process and self.is_alive:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def tend(self) -> str | None:
        """Start the process again if it died and its pause is over. Return a line for the log, or None."""
        if not self._process or self.is_alive:
            return None
        now = time.monotonic()
        if now - self._started_at > STEADY_S:
            self._deaths = 0
        if now < self._started_at + self.pause_s():
            return None
        ended = f"{self.name} ended ({ending(self._process.returncode)})"
        self._deaths += 1
        self._started_at = now
        try:
            self.start()
        except StackError as error:
            return f"{ended} and does not start again: {error}"
        return f"{ended} and was started again; log: {self.log}"

    def pause_s(self) -> float:
        """Return how many seconds lie between the last start and the next, doubling with every death."""
        return 0.0 if not self._deaths else min(LONGEST_PAUSE_S, 0.25 * 2.0**self._deaths)

    def died(self) -> StackError:
        """Return the error that tells how the process ended before it was ready."""
        code = self._process.returncode if self._process else None
        return StackError(f"{self.name} stopped at once ({ending(code)}); its log: {self.log}", last_lines(self.log))

    def late(self, limit_s: float) -> StackError:
        """Return the error that tells that the process runs but is not ready."""
        return StackError(f"{self.name} is not ready after {limit_s:.0f} s; its log: {self.log}", last_lines(self.log))


def wait_until(ready: Callable[[], bool], child: Child, limit_s: float, stopping: threading.Event) -> None:
    """Return once `ready` says so. Raise `StackError` if the child dies or the limit passes, `Interrupted` on a stop."""
    end = time.monotonic() + limit_s
    while not ready():
        if stopping.wait(POLL_S):
            raise Interrupted
        if not child.is_alive:
            raise child.died()
        if time.monotonic() > end:
            raise StackError(
                f"{child.name} is not ready after {limit_s:.0f} s; its log: {child.log}", last_lines(child.log)
            )


def last_lines(log: Path) -> str:
    """Return the end of a log, empty when there is none."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:])
    except OSError:
        return ""


def ending(code: int | None) -> str:
    """Return an exit status in words."""
    if code is None:
        return "not started"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def run(command: Command, log: Path, given: str = "") -> None:
    """Run a command to its end with `given` on its input. Raise `StackError` with its last lines if it fails."""
    try:
        process = _forks.submit(_start, command, log, subprocess.PIPE).result()
        process.communicate(given.encode(), timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
    if process.wait():
        name = Path(command.arguments[0]).name
        raise StackError(f"{name} failed ({ending(process.returncode)}); its log: {log}", last_lines(log))


def _start(command: Command, log: Path, given: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    rotate(log)
    with open(log, "ab", opener=private.opener) as output:
        try:
            return subprocess.Popen(
                command.arguments,
                cwd=command.directory,
                env={**os.environ, **command.environment},
                stdin=given,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,  # data and logs are for this account only
                preexec_fn=die_with(os.getpid()),
                pass_fds=command.handed,
                user=command.user,
                group=command.user,
                extra_groups=[] if command.user else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise StackError(f"cannot start {command.arguments[0]}: {error}") from error


def die_with(parent: int) -> Callable[[], None]:
    """Return what a child calls in order to end with its parent, which it may have lost already."""

    def prepare() -> None:
        # Runs after the change of user, which would clear the signal again.
        if _libc:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def rotate(log: Path) -> None:
    """Set the log aside if it is long; make its directory."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_name(f"{log.name}.1"))
