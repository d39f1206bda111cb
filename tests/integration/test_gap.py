"""The gap test: many writers, some of them slow, a transaction of somebody else that stays open, and relays that are killed.

No committed event may be skipped, and none may come before an earlier one of its stream. A relay that goes by the highest
number it has seen is caught by the same test.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import make_url

from bounded_contexts.messaging.domain.conversation import ConversationEvent
from headwater import tasks
from headwater.wiring import House, context_database
from infra.event_store_postgres import PostgresEventStore
from infra.kafka_reader import KafkaReader
from infra.postgres import Database
from tests.contract.test_event_store import renamed, started
from tests.integration.conftest import house_on_its_own_database
from tests.integration.relay_that_is_killed import NAME
from tests.probes import eventually
from tests.servers import Servers

ROOT = Path(__file__).parents[2]
WRITERS, PROCESSES, ROUNDS = 16, 4, 6
EVENTS_EACH = 30  # of a writer in a round, in which the relay that has the lock is killed once
SLOW = 0.05  # of the appends are in transactions that others overtake
OVERTAKEN_BY = 20  # events that were drawn later and are already sent

HOLDER = f"""
select application_name from pg_stat_activity join pg_locks using (pid)
where locktype = 'advisory' and granted and application_name like '{NAME} %'"""
QUIET = {
    "kept": "select not exists (select from messaging.outbox)",
    "naive": "select not exists (select from messaging.outbox where id > (select last from relayed))",
}
OVERTAKEN = """
select (select last_value from messaging.outbox_id_seq) >= $2
       and not exists (select from messaging.outbox where id > $1 and id <= $2)"""
STORED = "select stream, id from messaging.event order by stream, version"


@dataclass
class Pace:
    """How far a round is; lets slow writers wait until others have passed them, and not for ever."""

    owner: Database
    writing: int
    appended: int = 0
    waiting: int = 0

    async def is_half_done(self) -> bool:
        return self.appended >= WRITERS * EVENTS_EACH / 2

    async def be_overtaken(self, drawn: int) -> None:
        """Wait until the relay has sent what was drawn after this row; nobody comes after it if all others wait, too."""

        async def is_overtaken() -> bool:
            async with self.owner.driver() as connection:
                return bool(await connection.fetchval(OVERTAKEN, drawn, drawn + OVERTAKEN_BY))

        async def is_over() -> bool:
            return self.waiting == self.writing or await is_overtaken()

        self.waiting += 1
        await eventually(is_over)
        self.waiting -= 1


@dataclass
class Writer:
    """Appends to a stream of its own, one event after the other."""

    store: PostgresEventStore[ConversationEvent]
    database: Database
    chance: random.Random
    stream: UUID = field(default_factory=uuid4)
    version: int = 0

    async def write(self, pace: Pace) -> None:
        for _ in range(EVENTS_EACH):
            if self.chance.random() < SLOW:
                async with self.database.transaction() as connection:
                    await self.append()
                    drawn = (await connection.exec_driver_sql("select max(id) from messaging.outbox")).scalar_one()
                    await pace.be_overtaken(drawn)
            else:
                await self.append()
            pace.appended += 1
        pace.writing -= 1

    async def append(self) -> None:
        event = renamed(self.stream, str(self.version)) if self.version else started(self.stream)
        await self.store.append(self.stream, self.version, (event,))
        self.version += 1


@dataclass
class Relays:
    """Two processes that want the same lock."""

    house: House
    owner: Database
    kind: str
    processes: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)

    async def start(self) -> None:
        url, kafka = self.house.settings.database_url, self.house.kafka
        assert url
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.relay_that_is_killed", self.kind),
            *(url.get_secret_value(), kafka.bootstrap_servers, kafka.prefix),
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.processes[process.pid] = process

    async def active(self) -> int | None:
        """Return which process has the lock, if one does that lives."""
        async with self.owner.driver() as connection:
            name = await connection.fetchval(HOLDER)
        pid = int(name.removeprefix(NAME)) if name else None
        return None if pid in self.killed else pid

    async def kill_the_active(self, pace: Pace) -> None:
        """Kill whoever relays in the middle of the round, and start another who waits."""
        await eventually(pace.is_half_done)
        pid = await eventually(self.active)
        assert pid
        os.kill(pid, signal.SIGKILL)
        self.killed.add(pid)
        assert await self.processes.pop(pid).wait() == -signal.SIGKILL
        await self.start()

    async def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            await process.wait()


@pytest.fixture
async def place(servers: Servers) -> AsyncIterator[tuple[House, Database]]:
    async with house_on_its_own_database(servers) as (house, owner):
        yield house, owner


@asynccontextmanager
async def writers(house: House) -> AsyncIterator[list[Writer]]:
    """Writers whose stores share as little as those of several processes."""
    databases = [context_database(house.settings, "messaging", "messaging") for _ in range(PROCESSES)]
    stores = [PostgresEventStore[ConversationEvent](each, "messaging", house.codec) for each in databases]
    yield [
        Writer(stores[number % PROCESSES], databases[number % PROCESSES], random.Random(number))
        for number in range(WRITERS)
    ]
    for each in databases:
        await each.close()


@asynccontextmanager
async def open_transaction(owner: Database, house: House) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A transaction that has written something elsewhere and does not end."""
    url = house.settings.database_url
    assert url
    plain = make_url(url.get_secret_value()).render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("create table of_somebody_else (id int)")
    try:
        yield connection
        await transaction.rollback()
    finally:
        await connection.close()


