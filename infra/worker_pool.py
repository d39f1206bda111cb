"""Work that this process must not do itself, because its input may be hostile: each task in a process of its own (docs/adr/0048).

The pool knows bytes and limits, nothing of what is done with them. Workers are forked ahead by a process that has read their code
(`worker_forks`), do one task each, and are gone."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import NoReturn

import msgspec
import structlog
from prometheus_client import Counter

from infra.metrics import Sample, SampledGauge, sample
from infra.worker_frames import FAILED, HEADER, LENGTH, LIMIT, PACKET, PIECE, RESULT, TOLD_BYTES, Ended, Fork, Kill
from shared_kernel.errors import Unavailable

RECEIVED = 256 * 1024  # bytes that are asked for at a time
INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")  # of the environment; the rest is full of secrets
END_S = 10.0  # that the forking process may take to end when asked

WORKERS = SampledGauge(
    "headwater_workers",
    "Workers that have a task or wait for one, and tasks that wait for a worker.",
    ("work", "state"),
)
REFUSED = Counter("headwater_workers_refused", "Tasks that no worker was free for in time.", ("work",))
_news = msgspec.msgpack.Decoder(Ended)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """What one task may take."""

    memory_bytes: int = 1 << 30  # beside what every worker has
    file_bytes: int = 4 << 30  # of a file that it writes
    cpu_s: int = 300
    total_s: float = 600.0  # waiting for its input and for whoever takes its output included


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many tasks there are at once; `waiting` more wait `wait_s` for their turn. `spare` workers are forked ahead."""

    at_once: int = 8
    waiting: int = 32
    wait_s: float = 5.0
    spare: int = 2


class LimitPassed(Exception):
    """A task took more than it may of what `limit` names: memory_bytes, file_bytes, cpu_seconds or seconds."""

    def __init__(self, limit: str, allowed: int) -> None:
        super().__init__(limit)
        self.limit, self.allowed = limit, allowed


class WorkerFailed(Exception):
    """The work raised what it should not have; the text says what and where, nothing of the input."""


class _Worker:
    """Our end of one worker."""

    def __init__(self, number: int, connection: socket.socket, kill: Callable[[int], None]) -> None:
        self.number, self.connection, self._kill = number, connection, kill
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def kill(self) -> None:
        """Kill it, if it has not ended. May be repeated."""
        if not self.ended.done():
            self._kill(self.number)


