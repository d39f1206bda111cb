"""The audit log: kept once and in order, and whatever its database's owner does to it is found."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url
from sqlalchemy.exc import ProgrammingError

from bounded_contexts.audit import module as audit
from bounded_contexts.audit.adapters.log_postgres import AlreadyKept, PostgresLog
from bounded_contexts.audit.adapters.signing import DerivedKey
from bounded_contexts.audit.application.ports import Ports
from bounded_contexts.audit.application.seal import seal, seal_daily
from bounded_contexts.audit.application.verify import Report, verify
from bounded_contexts.audit.domain.chain import hash_of
from headwater import wiring
from headwater.wiring import House
from infra.kafka_log import KafkaLog
from infra.migrations import ContextSchema, migrate, role_name, role_url
from infra.partition_worker import BATCH_BYTES
from infra.positions import PostgresPositions
from infra.postgres import Database
from infra.recorder import RecorderRunner
from shared_kernel.errors import Unavailable
from shared_kernel.module import Recorder
from shared_kernel.records import Record
from tests.conftest import SECRET
from tests.contract.test_event_log import sent
from tests.probes import during, eventually
from tests.servers import Servers

CHAIN = ("messages", 0)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=4, schema="audit")
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def url(servers: Servers) -> AsyncIterator[str]:
    """The URL of a database with nothing but an empty audit log."""
    name = f"audit_{uuid4().hex[:12]}"
    async with connected(servers.database_url) as server:
        async with server.driver() as connection:
            await connection.execute(f"create database {name}")
        fresh = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
        async with connected(fresh) as owner:
            await migrate(owner, [ContextSchema(audit.NAME, audit.MIGRATIONS, None, audit.ONLY_GROW)], SECRET)
        yield fresh
        async with server.driver() as connection:
            await connection.execute(f"drop database {name} with (force)")
            await connection.execute(f"drop role {role_name(name, audit.NAME)}")


@pytest.fixture
async def owner(url: str) -> AsyncIterator[Database]:
    """The database's owner, for whom the triggers are switched off: whoever tampers would do that first."""
    async with connected(url) as database:
        await execute(database, "alter table audit.record disable trigger all")
        await execute(database, "alter table audit.root disable trigger all")
        yield database


@pytest.fixture
async def role(url: str) -> AsyncIterator[Database]:
    """What the context's own processes may do."""
    async with connected(role_url(url, audit.NAME, SECRET)) as database:
        yield database


@pytest.fixture
def ports(role: Database) -> Ports:
    return Ports(PostgresLog(role), DerivedKey(SECRET), lambda: datetime.now(UTC))


async def execute(database: Database, statement: str) -> Any:
    async with database.transaction() as connection:
        result = await connection.execute(sa.text(statement))
        return result.all() if result.returns_rows else None


def copy(of: int, to: int, hash_: str) -> str:
    """Return the statement that inserts a record again at another offset."""
    columns = "topic, partition, timestamp_ms, event_id, type, correlation_id, key, value, header_names, header_values"
    return (
        f'insert into audit.record ({columns}, "offset", previous_offset, hash) '
        f'select {columns}, {to}, {of}, {hash_} from audit.record where "offset" = {of}'
    )


def record(offset: int, partition: int = 0, **other: Any) -> Record:
    headers = (
        ("ce_id", f"event {offset}".encode()),
        ("ce_type", b"happened"),
        ("ce_correlationid", b"flow"),
        ("odd", None),
        ("bytes", b"\x00\xff"),
    )
    given: dict[str, Any] = {
        "key": b"k",
        "value": b"value %d" % offset,
        "headers": headers,
        "timestamp_ms": 1_700_000_000_000 + offset,
    }
    return Record(topic="messages", partition=partition, offset=offset, **(given | other))


async def kept(ports: Ports, offsets: Sequence[int] = range(10), partition: int = 0) -> None:
    await ports.log.keep([record(offset, partition) for offset in offsets])


async def verified(ports: Ports, topic: str | None = None) -> Report:
    return await verify(ports, topic, lambda *_: None)


async def broken(ports: Ports) -> tuple[int, str] | None:
    """Return offset and kind of what is wrong with the one chain."""
    report = await verified(ports)
    assert report.roots_broken is None
    assert set(report.broken) <= {CHAIN}
    found = report.broken.get(CHAIN)
    return (found.offset, found.kind) if found else None


