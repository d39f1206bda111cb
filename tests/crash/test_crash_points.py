"""A process comes to a crash point, dies there, is started again, and nothing is lost, doubled or out of order.

Points of one kind come one after the other in one installation, kinds at once: a member that died is one for 6 s more.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from bounded_contexts.audit.application.verify import verify
from headwater import wiring
from infra.consumer import ConsumerRunner
from infra.crash_points import CRASH_POINTS, CrashPoint
from infra.dead_letters import Choice
from infra.local.ports import LOOPBACK, free_port
from infra.outbox_relay import OutboxRelay
from infra.recorder import RecorderRunner
from schemas.payments.events import AuthorizePayment
from tests.crash.checker import Violation
from tests.crash.small import Small, small
from tests.crash.workload import Client
from tests.integration.test_crashes import running
from tests.integration.test_transform import turned
from tests.participants import Participants
from tests.probes import eventually
from tests.saga_role import lose_patience
from tests.servers import Servers

HISTORY, INBOX, LOG, SAGAS = "messaging.history", "notifications.inbox", "audit.log", "sagas"
PAIRS = 6  # so that several partitions have one
DEATH_S = 60.0
LOOK_S = 0.5  # at a whole topic

Begun = Mapping[CrashPoint, "asyncio.Future[list[Violation]]"]
Story = Callable[[Small, str], Awaitable[list[Violation]]]  # what is done until it dies at `name:nth`, and after that


@asynccontextmanager
async def going_on(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def dies(own: Small, *module: str, at: str) -> None:
    """Run a module until it has killed itself there."""
    async with own.process(*module, HEADWATER_CRASH_AT=at) as doomed:
        assert await asyncio.wait_for(doomed.wait(), DEATH_S) == -signal.SIGKILL


async def talk(own: Small, pairs: int = PAIRS) -> list[list[str]]:
    """Send two messages in each of so many conversations; return their ids, conversation by conversation."""

    async def pair() -> list[str]:
        ann, bob = uuid4(), uuid4()
        return [await own.send(ann, [bob], f"{ann} {number}") for number in range(2)]

    return list(await asyncio.gather(*(pair() for _ in range(pairs))))


async def rename(own: Small) -> None:
    """Start a group and rename it."""
    ann = str(uuid4())
    body = {"title": "group", "member_ids": [str(uuid4())]}
    answer = (await own.sources.rest(ann).post("/conversations", json=body)).raise_for_status()
    await Client(ann, own.sources.rest, own.history).rename(answer.json()["id"])


async def afterwards(own: Small, letters: int = 0) -> list[Violation]:
    """Run everything until nothing but so many dead letters a group is left; return what the checker says."""
    relay = OutboxRelay(own.house.databases["messaging"], "messaging", own.house.bulk)
    connection = await asyncpg.connect(own.sources.database_url)
    try:
        async with going_on(relay.run()), running(own.house, HISTORY), running(own.house, INBOX):
            await eventually(lambda: connection.fetchval("select not exists (select from messaging.outbox)"))
            await own.caught_up(HISTORY, INBOX)
            await eventually(lambda: counted(own), until=lambda found: found == letters)
            await own.look()
    finally:
        await connection.close()
    return await own.violations()


async def counted(own: Small) -> int:
    return await own.house.group_operations.count_letters(HISTORY, Choice())


def role(name: str) -> Story:
    """The role has something to do before its death and after it."""

    async def story(own: Small, at: str) -> list[Violation]:
        await asyncio.gather(talk(own), *(rename(own) for _ in range(2)))
        await dies(own, "headwater", "run", name, "--port", "0", at=at)
        await asyncio.gather(talk(own, 2), rename(own))
        return await afterwards(own)

    return story


async def web(own: Small, at: str) -> list[Violation]:
    """Clients repeat what was not answered until the next process answers."""
    port, ann, bob = str(free_port()), str(uuid4()), str(uuid4())
    inside = own.sources.rest(ann)
    answer = await inside.post("/conversations", json={"title": "group", "member_ids": [bob]})
    group = answer.raise_for_status().json()["id"]
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}/api/v1", headers=inside.headers) as api:
        client = Client(ann, lambda _: api, own.history)

        async def ask() -> None:
            for _ in range(3):
                await client.rename(group)
                assert await client.send([ann, bob]) == "ok"

        async with own.process("headwater", "run", "web", "--port", port, HEADWATER_CRASH_AT=at) as doomed:
            asking = asyncio.create_task(ask())
            assert await asyncio.wait_for(doomed.wait(), DEATH_S) == -signal.SIGKILL
        async with own.process("headwater", "run", "web", "--port", port):
            await asking
    return await afterwards(own)


async def letter(own: Small, at: str) -> list[Violation]:
    """Both groups find a record that is no event; one dies over it."""
    await talk(own)
    await own.house.bulk.send("messages", "key", b"no event", [])
    await dies(own, "headwater", "run", HISTORY, "--port", "0", at=at)
    found = await afterwards(own, letters=1)
    assert sum(each.kind == "dead" for each in found) == 2
    return [each for each in found if each.kind != "dead"]


async def redrive(own: Small, at: str) -> list[Violation]:
    """A whole conversation fails, is mended and redriven."""
    ann, bob = uuid4(), uuid4()
    for number in range(3):
        await own.send(ann, [bob], f"{ann} {number}")

    async def refuse(_: object) -> None:
        raise ValueError("not today")

    house = own.house
    ((consumer,),) = [module.consumers for module in house.modules if module.name == "messaging"]
    failing = replace(consumer, handlers=tuple(replace(each, call=refuse) for each in consumer.handlers))
    runner = ConsumerRunner(failing, house.broker, house.codec, house.groups["messaging"], house.bulk)
    async with going_on(runner.run()):
        await eventually(lambda: counted(own), until=lambda found: found == 3)
    assert await house.group_operations.redrive(HISTORY, Choice()) == 3
    await dies(own, "headwater", "run", HISTORY, "--port", "0", at=at)
    return await afterwards(own)


async def record(own: Small, at: str) -> list[Violation]:
    """The audit log has every record once, and its chains hold."""
    await talk(own)
    await dies(own, "headwater", "run", LOG, "--port", "0", at=at)
    await talk(own, 2)
    found, house = await afterwards(own), own.house
    (recorder,) = [module.recorder for module in house.modules if module.recorder]
    runner = RecorderRunner(recorder, house.broker, house.codec, house.groups["audit"], house.bulk)
    async with going_on(runner.run()):
        await own.caught_up(LOG)
    report = await verify(wiring.audit_ports(own.settings, house.databases["audit"]), None, lambda *_: None)
    assert report.holds
    assert report.records == sum((await own.evidence()).ends.values())
    return found


async def lanes(own: Small, at: str) -> list[Violation]:
    """Every message is handled, in the order of its conversation; once, if one goes by ids."""
    noted = own.path.with_name("handled")
    said = await talk(own)
    await dies(own, "tests.crash.doomed", "lanes", str(noted), at=at)
    said += await talk(own, 2)
    ids = {id_ for conversation in said for id_ in conversation}
    async with own.process("tests.crash.doomed", "lanes", str(noted)):
        await eventually(lambda: handled(noted), until=lambda found: ids <= set(found))
    return list(compared(said, list(dict.fromkeys(await handled(noted)))))


async def handled(noted: Path) -> list[str]:
    return noted.read_text().split()


async def transform(own: Small, at: str) -> list[Violation]:
    """Every message is turned once, in the order of its conversation."""
    said = await talk(own)
    await dies(own, "tests.crash.doomed", "transform", at=at)
    said += await talk(own, 2)
    ids = {UUID(id_) for conversation in said for id_ in conversation}
    async with own.process("tests.crash.doomed", "transform"):
        await eventually(lambda: turned(own.house), until=lambda found: ids <= set(found), every=LOOK_S)
    return list(compared(said, [str(each) for each in await turned(own.house)]))


def compared(said: list[list[str]], found: list[str]) -> list[Violation]:
    """Return what is lost, doubled or reordered of conversations."""
    return [
        Violation("wrong", f"{ids} became {there}")
        for ids in said
        if (there := [each for each in found if each in ids]) != ids
    ]


async def sagas(own: Small, at: str) -> list[Violation]:
    """Some orders go well, some are refused, some payments are not answered: each order comes to one end, with nothing held
    for what is rejected, and what a saga's history says was asked for was heard so many times."""
    participants, orders = Participants(own.house), [uuid4() for _ in range(12)]
    silent, member = orders[::3], ("headwater", "run", SAGAS, "--port", "0")
    relay = OutboxRelay(own.house.databases[SAGAS], SAGAS, own.house.bulk)
    participants.muted |= {(order, AuthorizePayment) for order in silent}
    async with participants.running(), going_on(relay.run()), going_on(waiting(own, silent)):
        for number, order in enumerate(orders):
            await participants.place(order, *(("CommitStock",) if number % 3 == 1 else ()))
        await dies(own, *member, at=at)
        async with own.process(*member):
            await eventually(
                lambda: rows(own, ENDED, orders), until=lambda found: found[0][0] == len(orders), every=LOOK_S
            )
    asked = {row["key"]: row["times"] for row in await rows(own, ASKED, orders)}
    heard = Counter(order for order, _ in participants.heard)
    return [
        *(Violation("doubled", f"{order}") for order in orders if heard[order] != asked[order]),
        *(
            Violation("wrong", f"{world}")
            for number, order in enumerate(orders)
            if (world := participants.worlds[order]).order != ("confirmed" if number % 3 == 2 else "rejected")
            or world.is_clean != (world.order == "rejected")
        ),
    ]


