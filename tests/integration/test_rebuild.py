"""Read models built anew beside the ones that are read, on the real servers: equal, unseen, and killed at any point."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.consumer import ConsumerRunner
from infra.health import Health
from infra.kafka_log import KafkaLog
from infra.outbox_relay import OutboxRelay
from infra.postgres import Database
from tests.integration.conftest import WAIT, client_of, house_on_its_own_database, send
from tests.integration.nodes import delete_records, message
from tests.integration.test_group_operations import command, environment
from tests.probes import eventually
from tests.servers import Servers

ROOT = Path(__file__).parents[2]
HISTORY, INBOX = "messaging.history", "notifications.inbox"
# What a rebuild may change, where there is an erasure: edits before it are not counted again (docs/consumers.md).
OF_ERASED = ("version", "edited_at")

INDEXES = "select tablename, indexname, indexdef from pg_indexes where schemaname = $1 order by 1, 2"
CONSTRAINTS = """
select conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid) from pg_constraint
where connamespace = $1::regnamespace order by 1, 2"""
GRANTS = """
select table_name, grantee, privilege_type from information_schema.role_table_grants
where table_schema = $1 order by 1, 2, 3"""
COLUMNS = """
select table_name, ordinal_position, column_name, data_type, is_nullable, column_default from information_schema.columns
where table_schema = $1 order by 1, 2"""
CATALOGUE = (INDEXES, CONSTRAINTS, GRANTS, COLUMNS)
SCHEMAS = "select nspname::text from pg_namespace where nspname ~ '_(rebuild|before)$' order by 1"

Rows = dict[str, list[dict[str, Any]]]


@dataclass
class Town:
    """A house with a database of its own, which a test fills."""

    house: House
    owner: Database
    tokens: SharedKeyTokens
    ann: UUID = field(default_factory=uuid4)
    bob: UUID = field(default_factory=uuid4)
    admin: UUID = field(default_factory=uuid4)

    def client(self, user: UUID, *roles: str) -> httpx.AsyncClient:
        return client_of(application(self.house, {"web"}, Health(("web",), {})), self.tokens, user, roles)

    async def fetch(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        async with self.owner.driver() as connection:
            return [tuple(row) for row in await connection.fetch(query, *arguments)]

    async def rows(self, schema: str, tables: Iterable[str]) -> Rows:
        """Return every row of the tables."""
        found: Rows = {}
        async with self.owner.driver() as connection:
            for table in tables:
                rows = await connection.fetch(f"select * from {schema}.{table} order by 1")
                found[table] = [dict(row) for row in rows]
        return found

    async def catalogue(self, context: str) -> list[list[tuple[Any, ...]]]:
        return [await self.fetch(query, context) for query in CATALOGUE]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the groups and the relay while the block lasts."""
        house = self.house
        work = [OutboxRelay(house.databases["messaging"], "messaging", house.bulk).run()]
        for module in house.modules:
            store = house.groups.get(module.name)
            for consumer in module.consumers:
                assert store
                work.append(ConsumerRunner(consumer, house.broker, house.codec, store, house.bulk).run())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def fill(self) -> dict[str, Any]:
        """Have people write, edit, delete, erase, join and mark. Return the conversation of Ann and Bob."""
        anns, bobs = self.client(self.ann), self.client(self.bob)
        people = [self.ann, self.bob]
        sent = [await send(anns, people, f"message {number}") for number in range(30)]
        links = [f"/messages/{each['message_id']}" for each in sent]
        for number in (3, 4):
            await done(anns.patch(links[number], json={"body": f"edited {number}"}, headers=WAIT))
        await done(anns.patch(links[3], json={"body": "edited again"}, headers=WAIT))
        await done(anns.delete(links[5], headers=WAIT))
        await done(anns.patch(links[7], json={"body": "secret"}, headers=WAIT))
        for number in (6, 7):
            erased = self.client(self.admin, "admin").post(f"{links[number]}:erase", json={"reason": "r"}, headers=WAIT)
            await done(erased)
        await asyncio.gather(*(send(anns, [self.ann, uuid4()], f"others {number}") for number in range(20)))
        group = (
            await done(anns.post("/conversations", json={"title": "Crew", "member_ids": [str(self.bob)]}, headers=WAIT))
        ).json()["id"]
        await done(anns.patch(f"/conversations/{group}", json={"metadata": {"a": "b"}}, headers=WAIT))
        await done(anns.post(f"/conversations/{group}/members", json={"member_id": str(uuid4())}, headers=WAIT))
        for number in range(5):
            await done(bobs.post(f"/conversations/{group}/messages", json={"body": str(number)}, headers=WAIT))
        listed = await eventually(lambda: inbox(bobs), until=lambda found: len(found) >= 27)
        body = {"state": "read", "ids": [each["id"] for each in listed[:2]]}
        await done(bobs.post("/notifications:mark", json=body, headers=WAIT))
        await done(
            anns.post("/notifications:mark", json={"state": "read", "all_until": "2030-01-01T00:00:00Z"}, headers=WAIT)
        )
        await self.caught_up()
        return {"id": sent[0]["conversation_id"], "message_ids": [each["message_id"] for each in sent]}

    async def caught_up(self) -> None:
        async def lag() -> int:
            return sum(view.lag for view in await self.house.group_operations.view([HISTORY, INBOX]))

        await eventually(lag, until=lambda found: found == 0)


