"""Bytes that wait: in order, in memory or in a file that nobody sees."""

import asyncio
from pathlib import Path

import pytest

from infra.spool import Spool

PIECES = [bytes([each]) * 1000 for each in range(50)]


async def all_of(spool: Spool) -> bytes:
    found = b""
    while piece := await spool.get():
        found += piece
    return found


@pytest.mark.parametrize("memory", [0, 3_000, 1 << 20])
async def test_what_is_put_is_got_in_order_wherever_it_waits(tmp_path: Path, memory: int) -> None:
    spool = Spool(tmp_path, memory)
    got = []
    for index, piece in enumerate(PIECES):
        await spool.put(piece)
        if index % 7 == 0:
            got.append(await spool.get())
    spool.end()

    assert b"".join(got) + await all_of(spool) == b"".join(PIECES)
    assert spool.size == sum(map(len, PIECES))
    assert list(tmp_path.iterdir()) == []
    spool.close()


async def test_who_gets_waits_for_who_puts_and_is_told_the_end() -> None:
    spool = Spool(None, 100)
    getting = asyncio.create_task(all_of(spool))
    for piece in PIECES:
        await spool.put(piece)
    await spool.emptied(0)
    spool.end()

    assert await getting == b"".join(PIECES)
    spool.close()


async def test_what_it_ended_with_comes_behind_what_was_put() -> None:
    spool = Spool(None, 100)
    await spool.put(b"x")
    spool.end(LookupError())

    assert await spool.get() == b"x"
    with pytest.raises(LookupError):
        await spool.get()
    with pytest.raises(LookupError):
        await spool.over()
    spool.close()


async def test_who_puts_can_wait_until_little_is_left() -> None:
    spool = Spool(None, 1 << 20)
    await spool.put(b"x" * 10)
    await spool.put(b"y" * 10)
    emptied = asyncio.create_task(spool.emptied(10))
    await asyncio.sleep(0)
    assert not emptied.done()

    await spool.get()
    await emptied
    spool.close()