async def test_what_was_kept_comes_back_as_it_was_and_holds(ports: Ports) -> None:
    await kept(ports, range(5))
    await kept(ports, range(5, 7))
    await kept(ports, range(3), partition=1)
    await seal(ports)

    rows = [each async for each in ports.log.chain(*CHAIN)]
    report = await verified(ports)

    assert [row.offset for row in rows] == list(range(7))
    assert rows[3].value == b"value 3"
    assert rows[3].event_id == "event 3"
    assert dict(zip(rows[3].header_names, rows[3].header_values, strict=True)) == dict(record(3).headers)
    assert (report.records, report.chains, report.roots, report.holds) == (10, 2, 1, True)


async def test_whatever_a_record_holds_is_kept(ports: Ports) -> None:
    odd = (
        record(0, key=None, value=None, headers=()),
        record(
            1, key=b"\x00\xff", value=b"", headers=(("ce_id", b"a\x00b" * 2000), ("ce_correlationid", b"\xff" * 9000))
        ),
        record(2, value=b"x" * 900_000, timestamp_ms=-1),
        record(9_000_000_000_000),
    )

    await ports.log.keep(odd)

    assert await broken(ports) is None
    assert [each.value async for each in ports.log.chain(*CHAIN)] == [each.value for each in odd]


async def test_the_hash_is_the_one_the_documentation_defines(ports: Ports) -> None:
    """Computed by hand, so that a change of the definition, which would break every chain, cannot go unseen."""
    import hashlib

    await ports.log.keep([Record(topic="t", partition=1, offset=7, timestamp_ms=5, key=None, headers=(), value=b"v")])

    (row,) = [each async for each in ports.log.chain("t", 1)]
    null = b"\xff\xff\xff\xff"
    fields = (b"t", b"1", b"7", None, b"5", None, None, None, None, None, b"v", b"0")
    canonical = b"".join(null if each is None else len(each).to_bytes(4, "big") + each for each in fields)
    assert row.hash == hashlib.sha256(bytes(32) + canonical).digest()


async def test_more_than_a_page_is_walked(ports: Ports) -> None:
    await kept(ports, range(1000))

    assert await broken(ports) is None
    assert (await verified(ports)).records == 1000


async def test_what_was_kept_is_not_kept_again(ports: Ports) -> None:
    await kept(ports, range(5))

    with pytest.raises(AlreadyKept):
        await kept(ports, range(3, 8))

    assert (await verified(ports)).records == 5


async def test_of_two_writers_one_fails(ports: Ports) -> None:
    outcomes = await asyncio.gather(*(kept(ports, range(50)) for _ in range(4)), return_exceptions=True)

    assert [each for each in outcomes if each is None] == [None]
    assert await broken(ports) is None


class TestFence:
    @pytest.mark.parametrize("table", audit.ONLY_GROW)
    @pytest.mark.parametrize("change", ["delete from {}", "update {} set {}", "truncate {}", "drop table {}"])
    async def test_the_context_can_only_add(self, ports: Ports, role: Database, table: str, change: str) -> None:
        await kept(ports)
        await seal(ports)
        column = {"record": "value = 'x'", "root": "body = 'x'"}[table]

        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            await execute(role, change.format(f"audit.{table}", column))

    @pytest.mark.parametrize("table", audit.ONLY_GROW)
    @pytest.mark.parametrize("change", ["delete from {}", "update {} set {}", "truncate {}"])
    async def test_even_its_owner_has_to_switch_off_a_trigger(
        self, ports: Ports, url: str, table: str, change: str
    ) -> None:
        await kept(ports)
        column = {"record": "value = 'x'", "root": "body = 'x'"}[table]
        async with connected(url) as fresh:
            with pytest.raises(ProgrammingError, match="only grows"):
                await execute(fresh, change.format(f"audit.{table}", column))


