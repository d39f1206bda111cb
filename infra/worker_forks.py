"""The process that workers are forked from: it has read their code, holds no secret and does nothing else (docs/adr/0048).

Run as `python -m infra.worker_forks MODULE:WORK DESCRIPTOR`; it ends, and its workers with it, when the descriptor's other end is
closed."""

import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import socket
import sys
import traceback
from errno import EFBIG
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import msgspec
from setproctitle import setproctitle

from infra.worker_frames import (
    FAILED,
    HEADER,
    LENGTH,
    LIMIT,
    PACKET,
    PIECE,
    PIECE_BYTES,
    RESULT,
    Ended,
    Fork,
    Kill,
    Work,
)

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # prctl(2)
NICENESS = 10  # those who answer people come first
# Where the kernel gives each session its share (sched(7), autogroup), niceness counts within one only, and ours is a session of
# its own: then all workers together have a third of what another session has.
AUTOGROUP, GROUP_NICENESS = Path("/proc/self/autogroup"), 5
GRACE_S = 5  # of processor time between the signal and the end
FILES = 64  # descriptors of a worker
INNERMOST = 8  # lines of code that an unexpected error is told with

_asked = msgspec.msgpack.Decoder(Fork | Kill)


def main(work: str, descriptor: int) -> None:
    """Fork and kill workers as the other end asks, until it is closed."""
    _die_with(os.getppid())
    with contextlib.suppress(OSError):  # there are no such groups
        AUTOGROUP.write_text(str(GROUP_NICENESS))
    control = socket.socket(fileno=descriptor)
    module, _, name = work.partition(":")
    loaded = import_module(module)
    function: Work = getattr(loaded, name)
    getattr(loaded, "prepare", bool)()  # what every fork would do anew
    setproctitle(f"headwater workers {module}")
    gc.collect()
    gc.freeze()  # the collector of a fork would copy every page it looks at
    deaths, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # the number is written to the pipe
    workers: dict[int, int] = {}  # process → worker
    while True:
        ready, _, _ = select.select([descriptor, deaths], [], [])
        if deaths in ready:
            os.read(deaths, PACKET)
            _bury(control, workers)
        if descriptor in ready:
            _do_as_asked(control, workers, function, (deaths, wakeup))


def _do_as_asked(control: socket.socket, workers: dict[int, int], work: Work, own: tuple[int, int]) -> None:
    packet, descriptors, *_ = socket.recv_fds(control, PACKET, 1)
    if not packet:
        sys.exit()
    match _asked.decode(packet):
        case Fork() as fork:
            parent = os.getpid()
            try:
                process = os.fork()
            except OSError:
                _tell(control, Ended(fork.worker, -1))
            else:
                if not process:
                    for each in (control.detach(), *own):
                        os.close(each)
                    _work(work, fork, socket.socket(fileno=descriptors[0]), parent)
                workers[process] = fork.worker
            os.close(descriptors[0])
        case Kill(worker):
            for process in [process for process, each in workers.items() if each == worker]:
                os.kill(process, signal.SIGKILL)  # not buried yet, so its number is nobody else's


def _bury(control: socket.socket, workers: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(control, Ended(workers.pop(found[0]), os.waitstatus_to_exitcode(found[1])))


def _tell(control: socket.socket, news: Ended) -> None:
    control.send(msgspec.msgpack.encode(news))


def _work(work: Work, fork: Fork, connection: socket.socket, parent: int) -> NoReturn:
    """Do one task, then end. Nothing of a task is left for the next: that one has a worker of its own."""
    code = 1
    try:
        _confine(fork, parent)
        _serve(work, connection)
        code = 0
    finally:
        os._exit(code)  # whatever the forking process would do at its end is not ours


def _confine(fork: Fork, parent: int) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _die_with(parent)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # libraries may quote there what they read
        os.dup2(nothing, standard)
    os.close(nothing)
    os.chdir("/")
    os.nice(NICENESS)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # who wakes interrupts nobody
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, FILES)
    _limit(resource.RLIMIT_FSIZE, fork.file_bytes)
    _limit(resource.RLIMIT_CPU, fork.cpu_s, GRACE_S)  # at the upper limit the kernel kills without saying why
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # where the container forbids it, the kernel chooses by itself
            Path("/proc/self/oom_score_adj").write_text("1000")  # of all processes of the house, first
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + fork.memory_bytes)


def _limit(which: int, to: int, more: int = 0) -> None:
    most = resource.getrlimit(which)[1]
    if most != resource.RLIM_INFINITY:
        to, more = min(to, most), min(more, most - min(to, most))
    resource.setrlimit(which, (to, to + more))


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _Input:
    """What comes behind the task."""

    def __init__(self, connection: socket.socket) -> None:
        self.read = connection.recv


def _serve(work: Work, connection: socket.socket) -> None:
    task = _exactly(connection, LENGTH.unpack(_exactly(connection, LENGTH.size))[0])
    try:
        told = RESULT, _done(work, task, connection)
    except MemoryError:
        told = LIMIT, b"memory_bytes"
    except OSError as error:
        if error.errno != EFBIG:
            raise  # nobody is there any more
        told = LIMIT, b"file_bytes"
    except Exception as error:
        told = FAILED, _described(error)
    kind, content = told
    connection.sendall(HEADER.pack(kind, len(content)) + content)


def _exactly(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        if not (piece := connection.recv(size - len(content))):
            os._exit(0)  # nobody has a task any more
        content += piece
    return content


def _done(work: Work, task: bytes, connection: socket.socket) -> bytes:
    output = work(task, _Input(connection))
    waiting: list[bytes] = []
    size = 0
    while True:
        try:
            piece = next(output)
        except StopIteration as end:
            _send(connection, waiting, size)
            result: bytes = end.value
            return result
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            _send(connection, waiting, size)
            size = 0


def _send(connection: socket.socket, pieces: list[bytes], size: int) -> None:
    if size:
        connection.sendall(b"".join((HEADER.pack(PIECE, size), *pieces)))
    pieces.clear()


def _described(error: Exception) -> bytes:
    """Return the error's type and where it was, without its text, which may quote the input."""
    lines = [f"{Path(each.filename).name}:{each.lineno}" for each in traceback.extract_tb(error.__traceback__)]
    return f"{type(error).__name__} at {' '.join(lines[-INNERMOST:])}".encode()


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):  # nobody asks any more
        main(sys.argv[1], int(sys.argv[2]))
