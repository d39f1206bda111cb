"""Real servers, real crashes, and a bug of the kind that loses messages: the checker finds it, and finds nothing without."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from contextvars import Context
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from bounded_contexts.messaging.domain import conversation
from bounded_contexts.messaging.domain.commands import StartGroup
from infra.event_store_postgres import PostgresEventStore
from infra.outbox_relay import OutboxRelay
from shared_kernel.decider import execute
from tests.crash.small import Small, small
from tests.integration.test_crashes import running
from tests.probes import eventually
from tests.servers import Servers

TAIL = "select id, topic, key, body, headers::text from messaging.outbox where id > $1 order by id"
HISTORY, INBOX = "messaging.history", "notifications.inbox"


class TailingRelay(OutboxRelay):
    """Reads what is above the highest id it has sent."""

    last = 0

    async def _relay(self, connection: Any) -> None:
        while True:
            rows = await connection.fetch(TAIL, self.last)
            for row in rows:
                headers = [(name, value.encode()) for name, value in json.loads(row["headers"])]
                await self._producer.send(row["topic"], row["key"], row["body"], headers)
                await connection.execute("delete from messaging.outbox where id = $1", row["id"])
                self.last = row["id"]
            await asyncio.sleep(0.01)


@pytest.fixture
async def own(servers: Servers, tmp_path: Path) -> AsyncIterator[Small]:
    async with small(servers, tmp_path) as installation:
        yield installation


@pytest.mark.parametrize(("bug", "found"), [("none", set()), ("position_first", {"lost", "position"})])
async def test_a_position_committed_before_its_effect(own: Small, bug: str, found: set[str], tmp_path: Path) -> None:
    ann, bob = uuid4(), uuid4()
    async with (
        running(own.house, INBOX),
        own.process("tests.crash.planted", bug, "dies", str(tmp_path / "died")) as doomed,
    ):
        await own.send(ann, [bob], "one")
        assert await asyncio.wait_for(doomed.wait(), 60) == -signal.SIGKILL
        async with running(own.house, HISTORY):
            await own.send(ann, [bob], "two")
            await own.caught_up(HISTORY, INBOX)
            await own.look()
            violations = await own.violations()

    assert (tmp_path / "died").exists()
    assert found <= {each.kind for each in violations}
    assert bool(violations) == bool(found)


@pytest.mark.parametrize(("bug", "found"), [("none", set()), ("no_fence", {"unfinished", "position"})])
async def test_a_member_that_wakes_late_and_is_not_fenced(
    own: Small, bug: str, found: set[str], tmp_path: Path
) -> None:
    ann, bob = uuid4(), uuid4()
    async with (
        running(own.house, INBOX),
        own.process("tests.crash.planted", bug, "stalls", str(tmp_path / "stalled")) as zombie,
    ):
        await own.send(ann, [bob], "one")
        await eventually(lambda: exists(tmp_path / "stalled"))
        await own.send(ann, [bob], "two")
        async with running(own.house, HISTORY):
            await own.caught_up(HISTORY, INBOX)
            os.kill(zombie.pid, signal.SIGCONT)
            assert await asyncio.wait_for(zombie.wait(), 60) == -signal.SIGKILL
            await own.look()
            violations = await own.violations()

    assert found <= {each.kind for each in violations}
    assert bool(violations) == bool(found)


@pytest.mark.parametrize(("bug", "found"), [("none", set()), ("no_inbox", {"doubled"})])
async def test_effects_committed_before_their_position_by_who_does_not_go_by_ids(
    own: Small, bug: str, found: set[str], tmp_path: Path
) -> None:
    owner = await asyncpg.connect(own.sources.database_url)
    await owner.execute("alter table messaging.message drop constraint message_pkey")  # nothing else may stop it
    await owner.close()
    program = ("tests.crash.planted", bug)
    await own.send(uuid4(), [uuid4()], "one")
    async with running(own.house, INBOX), own.process(*program, "dies before the commit", str(tmp_path)) as doomed:
        assert await asyncio.wait_for(doomed.wait(), 60) == -signal.SIGKILL
        async with own.process(*program, "lives", str(tmp_path)):
            await own.caught_up(HISTORY, INBOX)
            violations = await own.violations()

    assert found <= {each.kind for each in violations}
    assert bool(violations) == bool(found)


@pytest.mark.parametrize(("bug", "found"), [("none", set()), ("skipped_key", {"lost", "position"})])
async def test_a_key_that_is_left_out_while_it_is_in_trouble(
    own: Small, bug: str, found: set[str], tmp_path: Path
) -> None:
    for number in range(6):
        await own.send(uuid4(), [uuid4()], f"{number}")
    marker = tmp_path / "stumbled"
    async with running(own.house, INBOX), own.process("tests.crash.planted", bug, "stumbles", str(marker)):
        await own.caught_up(HISTORY, INBOX)
        await own.look()
        violations = await own.violations()

    assert marker.exists()
    assert found <= {each.kind for each in violations}
    assert bool(violations) == bool(found)


@pytest.mark.parametrize(("relay", "found"), [(OutboxRelay, set()), (TailingRelay, {"lost", "unfinished"})])
async def test_a_relay_that_tails_by_the_highest_id(own: Small, relay: type[OutboxRelay], found: set[str]) -> None:
    database = own.house.databases["messaging"]
    store = PostgresEventStore[Any](database, "messaging", own.house.codec)

    async def start_group() -> UUID:
        starter, id_ = uuid4(), uuid4()
        ask = StartGroup(
            conversation_id=id_, title=f"{id_}", member_ids=(), starter_id=starter, at=datetime.now(UTC),
            public=False, metadata={},
        )  # fmt: skip
        await execute(conversation, store, id_, ask)
        return id_

    sending = asyncio.create_task(relay(database, "messaging", own.house.bulk).run())
    async with running(own.house, HISTORY), running(own.house, INBOX):
        async with database.transaction():
            await start_group()
            elsewhere = asyncio.create_task(start_group(), context=Context())  # not in our transaction
            await listed(own, await elsewhere)
        await listed(own, await start_group())
        await own.send(uuid4(), [uuid4()], "hello")
        await own.caught_up(HISTORY, INBOX)
        violations = await own.violations()
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending

    assert found <= {each.kind for each in violations}
    assert bool(violations) == bool(found), violations


async def listed(own: Small, group: UUID) -> None:
    """Wait until the group is in the list of conversations."""
    connection = await asyncpg.connect(own.sources.database_url)

    async def found() -> bool:
        return bool(await connection.fetchval("select 1 from messaging.conversation where conversation_id = $1", group))

    try:
        await eventually(found)
    finally:
        await connection.close()


async def exists(path: Path) -> bool:
    return path.exists()