class TestTampering:
    @pytest.mark.parametrize(
        "change",
        [
            "value = 'other'",
            "header_values = header_values[1:2]",
            "header_names[1] = null",
            "key = null",
            "event_id = 'other'",
            "type = null",
            "correlation_id = 'other'",
            "causation_id = 'other'",
            "timestamp_ms = timestamp_ms - 1",
            "header_values[2] = 'other'",
            "header_names[2] = 'other'",
            "hash = sha256('other')",
        ],
    )
    async def test_a_changed_record(self, ports: Ports, owner: Database, change: str) -> None:
        await kept(ports)

        await execute(owner, f'update audit.record set {change} where "offset" = 4')

        assert await broken(ports) == (4, "changed")

    @pytest.mark.parametrize("gone", [0, 4])
    async def test_a_removed_record(self, ports: Ports, owner: Database, gone: int) -> None:
        await kept(ports)

        await execute(owner, f'delete from audit.record where "offset" = {gone}')

        assert await broken(ports) == (gone, "removed")

    async def test_several_removed_records(self, ports: Ports, owner: Database) -> None:
        await kept(ports)

        await execute(owner, 'delete from audit.record where "offset" between 3 and 5')

        assert await broken(ports) == (5, "removed")

    async def test_the_last_records_are_missed_by_the_root(self, ports: Ports, owner: Database) -> None:
        await kept(ports)
        await seal(ports)
        await kept(ports, range(10, 12))

        await execute(owner, 'delete from audit.record where "offset" >= 9')

        assert await broken(ports) == (9, "removed")

    async def test_a_whole_chain_is_missed_by_the_root(self, ports: Ports, owner: Database) -> None:
        await kept(ports)
        await seal(ports)

        await execute(owner, "delete from audit.record")

        assert await broken(ports) == (9, "removed")

    @pytest.mark.parametrize("left", [5, 0])
    async def test_records_behind_every_root_are_missed_by_the_groups_position(
        self, ports: Ports, role: Database, owner: Database, left: int
    ) -> None:
        positions = PostgresPositions(role, "audit")
        claimed = await positions.claim("audit.log", [CHAIN, ("messages", 1)])
        async with positions.transaction():
            await kept(ports)
            await positions.advance("audit.log", {CHAIN: replace(claimed[CHAIN], next=10)})
        before = await verified(ports)

        await execute(owner, f'delete from audit.record where "offset" >= {left}')

        assert (before.holds, before.chains, before.unsealed) == (True, 1, 10)
        assert await broken(ports) == (9, "removed")

    @pytest.mark.parametrize("hash_", ["sha256('made up')", '(select hash from audit.record where "offset" = 4)'])
    async def test_a_record_inserted_into_a_gap(self, ports: Ports, owner: Database, hash_: str) -> None:
        await kept(ports, [0, 2, 4, 6, 8])

        await execute(owner, copy(of=4, to=5, hash_=hash_))

        assert await broken(ports) == (5, "inserted")

    async def test_a_record_inserted_before_the_first(self, ports: Ports, owner: Database) -> None:
        await kept(ports, [0, 1])

        await execute(owner, copy(of=1, to=-1, hash_="'\\x00'"))

        assert await broken(ports) == (-1, "inserted")

    async def test_a_copy_of_the_first_record_behind_the_last(self, ports: Ports, owner: Database) -> None:
        await kept(ports, [0, 1, 2])

        same = '(select hash from audit.record where "offset" = 0)'
        await execute(owner, copy(of=0, to=9, hash_=same).replace("9, 0,", "9, null,"))

        assert await broken(ports) == (9, "inserted")

    async def test_a_record_inserted_with_the_right_hash(self, ports: Ports, owner: Database) -> None:
        await kept(ports, [0, 2, 4, 6, 8])
        rows = {each.offset: each async for each in ports.log.chain(*CHAIN)}
        forged = hash_of(rows[4].hash, replace(rows[4], offset=5, previous_offset=4))

        await execute(owner, copy(of=4, to=5, hash_=f"'\\x{forged.hex()}'"))

        assert await broken(ports) == (5, "inserted")

    @pytest.mark.parametrize(
        "swap",
        [
            '"offset" = 9 + 4 - "offset" - 4',
            "value = convert_to('value ' || (9 - \"offset\"), 'UTF8')",
        ],
    )
    async def test_swapped_records(self, ports: Ports, owner: Database, swap: str) -> None:
        await kept(ports)

        await execute(owner, 'alter table audit.record drop constraint "record_pkey"')
        await execute(owner, f'update audit.record set {swap} where "offset" in (4, 5)')

        assert await broken(ports) == (4, "changed")

    async def test_a_chain_made_anew_is_not_what_the_root_sealed(self, ports: Ports, owner: Database) -> None:
        await kept(ports)
        await seal(ports)

        await execute(owner, "delete from audit.record")
        await ports.log.keep([record(offset, value=b"another story") for offset in range(10)])

        assert await broken(ports) == (9, "changed")

    async def test_each_chain_is_told_of_once_and_the_others_hold(self, ports: Ports, owner: Database) -> None:
        for partition in range(3):
            await kept(ports, partition=partition)

        await execute(owner, "update audit.record set value = '' where \"offset\" >= 5 and partition <> 1")
        report = await verified(ports)

        assert {chain: each.offset for chain, each in report.broken.items()} == {("messages", 0): 5, ("messages", 2): 5}