class WorkerPool:
    """`work` is `module:function` of a `worker_frames.Work`. The pool starts with its first task, or with `start`."""

    def __init__(self, work: str, limits: PoolLimits, task: TaskLimits, directory: Path | None = None) -> None:
        """Files that workers spool to have no names, in `directory`."""
        self._work, self.limits, self.task = work, limits, task
        self._directory = directory or Path(gettempdir())
        self._turns = asyncio.Semaphore(limits.at_once)
        self._waiting = 0
        self._forks: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._workers: dict[int, _Worker] = {}  # that live, as far as we know
        self._spare: deque[_Worker] = deque()
        self._number = 0
        self._refused = REFUSED.labels(
            work
        )  # a series from the start: what begins with its first refusal has not risen
        sample(self)

    def samples(self) -> Iterable[Sample]:
        """Yield the pool's figures."""
        yield WORKERS, (self._work, "busy"), self.busy
        yield WORKERS, (self._work, "spare"), len(self._spare)
        yield WORKERS, (self._work, "wanted"), self._waiting

    @property
    def alive(self) -> int:
        """Return how many workers there are, those that wait for a task included."""
        return len(self._workers)

    @property
    def busy(self) -> int:
        """Return how many workers have a task."""
        return len(self._workers) - len(self._spare)

    def start(self) -> None:
        """Have workers forked ahead, so that the first task need not wait. May be repeated. Needs a running loop."""
        if self._control is None:
            self._begin()
        while len(self._spare) < self.limits.spare:
            self._spare.append(self._forked())

    async def close(self) -> None:
        """End every worker, whatever it does. May be repeated."""
        forks = self._forks
        self._lost()
        if forks:
            try:
                await asyncio.to_thread(forks.wait, END_S)
            except subprocess.TimeoutExpired:
                forks.kill()
                await asyncio.to_thread(forks.wait)

    @asynccontextmanager
    async def running(self, task: bytes, source: AsyncIterable[bytes]) -> AsyncIterator["Running"]:
        """Begin a task, in its turn; its worker is killed when the block is left, unless it has ended.

        Raise `Unavailable` for no turn in time."""
        await self._turn()
        try:
            worker = self._lent()
        except BaseException:
            self._turns.release()
            raise
        worker.ended.add_done_callback(lambda _: self._turns.release())  # not before it is gone
        running = Running(worker, task, source, self.task)
        try:
            yield running
        finally:
            await running.stop()

    async def _turn(self) -> None:
        if self._turns.locked() and self._waiting >= self.limits.waiting:
            self._refused.inc()
            raise Unavailable("workers_busy", "too many are waiting already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.limits.wait_s):
                await self._turns.acquire()
        except TimeoutError:
            self._refused.inc()
            raise Unavailable("workers_busy", "no worker was free in time") from None
        finally:
            self._waiting -= 1

    def _lent(self) -> _Worker:
        self.start()
        worker = self._spare.popleft() if self._spare else self._forked()
        self.start()  # in time for the next
        return worker

    def _begin(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with theirs:
            self._forks = subprocess.Popen(
                [sys.executable, "-m", "infra.worker_forks", self._work, str(theirs.fileno())],
                env={**environment, "TMPDIR": str(self._directory)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a terminal's Ctrl-C is for us
                umask=0o077,
            )
        ours.setblocking(False)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._hear)

    def _forked(self) -> _Worker:
        assert self._control  # noqa: S101 – `start` has seen to it
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._number += 1
        worker = _Worker(self._number, ours, self._kill)
        limits = self.task
        fork = Fork(worker.number, limits.memory_bytes, limits.cpu_s, limits.file_bytes)
        self._workers[worker.number] = worker
        try:
            with theirs:
                socket.send_fds(self._control, [msgspec.msgpack.encode(fork)], [theirs.fileno()])
        except OSError:
            self._lost()
            raise worker_died(0) from None
        return worker

    def _kill(self, number: int) -> None:
        if self._control:
            try:
                self._control.send(msgspec.msgpack.encode(Kill(number)))
            except OSError:
                self._lost()

    def _hear(self) -> None:
        try:
            packet = self._control.recv(PACKET) if self._control else b""
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            log.warning("workers.lost", work=self._work)
            if self._forks:  # it ends, or has just ended: nobody else asks for its status
                asyncio.get_running_loop().run_in_executor(None, self._forks.wait)
            self._lost()
            return
        news = _news.decode(packet)
        worker = self._workers.pop(news.worker)
        worker.ended.set_result(news.code)
        if worker in self._spare:
            self._spare.remove(worker)
            worker.connection.close()

    def _lost(self) -> None:
        """Forget the forking process, with which its workers have died or will; the next task begins another."""
        if self._control:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
        if self._forks:
            self._forks.poll()
        for worker in self._spare:
            worker.connection.close()
        for worker in self._workers.values():
            worker.ended.set_result(-signal.SIGKILL)
        self._control = None
        self._workers, self._spare = {}, deque()


class Running:
    """A task that has begun."""

    def __init__(self, worker: _Worker, task: bytes, source: AsyncIterable[bytes], limits: TaskLimits) -> None:
        self._worker, self._task, self._source, self._limits = worker, task, source, limits
        self._feeder: asyncio.Task[None] | None = None
        self._is_late = False
        self._result: bytes | None = None
        self.read_bytes = 0  # of the input that the worker was given

    @property
    def result(self) -> bytes:
        """Return what the task came to. Known once the pieces have ended."""
        if self._result is None:
            raise RuntimeError("the task has not ended")
        return self._result

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the output while the worker is given the input; who takes it slowly slows both down. Once.

        Raise what the source raises, `LimitPassed`, `WorkerFailed`; `Unavailable` when the worker died."""
        self._feeder = asyncio.create_task(self._feed())
        # A source that fails ends the task, and with it the wait for output.
        self._feeder.add_done_callback(self._fed)
        timer = asyncio.get_running_loop().call_later(self._limits.total_s, self._be_late)
        try:
            async for piece in self._output():
                yield piece
        finally:
            timer.cancel()

    async def stop(self) -> None:
        """Kill the worker, if it has not ended, and give it no more input. May be repeated."""
        self.kill()
        try:
            if self._feeder and not self._feeder.done():
                self._feeder.cancel()
                await asyncio.wait([self._feeder])
        finally:
            self._worker.connection.close()

    def kill(self) -> None:
        self._worker.kill()

    def _fed(self, feeder: "asyncio.Task[None]") -> None:
        if not feeder.cancelled() and feeder.exception():
            self.kill()

    def _be_late(self) -> None:
        self._is_late = True
        self.kill()

    async def _feed(self) -> None:
        send, connection = asyncio.get_running_loop().sock_sendall, self._worker.connection
        try:
            await send(connection, LENGTH.pack(len(self._task)) + self._task)
            async for piece in self._source:
                await send(connection, piece)
                self.read_bytes += len(piece)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has ended without the rest, and says why, or dies of it

    async def _output(self) -> AsyncIterator[bytes]:
        """Yield pieces as they come in, whatever the frames' borders; believe no length."""
        receive, connection = asyncio.get_running_loop().sock_recv, self._worker.connection
        buffer = b""
        while True:
            while len(buffer) < HEADER.size:
                buffer += await self._more(receive(connection, RECEIVED))
            kind, rest = HEADER.unpack_from(buffer)
            buffer = buffer[HEADER.size :]
            if kind != PIECE:
                await self._end(kind, rest, buffer)
                return
            while rest:
                if not buffer:
                    buffer = await self._more(receive(connection, RECEIVED))
                piece, buffer = buffer[:rest], buffer[rest:]
                rest -= len(piece)
                yield piece

    async def _more(self, receiving: Awaitable[bytes]) -> bytes:
        try:
            found = await receiving
        except ConnectionResetError:  # it died with input that it had not read
            found = b""
        return found or await self._died()

    async def _end(self, kind: int, size: int, content: bytes) -> None:
        if size > TOLD_BYTES:
            raise WorkerFailed("it says more than it may")
        receive, connection = asyncio.get_running_loop().sock_recv, self._worker.connection
        while len(content) < size:
            content += await self._more(receive(connection, RECEIVED))
        if kind == LIMIT and content in (b"memory_bytes", b"file_bytes"):
            limit = content.decode()
            raise LimitPassed(limit, getattr(self._limits, limit))
        if kind == FAILED:
            raise WorkerFailed(content.decode(errors="replace"))
        if kind != RESULT:
            raise WorkerFailed("it says what nobody understands")
        self._result = content

    async def _died(self) -> NoReturn:
        """Raise why the worker is no more."""
        if (
            self._feeder
            and self._feeder.done()
            and not self._feeder.cancelled()
            and (error := self._feeder.exception())
        ):
            raise error
        code = await asyncio.shield(self._worker.ended)
        if self._is_late:
            raise LimitPassed("seconds", int(self._limits.total_s))
        if code == -signal.SIGXCPU:
            raise LimitPassed("cpu_seconds", self._limits.cpu_s)
        raise worker_died(code)


def worker_died(code: int) -> Unavailable:
    """Return what is said of a worker that has ended unasked, with an exit code as `subprocess` has it."""
    return Unavailable("worker_died", f"the worker ended with {code}; nothing else came to harm")