async def done(request: Any) -> httpx.Response:
    answer: httpx.Response = await request
    assert answer.status_code < 300, answer.text
    return answer


async def inbox(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    return list((await api.get("/notifications", params={"limit": 100})).json()["data"])


@pytest.fixture
async def town(servers: Servers, tokens: SharedKeyTokens) -> AsyncIterator[Town]:
    async with house_on_its_own_database(servers) as (house, owner):
        yield Town(house, owner, tokens)


@pytest.fixture
def commands(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line finds the town."""
    for name, value in environment(town.house).items():
        monkeypatch.setenv(name, value)


def tables_of(group: str) -> tuple[str, tuple[str, ...]]:
    return {
        HISTORY: ("messaging", ("message", "message_edit", "conversation")),
        INBOX: ("notifications", ("entry", "mark", "mark_all")),
    }[group]


def without_uncounted(rows: Rows) -> Rows:
    """Return the rows without what is documented to change."""
    return {
        table: [{k: v for k, v in row.items() if not (row.get("erased_at") and k in OF_ERASED)} for row in found]
        for table, found in rows.items()
    }


@asynccontextmanager
async def life(town: Town, conversation: dict[str, Any]) -> AsyncIterator[list[str]]:
    """Write elsewhere and read the conversation all the time; fail if a read ever shows less than there was. Yield what
    was written."""
    anns, bobs, other = town.client(town.ann), town.client(town.bob), uuid4()
    written: list[str] = []
    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            answer = await done(
                anns.post("/messages", json={"participants": [str(town.ann), str(other)], "body": "more"})
            )
            written.append(answer.json()["message_id"])
            await asyncio.sleep(0.01)

    async def read() -> None:
        while not over.is_set():
            answer = await done(bobs.get(f"/conversations/{conversation['id']}/messages?order=oldest&limit=200"))
            assert [each["id"] for each in answer.json()["data"]] == conversation["message_ids"]
            assert len(await inbox(bobs)) >= 27

    async with asyncio.TaskGroup() as people:
        for each in (write, read, read):
            people.create_task(each())
        yield written
        over.set()


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("group", [HISTORY, INBOX])
async def test_rebuilt_while_people_write_and_read(town: Town, group: str) -> None:
    context, tables = tables_of(group)
    async with town.running():
        conversation = await town.fill()
        first, made = without_uncounted(await town.rows(context, tables)), await town.catalogue(context)
        async with life(town, conversation) as written:
            answer = await command("rebuild", group, "--keep")
            assert answer.exit_code == 0, answer.output
            former = await town.rows(f"{context}_before", tables)
            during = len(written)
            await eventually(lambda: asyncio.sleep(0, len(written)), until=lambda count: count > during + 20)
        await town.caught_up()
        second = without_uncounted(await town.rows(context, tables))
        again = await command("rebuild", group)
        third = without_uncounted(await town.rows(context, tables))

    assert all(first[table] for table in tables)
    for table in tables:  # nobody has changed since what was there first
        now = by_id(second[table])
        assert {id_: now.get(id_) for id_ in by_id(first[table])} == by_id(first[table])
        assert by_id(former[table]).keys() <= now.keys()
    ids = [row["message_id"] if group == HISTORY else row["cause_id"] for row in second[tables[0]]]
    assert set(written) <= {str(each) for each in ids}
    assert len(ids) == len(first[tables[0]]) + len(written)
    assert again.exit_code == 0, again.output
    assert third == second
    assert await town.catalogue(context) == made
    assert await town.fetch(SCHEMAS) == []


def by_id(rows: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Return the rows by their first column, which is the key of every table here."""
    return {next(iter(row.values())): row for row in rows}


@pytest.mark.usefixtures("commands")
async def test_what_was_lost_is_there_again_and_what_was_erased_is_not(town: Town) -> None:
    async with town.running():
        conversation = await town.fill()
        before = await town.rows("messaging", ("message", "message_edit", "conversation", "erasure"))
        await town.fetch("delete from messaging.message where body <> ''")
        await town.fetch("delete from messaging.message_edit")
        await town.fetch("update messaging.conversation set title = 'wrong', member_ids = '{}'")
        dry = await command("rebuild", HISTORY, "--dry-run")
        answer = await command("rebuild", HISTORY)
        after = await town.rows("messaging", ("message", "message_edit", "conversation", "erasure"))
        await done(town.client(town.ann).get(f"/conversations/{conversation['id']}/messages"))

    assert dry.exit_code == answer.exit_code == 0, (dry.output, answer.output)
    assert "messaging.message, messaging.message_edit, messaging.conversation" in dry.stdout
    assert without_uncounted(after) == without_uncounted(before)
    erased = [row for row in after["message"] if row["erased_at"]]
    assert [row["body"] for row in erased] == ["", ""]
    assert [row["version"] for row in erased] == [1, 1]  # the edit was not even stored: its erasure was known
    assert "secret" not in str(after)


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize(
    ("point", "ending", "leaves"),
    [
        ("made", -9, [("messaging_rebuild",)]),
        ("reading", -9, [("messaging_rebuild",)]),
        ("switched", -9, [("messaging_rebuild",)]),
        ("interrupted", 0, []),
    ],
)
async def test_ended_at_any_point_it_has_changed_nothing_and_is_repeated(
    town: Town, point: str, ending: int, leaves: list[tuple[str]]
) -> None:
    tables = ("message", "message_edit", "conversation")
    async with town.running():
        await town.fill()
        before, made = await town.rows("messaging", tables), await town.catalogue("messaging")
        assert await died(town, point) == ending
        left, survived = await town.fetch(SCHEMAS), await town.rows("messaging", tables)
        await send(town.client(town.ann), [town.ann, town.bob], "it goes on")
        await town.fetch("delete from messaging.message where body = 'it goes on'")

        async def repeated() -> bool:  # the server may still be about to notice the death
            answer = await command("rebuild", HISTORY)
            assert answer.exit_code == 0 or "rebuild_running" in answer.output, answer.output
            return answer.exit_code == 0

        await eventually(repeated)
        after = await town.rows("messaging", tables)

    assert left == leaves
    assert survived == before
    assert [row["body"] for row in after["message"]].count("it goes on") == 1
    assert len(after["message"]) == len(before["message"]) + 1
    assert await town.catalogue("messaging") == made
    assert await town.fetch(SCHEMAS) == []
    runs = await town.fetch("select consumer from messaging.\"position\" where consumer like '%.rebuild-%'")
    assert runs == []


async def died(town: Town, point: str) -> int | None:
    script = (sys.executable, "-m", "tests.integration.rebuild_that_dies", point, "rebuild", HISTORY)
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment(town.house)}
    process = await asyncio.create_subprocess_exec(*script, env=variables, cwd=ROOT)
    try:
        return await asyncio.wait_for(process.wait(), 60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


@pytest.mark.usefixtures("commands")
async def test_refused_where_it_would_lose_or_repeat(town: Town) -> None:
    unknown = await command("rebuild", "messaging.nobody")
    await town.fetch("create view public.hanging as select body from messaging.message")
    hanging = await command("rebuild", HISTORY)
    await town.fetch("drop view public.hanging")
    await town.fetch("create publication outside for table messaging.message")
    published = await command("rebuild", HISTORY)
    await town.fetch("drop publication outside")
    async with town.owner.driver() as connection:
        await connection.execute("select pg_advisory_lock(7101, hashtext('messaging'))")
        beside = await command("rebuild", HISTORY)
        await connection.execute("select pg_advisory_unlock_all()")
    async with town.running():
        await town.fill()
    await delete_records(town.house.kafka, "messages")
    gone = await command("rebuild", HISTORY)

    codes = ["group_not_found", "tables_differ", "tables_differ", "rebuild_running", "records_gone"]
    for answer, code in zip((unknown, hanging, published, beside, gone), codes, strict=True):
        assert answer.exit_code == 1
        assert code in answer.stderr, (code, answer.output)
    assert await town.fetch(SCHEMAS) == []


@pytest.mark.usefixtures("commands")
async def test_a_group_that_does_not_run_goes_on_behind_what_was_rebuilt(town: Town) -> None:
    log = KafkaLog(town.house.commands, town.house.codec)
    many = [message(town.ann, [uuid4()], str(number)) for number in range(3_000)]
    await asyncio.gather(*(log.publish(each) for each in many))

    answer = await command("rebuild", HISTORY)
    rebuilt = await town.rows("messaging", ("message",))
    views = await town.house.group_operations.view([HISTORY])
    async with town.running():
        await log.publish(message(town.ann, [town.bob], "next"))
        await town.caught_up()
    stored = await town.rows("messaging", ("message",))

    assert answer.exit_code == 0, answer.output
    assert {row["message_id"] for row in rebuilt["message"]} == {each.message_id for each in many}
    assert views[0].lag == 0
    assert len(stored["message"]) == len(rebuilt["message"]) + 1


@pytest.mark.usefixtures("commands")
async def test_its_dead_letters_are_those_that_fail_now(town: Town) -> None:
    async with town.running():
        await send(town.client(town.ann), [town.ann, town.bob], "fine")
        position = await town.house.commands.send("messages", "k", b"no event", [])
        place = f"{town.house.kafka.topic('messages')}/{position.partition}/{position.offset}"
        letters = "select topic || '/' || partition || '/' || place from messaging.dead_letter where consumer = $1"
        name = town.house.kafka.topic(HISTORY)
        await eventually(lambda: town.fetch(letters, name), until=lambda found: found == [(place,)])
        columns = (
            "key, value, header_names, header_values, produced_ms, type, error, stack, attempts, buried_at, is_due"
        )
        await town.fetch(  # as if the first record had failed before the code was mended
            f"insert into messaging.dead_letter (consumer, topic, partition, place, {columns}) "
            f"select consumer, topic, (partition + 1) % 6, 0, {columns} from messaging.dead_letter"
        )
        assert len(await town.fetch(letters, name)) == 2
        answer = await command("rebuild", HISTORY)
        left = await town.fetch(letters, name)

    assert answer.exit_code == 0, answer.output
    assert left == [(place,)]
    assert await town.fetch("select consumer from messaging.dead_letter") == [(name,)]


@pytest.mark.usefixtures("commands")
async def test_whoever_holds_a_table_for_long_delays_the_switch_and_not_the_readers(town: Town) -> None:
    async with town.running():
        conversation = await town.fill()
        bobs = town.client(town.bob)
        async with town.owner.driver() as connection:
            holding = connection.transaction()
            await holding.start()
            await connection.fetch("select count(*) from messaging.message")
            rebuilding = asyncio.create_task(command("rebuild", HISTORY))
            waiting = "select 1 from pg_locks where not granted and mode = 'AccessExclusiveLock'"
            tried = 0
            while tried < 2:  # it let go in between
                await eventually(lambda: town.fetch(waiting))
                async with asyncio.timeout(60):
                    await done(bobs.get(f"/conversations/{conversation['id']}/messages"))
                await eventually(lambda: town.fetch(waiting), until=lambda found: not found)
                tried += 1
            assert not rebuilding.done()
            await holding.rollback()
        answer = await rebuilding

    assert answer.exit_code == 0, answer.output