class TestRoots:
    @pytest.fixture
    async def rooted(self, ports: Ports) -> Ports:
        for day in range(3):
            await kept(ports, range(day * 5, day * 5 + 5))
            await seal(ports)
        return ports

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ("update audit.root set body = convert_to(replace(convert_from(body, 'UTF8'), '\"messages\",0,9', "
             "'\"messages\",0,8'), 'UTF8') where number = 2", "root 2 is not signed"),
            ("update audit.root set signature = sha512('made up') where number = 2", "root 2 is not signed"),
            ("update audit.root set made_at = made_at - interval '1 day' where number = 2", "root 2 does not follow"),
            ("delete from audit.root where number = 2", "root 2 was removed"),
            ("delete from audit.root where number = 1", "root 1 was removed"),
            ("update audit.root set number = number - 1 where number > 1", "root 1 does not follow"),
        ],
    )  # fmt: skip
    async def test_a_forged_or_removed_root(self, rooted: Ports, owner: Database, change: str, what: str) -> None:
        assert (await verified(rooted)).holds
        if "number - 1" in change:
            await execute(owner, "delete from audit.root where number = 1")

        await execute(owner, change)
        report = await verified(rooted)

        assert not report.holds
        assert str(report.roots_broken).startswith(what)

    async def test_a_root_signed_by_somebody_else(self, rooted: Ports, owner: Database, role: Database) -> None:
        somebody = replace(rooted, key=DerivedKey("somebody else's secret of 32 bytes"))

        await seal(somebody)

        assert (await verified(rooted)).roots_broken == "root 4 is not signed by a trusted key"
        trusting = replace(rooted, key=DerivedKey(SECRET, [somebody.key.public_key]))
        assert (await verified(trusting)).holds

    async def test_a_root_that_was_written_down_and_is_gone(self, rooted: Ports, owner: Database) -> None:
        newest = await rooted.log.last_root()
        assert newest
        there = await verify(rooted, None, lambda *_: None, [newest.hash])
        await execute(owner, f"delete from audit.root where number = {newest.number}")
        gone = await verify(rooted, None, lambda *_: None, [newest.hash])

        assert there.roots_broken is None
        assert gone.roots_broken == f"root {newest.hash} was removed"

    async def test_the_first_root_of_a_day_is_made_once(self, ports: Ports) -> None:
        now = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
        at: Callable[[datetime], Ports] = lambda moment: replace(ports, now=lambda: moment)  # noqa: E731
        await kept(ports)

        first = await seal_daily(at(now))
        again = await seal_daily(at(now + timedelta(seconds=59)))
        turned = await asyncio.gather(*(seal_daily(at(now + timedelta(minutes=1))) for _ in range(5)))

        assert first
        assert again is None
        assert [root.number for root in turned if root] == [2]
        assert (await verified(ports)).roots == 2


class TestCommands:
    @pytest.fixture
    def headwater(self, url: str, tmp_path: Path) -> Callable[..., Awaitable[subprocess.CompletedProcess[str]]]:
        own = {"DATABASE_URL": url, "SECRET_KEY": SECRET, "HOME": str(tmp_path)}
        environ = {"PATH": os.environ["PATH"]} | {f"HEADWATER_{name}": value for name, value in own.items()}

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = (sys.executable, "-m", "headwater", "audit", *arguments)
            return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)

        return partial(asyncio.to_thread, run)

    async def test_a_log_that_holds(self, ports: Ports, headwater: Any) -> None:
        await kept(ports)

        sealed, verdict = await headwater("seal"), await headwater("verify")

        root = await ports.log.last_root()
        assert root
        assert root.hash in sealed.stdout
        assert (verdict.returncode, verdict.stderr) == (0, "")
        assert verdict.stdout == "10 records in 1 chains, 1 roots, 0 records behind them: all hold\n"

    async def test_a_log_that_was_tampered_with(self, ports: Ports, owner: Database, headwater: Any) -> None:
        await kept(ports)
        await seal(ports)
        await execute(owner, 'delete from audit.record where "offset" = 4')
        await execute(owner, "delete from audit.root")
        await kept(ports, partition=1)
        await seal(replace(ports, key=DerivedKey("somebody else's secret of 32 bytes")))

        people, script = await headwater("verify"), await headwater("verify", "--json")
        other_topic = await headwater("verify", "--topic", "conversations", "--trust", "no key")

        assert (people.returncode, script.returncode, other_topic.returncode) == (1, 1, 1)
        assert "messages/0: record 4 was removed: record 5 was kept directly after 4" in people.stdout
        assert "root 1 is not signed by a trusted key" in people.stdout
        said = json.loads(script.stdout)
        assert said["holds"] is False
        assert [(each["partition"], each["offset"], each["kind"]) for each in said["broken"]] == [(0, 4, "removed")]
        assert "invalid_key" in other_topic.stderr


