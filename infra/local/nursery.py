"""Role processes as forks of one process that has imported their code (docs/adr/0027): a fifth of the time, shared memory.

Two ends of one connection. `Nursery` belongs to whoever wants processes; `forks` is what the process they come from does.
Between them: `Ready` once, then for each `Command` a `Born`, and an `Ended` when that process is no more.
"""

import gc
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path

import msgspec
from setproctitle import setproctitle

from infra.local import private
from infra.local.errors import StackError
from infra.local.processes import Child, Command, die_with, rotate, wait_until

READY_S = 90.0  # the code of every role is read from a cold disk
ANSWER_S = 10.0
NAME = "nursery"


class _Ready(msgspec.Struct, tag=True, frozen=True):
    pass


class _Birth(msgspec.Struct, frozen=True):
    """What to become. `environment` is added to the nursery's own."""

    arguments: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    log: str


class _Born(msgspec.Struct, tag=True, frozen=True):
    pid: int


class _Ended(msgspec.Struct, tag=True, frozen=True):
    pid: int
    code: int  # as `subprocess` has it: a signal's number is negative


_news = msgspec.msgpack.Decoder(_Ready | _Born | _Ended)
_births = msgspec.msgpack.Decoder(_Birth)


class Fork:
    """A process that the nursery has forked, with as much of `subprocess.Popen` as `Child` needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._is_over = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        if not self._is_over.wait(timeout):
            raise subprocess.TimeoutExpired(NAME, timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def ended(self, code: int) -> None:
        self.returncode = code
        self._is_over.set()


class Nursery:
    """Our end. `start` is for one thread at a time; the process dies with us, and its forks die with it."""

    def __init__(self, command: Callable[[int], Command], log: Path) -> None:
        """`command` gets the file descriptor of the nursery's end and has to lead to `forks`."""
        self._make_command = command
        self._child = Child(NAME, self._command, log)
        self._theirs = -1
        self._connection: Connection | None = None
        self._born: queue.SimpleQueue[Fork | None] = queue.SimpleQueue()
        self._is_ready = threading.Event()

    def begin(self) -> None:
        """Start reading the code, unless that was done, and return at once. Raise `StackError` if that fails."""
        self._begun()

    def wait(self, stopping: threading.Event) -> None:
        """Return when it can fork. Raise `StackError` if it never will, `Interrupted` on a stop."""
        wait_until(self._is_ready.is_set, self._child, READY_S, stopping)

    def start(self, command: Command, log: Path) -> Fork:
        """Have a process do what `forks` returns `command.arguments` for. Raise `StackError` if that fails."""
        connection = self._begun()
        self.wait(threading.Event())
        birth = _Birth(command.arguments, str(command.directory), command.environment, str(log.absolute()))
        rotate(log)
        try:
            connection.send_bytes(msgspec.msgpack.encode(birth))
            fork = self._born.get(timeout=ANSWER_S)
        except (OSError, queue.Empty):
            fork = None
        if not fork:
            raise StackError(f"the {NAME} starts nothing; its log: {self._child.log}")
        return fork

    def stop(self) -> None:
        """End it, and with it whatever it has forked. May be repeated."""
        self._child.stop()

    def _begun(self) -> Connection:
        if self._connection and self._child.is_alive:
            return self._connection
        ours, theirs = socket.socketpair()
        with theirs:
            self._theirs = theirs.fileno()
            self._child.start()
        self._is_ready, self._born = threading.Event(), queue.SimpleQueue()
        self._connection = Connection(ours.detach())
        belongings = (self._connection, self._is_ready, self._born)
        threading.Thread(target=_read, args=belongings, name=NAME, daemon=True).start()
        return self._connection

    def _command(self) -> Command:
        return self._make_command(self._theirs)


def _read(connection: Connection, is_ready: threading.Event, born: "queue.SimpleQueue[Fork | None]") -> None:
    forks: dict[int, Fork] = {}
    try:
        while True:
            match _news.decode(connection.recv_bytes()):
                case _Ready():
                    is_ready.set()
                case _Born(pid):
                    forks[pid] = Fork(pid)
                    born.put(forks[pid])
                case _Ended(pid, code) if pid in forks:
                    forks.pop(pid).ended(code)
                case _Ended():  # it could not become what was asked
                    born.put(None)
    except (EOFError, OSError):
        born.put(None)
        for fork in forks.values():  # the kernel has ended them with it
            fork.ended(-signal.SIGKILL)
    finally:
        connection.close()


def forks(connection: int) -> tuple[str, ...]:
    """Serve whoever has the connection's other end. Return in each fork, and there only, what it was asked to do.

    The process itself ends when the other end is closed. It must not have threads."""
    gc.collect()
    gc.freeze()  # the collector of a fork would copy every page it looks at
    nursery = os.getpid()
    deaths, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # the number is written to the pipe
    asked, died = Connection(connection), Connection(deaths, writable=False)
    _tell(asked, _Ready())
    while True:
        for each in wait([asked, died]):
            if each is died:
                os.read(deaths, 4096)
                _tell_deaths(asked)
                continue
            try:
                birth = _births.decode(asked.recv_bytes())
            except EOFError:
                sys.exit()
            if not os.fork():
                _become(birth, nursery)
                _tell(asked, _Born(os.getpid()))  # not before it has a session, by which it can be killed
                asked.close()
                died.close()
                os.close(wakeup)
                return birth.arguments


def _tell(to: Connection, news: _Ready | _Born | _Ended) -> None:
    to.send_bytes(msgspec.msgpack.encode(news))


def _tell_deaths(to: Connection) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell(to, _Ended(pid, os.waitstatus_to_exitcode(status)))


def _become(birth: _Birth, nursery: int) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    die_with(nursery)()
    os.umask(0o077)
    os.chdir(birth.directory)
    os.environ.update(birth.environment)
    with open(birth.log, "ab", opener=private.opener) as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    setproctitle(" ".join(("headwater", *birth.arguments)))