async def waiting(own: Small, orders: list[UUID]) -> None:
    """Have the sagas of these orders have waited for their payment as soon as it is asked for."""
    connection = await asyncpg.connect(own.sources.database_url)
    try:
        while True:
            await lose_patience(connection, orders, "authorise payment")
            await asyncio.sleep(LOOK_S)
    finally:
        await connection.close()


async def rows(own: Small, query: str, orders: list[UUID]) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(own.sources.database_url)
    try:
        return list(await connection.fetch(query, orders))
    finally:
        await connection.close()


ENDED = "select count(*) from sagas.saga where key = any($1) and ended_at is not null"
ASKED = """
select key, count(*) as times from sagas.note join sagas.saga on id = saga where what like '%asked%' and key = any($1)
group by key"""


STORIES: tuple[tuple[Story, Mapping[CrashPoint, int]], ...] = (  # and at which time each point is meant
    (web, {"append.before-commit": 2, "append.after-commit": 2, "publish.after-acknowledgement": 2}),
    (
        role("relay"),
        {
            "relay.before-publish": 1,
            "relay.after-publish": 1,
            "relay.after-acknowledgement": 1,
            "relay.after-deletion": 1,
        },
    ),
    (role(HISTORY), {"claim.after-commit": 1, "batch.after-position": 2, "batch.after-commit": 2}),
    (role(INBOX), {"batch.before-commit": 2, "offset.before-commit": 1, "offset.after-commit": 1}),
    (lanes, {"lanes.before-commit": 1, "lanes.after-commit": 1}),
    (letter, {"letter.after-publish": 1}),
    (redrive, {"redrive.before-commit": 2, "redrive.after-commit": 2}),
    (record, {"record.before-commit": 2, "record.after-commit": 2}),
    (sagas, {"saga.after-save": 3, "timer.before-commit": 2, "timer.after-commit": 2}),
    (transform, {"transform.after-publish": 2, "transform.before-commit": 2, "transform.after-commit": 2}),
)


@pytest.fixture(scope="module")
async def stories(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Begun]:
    """What comes of each point that is tested."""
    wanted = {point for point in CRASH_POINTS if any(f"[{point}]" in item.name for item in request.session.items)}
    ends: Begun = {point: asyncio.get_running_loop().create_future() for point in CRASH_POINTS}

    async def told(story: Story, points: Mapping[CrashPoint, int]) -> None:
        try:
            async with small(servers, tmp_path_factory.mktemp("story")) as own:
                for point in points:
                    ends[point].set_result(await story(own, f"{point}:{points[point]}"))
        except Exception as error:
            for point in points:
                if not ends[point].done():
                    ends[point].set_exception(error)

    chosen = [(story, {at: nth for at, nth in points.items() if at in wanted}) for story, points in STORIES]
    tasks = [asyncio.create_task(told(story, points)) for story, points in chosen if points]
    yield ends
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_every_point_has_a_story() -> None:
    assert sorted(point for _, points in STORIES for point in points) == sorted(CRASH_POINTS)


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_a_death_there_loses_doubles_and_reorders_nothing(stories: Begun, point: CrashPoint) -> None:
    assert await stories[point] == []