class TestGroup:
    """On real Kafka."""

    @asynccontextmanager
    async def member(self, house: House, recorder: Recorder | None = None) -> AsyncIterator[None]:
        (own,) = [module.recorder for module in house.modules if module.recorder]
        runner = RecorderRunner(recorder or own, house.broker, house.codec, house.groups[audit.NAME], house.bulk)
        async with during(runner.run()):
            yield

    async def count(self, house: House) -> int:
        async with house.databases[audit.NAME].transaction() as connection:
            query = sa.text("select count(*) from audit.record where topic like :prefix")
            return int(await connection.scalar(query, {"prefix": f"{house.kafka.prefix}%"}) or 0)

    async def test_every_record_is_kept_once_whatever_it_is_and_across_members(self, own_house: House) -> None:
        log = KafkaLog(own_house.bulk, own_house.codec)
        await asyncio.gather(*(log.publish(sent(uuid4())) for _ in range(500)))
        async with self.member(own_house):
            await eventually(lambda: self.count(own_house), until=lambda found: found >= 100)
        async with self.member(own_house), self.member(own_house):
            await asyncio.gather(*(log.publish(sent(uuid4())) for _ in range(500)))
            await own_house.bulk.send("conversations", None, b"no event", [])
            await eventually(lambda: self.count(own_house), until=lambda found: found >= 1001)

        ports = wiring.audit_ports(own_house.settings, own_house.databases[audit.NAME])
        report = await verified(ports, own_house.kafka.topic("messages"))
        assert await self.count(own_house) == 1001
        assert report.records == 1000
        assert report.broken == {}
        assert await ports.log.last_root()

    async def test_what_fails_is_tried_again_and_leaves_no_hole(self, own_house: House) -> None:
        (own,) = [module.recorder for module in own_house.modules if module.recorder]
        failures: list[Exception] = [Unavailable("database_unavailable"), ValueError("a bug"), ValueError("a bug")]

        async def keep(records: Sequence[Record]) -> None:
            await own.keep(records)
            if failures:
                raise failures.pop()

        log = KafkaLog(own_house.bulk, own_house.codec)
        key = uuid4()
        positions = [await log.publish(sent(key)) for _ in range(20)]
        async with self.member(own_house, replace(own, keep=keep)):
            await eventually(lambda: self.count(own_house), until=lambda found: found >= 20)

        assert failures == []
        ports = wiring.audit_ports(own_house.settings, own_house.databases[audit.NAME])
        rows = [each async for each in ports.log.chain(own_house.kafka.topic("messages"), positions[0].partition)]
        assert [row.offset for row in rows] == [position.offset for position in positions]

    async def test_large_records_are_kept_a_few_at_a_time(self, own_house: House) -> None:
        (own,) = [module.recorder for module in own_house.modules if module.recorder]
        sizes: list[int] = []

        async def keep(records: Sequence[Record]) -> None:
            sizes.append(sum(len(record.value or b"") for record in records))
            await own.keep(records)

        large = b"x" * 900_000
        await asyncio.gather(*(own_house.bulk.send("messages", "k", large, []) for _ in range(30)))
        async with self.member(own_house, replace(own, keep=keep)):
            await eventually(lambda: self.count(own_house), until=lambda found: found >= 30)

        assert sum(sizes) == 30 * 900_000
        assert max(sizes) < BATCH_BYTES + 900_000
