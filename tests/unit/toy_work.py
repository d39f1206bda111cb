"""What workers do in test_worker_pool.py: as the task says."""

import os
import resource
import signal
import tempfile
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import msgspec

from infra.worker_forks import AUTOGROUP
from infra.worker_frames import Source

PIECE = 100_000


def work(task: bytes, source: Source) -> Generator[bytes, None, bytes]:
    return DEEDS[task.decode()](source)


def echo(source: Source) -> Generator[bytes, None, bytes]:
    size = 0
    while piece := source.read(PIECE):
        size += len(piece)
        yield piece
    return b"%d" % size


def ignore(_: Source) -> Generator[bytes, None, bytes]:
    yield b"without reading"
    return b"done"


def hang(_: Source) -> Generator[bytes, None, bytes]:
    yield b"x" * PIECE
    time.sleep(600)
    return b""


def spin(_: Source) -> Generator[bytes, None, bytes]:
    yield b"x" * PIECE
    while True:
        pass


def kill_itself(source: Source) -> Generator[bytes, None, bytes]:
    source.read(1)
    yield b"x" * PIECE
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def leave(_: Source) -> Generator[bytes, None, bytes]:
    yield b""
    os._exit(3)


def raise_(source: Source) -> Generator[bytes, None, bytes]:
    yield b""
    raise ValueError(source.read(PIECE))


def eat(_: Source) -> Generator[bytes, None, bytes]:
    yield b""
    eaten = []
    while True:
        eaten.append(bytearray(10_000_000))


def flood(_: Source) -> Generator[bytes, None, bytes]:
    while True:
        yield bytes(PIECE)


def fill_the_disk(_: Source) -> Generator[bytes, None, bytes]:
    yield b""
    with tempfile.TemporaryFile() as file:
        while True:
            file.write(bytes(PIECE))


def tell(_: Source) -> Generator[bytes, None, bytes]:
    """Return what the worker is and has."""
    yield b""
    descriptors = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            descriptors.append(str(each.readlink()).partition(":")[0])
    told = {
        "pid": os.getpid(),
        "environment": sorted(os.environ),
        "descriptors": sorted(descriptors),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "directory": str(Path.cwd()),
        "spool": tempfile.gettempdir(),
        "nice": os.nice(0),
        "policy": os.sched_getscheduler(0),
        "group": AUTOGROUP.read_text().split()[-1] if AUTOGROUP.exists() else None,
    }
    return msgspec.msgpack.encode(told)


DEEDS = {
    each.__name__.strip("_"): each
    for each in (echo, ignore, hang, spin, kill_itself, leave, raise_, eat, flood, fill_the_disk, tell)
}
