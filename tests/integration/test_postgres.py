"""The pool of connections, on a real server that ends some of them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest
import sqlalchemy as sa

from infra import postgres
from infra.postgres import Database
from shared_kernel.errors import Unavailable
from tests.probes import eventually
from tests.servers import Servers

SIZE = 3


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[Database]:
    database = Database(servers.database_url, pool_size=SIZE)
    yield database
    await database.close()


async def process_ids(database: Database) -> set[int]:
    """Return which processes of the server the pool's connections have, all lent at once."""
    all_lent = asyncio.Barrier(SIZE)

    async def own() -> int:
        async with database.transaction() as connection:
            await all_lent.wait()
            return int((await connection.execute(sa.text("select pg_backend_pid()"))).scalar_one())

    return set(await asyncio.gather(*(own() for _ in range(SIZE))))


async def test_the_same_connections_are_lent_again(database: Database) -> None:
    assert await process_ids(database) == await process_ids(database)


async def test_connections_that_the_server_has_ended_cost_nobody_an_error(servers: Servers, database: Database) -> None:
    before = await process_ids(database)
    operator = Database(servers.database_url, pool_size=1)

    async def gone() -> bool:
        async with operator.transaction() as connection:
            ended = sa.text("select pg_terminate_backend(pid) from pg_stat_activity where pid = any(:ids)")
            return not (await connection.execute(ended, {"ids": list(before)})).all()

    await eventually(gone)
    await operator.close()

    assert not before & await process_ids(database)


async def test_after_a_long_rest_the_server_is_asked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await process_ids(database)
    monkeypatch.setattr(postgres, "REST_S", -1.0)
    assert await process_ids(database) == before

    with monkeypatch.context() as patched:  # nothing says that it is gone
        patched.setattr(asyncpg.Connection, "is_closed", lambda _: False)
        async with database.driver() as connection:
            dropped = connection.get_server_pid()
            connection.terminate()
        after = await process_ids(database)

    assert len(after) == SIZE
    assert dropped not in after


async def test_a_server_that_stands_still_is_waited_for_no_longer_than_a_statement_may_take(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SILENCE_S", 1.0)
    database = Database(servers.database_url, pool_size=1)
    async with database.transaction() as connection:
        stands_still = int((await connection.execute(sa.text("select pg_backend_pid()"))).scalar_one())
    os.kill(stands_still, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            async with asyncio.timeout(30):
                await database.ping()
        await database.ping()
    finally:
        os.kill(stands_still, signal.SIGCONT)
        await database.close()