@pytest.mark.parametrize(("kind", "found"), [("kept", set()), ("naive", {"skipped"})])
async def test_no_event_is_skipped_or_comes_before_an_earlier_one_of_its_stream(
    place: tuple[House, Database], kind: str, found: set[str]
) -> None:
    house, owner = place
    relays = Relays(house, owner, kind)
    async with owner.driver() as connection:
        await connection.execute("create table relayed (last bigint)")
        await connection.execute("insert into relayed values (0)")
    try:
        async with open_transaction(owner, house), writers(house) as all_writers:
            await asyncio.gather(relays.start(), relays.start())
            for _ in range(ROUNDS):
                await eventually(relays.active)
                pace = Pace(owner, len(all_writers))
                await asyncio.gather(relays.kill_the_active(pace), *(each.write(pace) for each in all_writers))
            await eventually(lambda: is_quiet(owner, kind))
            violations = await compared(house, owner)
            (report,) = await tasks.verify_events(house.settings, ["messaging"], lambda *_: None)
    finally:
        await relays.end()

    assert len(relays.killed) == ROUNDS
    assert report.events == WRITERS * EVENTS_EACH * ROUNDS
    assert found <= {kind for kind, _ in violations}
    assert bool(violations) == bool(found), violations[:10]
    assert (report.holds, report.counts["missing"]) == (not found, len(violations)), report.findings[:10]


async def is_quiet(owner: Database, kind: str) -> bool:
    async with owner.driver() as connection:
        return bool(await connection.fetchval(QUIET[kind]))


async def compared(house: House, owner: Database) -> list[tuple[str, UUID]]:
    """Return what is not on the topic, and what first came there before an earlier event of its stream."""
    async with owner.driver() as connection:
        stored = await connection.fetch(STORED)
    places: dict[str, int] = {}
    async with KafkaReader(house.kafka).open(["conversations"]) as reader:
        ends = await reader.ends()
        reader.seek(await reader.beginnings())
        async for batch in reader.batches():
            for raw in batch:
                places.setdefault(dict(raw.headers)["ce_id"].decode(), raw.offset)
            if await reader.positions() == ends:
                break
    violations, last = [], dict[UUID, int]()
    for stream, id_ in stored:
        if (place := places.get(str(id_))) is None:
            violations.append(("skipped", id_))
        elif place < last.get(stream, -1):
            violations.append(("reordered", id_))
        else:
            last[stream] = place
    return violations
