"""Workers that hang, die, spin and swell harm their own task only, and nothing of them is left."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from infra.worker_forks import AUTOGROUP
from infra.worker_pool import LimitPassed, PoolLimits, Running, TaskLimits, WorkerFailed, WorkerPool
from shared_kernel.errors import Unavailable
from tests.probes import eventually

PIECE = bytes(range(256)) * 1024
TASK = TaskLimits(memory_bytes=200 << 20, file_bytes=1 << 20, cpu_s=60, total_s=120)
POOL = PoolLimits(at_once=2, waiting=4, wait_s=60, spare=1)


@asynccontextmanager
async def a_pool(pool: PoolLimits = POOL, **task: Any) -> AsyncIterator[WorkerPool]:
    workers = WorkerPool("tests.unit.toy_work:work", pool, replace(TASK, **task))
    try:
        yield workers
    finally:
        await workers.close()


@pytest.fixture(scope="module")
async def workers() -> AsyncIterator[WorkerPool]:
    async with a_pool() as workers:
        yield workers


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def much(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


async def done(workers: WorkerPool, task: str, count: int = 0) -> tuple[int, bytes]:
    """Return how many bytes came out, and what the task came to."""
    size = 0
    async with workers.running(task.encode(), much(count)) as running:
        async for piece in running.pieces():
            size += len(piece)
        return size, running.result


async def all_of(running: Running) -> bytes:
    return b"".join([piece async for piece in running.pieces()])


async def told(workers: WorkerPool) -> dict[str, Any]:
    _, result = await done(workers, "tell")
    return dict(msgspec.msgpack.decode(result))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


async def test_much_goes_in_and_out_at_once(workers: WorkerPool) -> None:
    size = 200 * len(PIECE)

    assert await done(workers, "echo", 200) == (size, b"%d" % size)


async def test_what_comes_out_is_what_the_worker_yielded(workers: WorkerPool) -> None:
    async with workers.running(b"echo", much(3)) as running:
        assert await all_of(running) == PIECE * 3
        assert running.read_bytes == len(PIECE) * 3


async def test_a_worker_that_reads_nothing_ends_well_all_the_same(workers: WorkerPool) -> None:
    assert await done(workers, "ignore", 100) == (15, b"done")


async def test_who_takes_no_output_slows_the_input_down(workers: WorkerPool) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += len(PIECE)
            yield PIECE

    async with workers.running(b"echo", endless()) as running:
        pieces = running.pieces()
        await anext(pieces)
        seen = -1

        async def stands_still() -> bool:
            nonlocal seen
            before, seen = seen, given
            return before == seen

        await eventually(stands_still, every=0.3)
        assert given < 4 << 20
        await pieces.aclose()


@pytest.mark.parametrize("task", ["kill_itself", "leave"])
async def test_a_worker_that_dies_fails_its_own_task_only(workers: WorkerPool, task: str) -> None:
    other = asyncio.create_task(done(workers, "echo", 50))

    with pytest.raises(Unavailable, match="worker_died"):
        await done(workers, task, 1)

    assert (await other)[0] == 50 * len(PIECE)
    assert (await done(workers, "echo", 1))[0] == len(PIECE)


@pytest.mark.parametrize(("task", "limit"), [("eat", "memory_bytes"), ("fill_the_disk", "file_bytes")])
async def test_a_worker_that_takes_too_much_is_told_so(workers: WorkerPool, task: str, limit: str) -> None:
    with pytest.raises(LimitPassed) as raised:
        await done(workers, task)

    assert (raised.value.limit, raised.value.allowed) == (limit, getattr(TASK, limit))


async def test_an_unexpected_error_is_told_without_its_text(workers: WorkerPool) -> None:
    with pytest.raises(WorkerFailed, match=r"ValueError at .*toy_work.py:\d+") as raised:
        await done(workers, "raise", 1)

    assert "\\x00" not in str(raised.value)


async def test_a_worker_that_spins_ends_when_its_processor_time_is_used() -> None:
    async with a_pool(cpu_s=1) as workers:
        with pytest.raises(LimitPassed) as raised:
            await done(workers, "spin")

        assert raised.value.limit == "cpu_seconds"


async def test_a_worker_that_hangs_ends_when_its_time_is_over() -> None:
    async with a_pool(total_s=0.2) as workers:
        with pytest.raises(LimitPassed) as raised:
            await done(workers, "hang")

        assert raised.value.limit == "seconds"


async def test_what_the_source_raises_ends_the_task(workers: WorkerPool) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield PIECE
        raise LookupError

    async with workers.running(b"echo", broken()) as running:
        with pytest.raises(LookupError):
            await all_of(running)


@pytest.mark.parametrize("task", ["hang", "spin", "flood", "echo"])
async def test_whoever_leaves_in_the_middle_leaves_nothing_behind(task: str) -> None:
    before = descriptors()
    began = asyncio.Event()

    async def left(workers: WorkerPool) -> None:
        async with workers.running(task.encode(), much(1_000_000)) as running:
            async for _ in running.pieces():
                began.set()

    async with a_pool() as workers:
        leaving = asyncio.create_task(left(workers))
        await began.wait()
        leaving.cancel()
        await asyncio.wait([leaving])

        async def none_busy() -> bool:
            return workers.busy == 0

        await eventually(none_busy)
        assert (await done(workers, "ignore"))[1] == b"done"

    async def none_left() -> bool:
        return descriptors() <= before

    assert leaving.cancelled()
    await eventually(none_left)


async def test_a_worker_has_no_secrets_no_connections_and_no_core(
    workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await told(workers)

    assert set(found["environment"]) <= {"PATH", "PYTHONPATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR"}
    assert found["descriptors"] == ["/dev/null", "/dev/null", "/dev/null", "socket"]
    assert (found["core"], found["directory"]) == ([0, 0], "/")


async def test_workers_come_last_however_the_kernel_shares_the_processors(workers: WorkerPool) -> None:
    found = await told(workers)

    assert (found["nice"], found["policy"]) == (os.nice(0) + 10, os.SCHED_BATCH)
    assert found["group"] == ("5" if AUTOGROUP.exists() else None)


async def test_each_task_has_a_worker_of_its_own(workers: WorkerPool) -> None:
    found = [(await told(workers))["pid"] for _ in range(3)]

    assert len(set(found)) == 3


def refused() -> float:
    return REGISTRY.get_sample_value("headwater_workers_refused_total", {"work": "tests.unit.toy_work:work"}) or 0.0


async def test_more_than_may_wait_are_refused_at_once_and_others_in_time() -> None:
    before = refused()
    async with a_pool(PoolLimits(at_once=1, waiting=1, wait_s=0.2, spare=0)) as workers:
        async with workers.running(b"hang", nothing()) as running:
            await anext(running.pieces())
            answers = await asyncio.gather(*(done(workers, "ignore") for _ in range(2)), return_exceptions=True)

        assert [error.code for error in answers if isinstance(error, Unavailable)] == ["workers_busy"] * 2
        assert refused() - before == 2
        assert (await done(workers, "ignore"))[1] == b"done"


async def test_workers_end_with_the_pool_whatever_they_do() -> None:
    async with a_pool() as workers:
        process = (await told(workers))["pid"]
        async with workers.running(b"spin", nothing()) as running:
            await anext(running.pieces())
            await workers.close()
            with pytest.raises(Unavailable):
                await all_of(running)

    async def gone() -> bool:
        return not is_alive(process) and workers.alive == 0

    await eventually(gone)


async def test_a_pool_whose_forking_process_was_killed_begins_again() -> None:
    async with a_pool() as workers:
        assert (await done(workers, "ignore"))[1] == b"done"
        forks = workers._forks
        assert forks
        forks.kill()
        await asyncio.to_thread(forks.wait)

        async def works_again() -> bool:
            try:
                return (await done(workers, "ignore"))[1] == b"done"
            except Unavailable:
                return False

        await eventually(works_again)


async def test_work_that_cannot_be_read_fails_each_task() -> None:
    workers = WorkerPool("tests.unit.toy_work:nowhere", POOL, TASK)
    try:
        with pytest.raises(Unavailable):
            await done(workers, "echo", 1)
    finally:
        await workers.close()
