"""Sagas on real servers: events in, commands out, state and timers in between. The participants are the tests' own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from infra.outbox_relay import OutboxRelay
from infra.sagas.module import NAME
from schemas.inventory.events import ReserveStock
from schemas.ordering.events import RejectOrder
from schemas.payments.events import AuthorizePayment
from tests.crash.small import Small, small
from tests.orders import Told
from tests.participants import Participants
from tests.probes import during, eventually
from tests.saga_role import lose_patience, running_sagas
from tests.servers import Servers


@pytest.fixture(scope="module")
async def own(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Small]:
    """An installation of this file's own: sagas of all houses of a database are in one table."""
    async with small(servers, tmp_path_factory.mktemp("sagas")) as own:
        yield own


@pytest.fixture(scope="module")
async def connection(own: Small) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(own.sources.database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def participants(own: Small) -> AsyncIterator[Participants]:
    participants = Participants(own.house)
    relay = OutboxRelay(own.house.databases[NAME], NAME, own.house.bulk)
    async with participants.running(), during(relay.run()):
        yield participants


Row = Callable[[], Awaitable[asyncpg.Record | None]]


def saga(connection: "asyncpg.Connection[asyncpg.Record]", order: UUID, name: str = "order_fulfilment") -> Row:
    """Return what asks for the saga's row."""
    return lambda: connection.fetchrow("select * from sagas.saga where key = $1 and definition = $2", order, name)


def is_in(*phases: str) -> Callable[[Any], bool]:
    return lambda row: row is not None and row["phase"] in phases


async def history(connection: "asyncpg.Connection[asyncpg.Record]", id_: UUID) -> list[tuple[str, str]]:
    rows = await connection.fetch("select what, step from sagas.note where saga = $1 order by number", id_)
    return [(row["what"], row["step"]) for row in rows]


async def test_an_order_goes_through_its_saga(
    own: Small, participants: Participants, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    order = uuid4()
    async with running_sagas(own.house):
        await participants.place(order)
        row = await eventually(saga(connection, order), until=is_in("done", "undone"))

    assert row
    assert participants.worlds[order].order == "confirmed"
    assert (participants.worlds[order].stock, participants.worlds[order].money) == ("sold", "captured")
    asked = [name for whose, name in participants.heard if whose == order]
    assert sorted(asked) == ["AuthorizePayment", "CapturePayment", "CommitStock", "ConfirmOrder", "ReserveStock"]
    assert (row["phase"], row["ended_at"] > row["started_at"]) == ("done", True)
    told = await history(connection, row["id"])
    assert told[:2] == [("started", ""), ("asked", "reserve stock")]
    assert told[-2:] == [("went_on", "confirm order"), ("ended", "")]
    assert await connection.fetchval("select count(*) from sagas.step where due_at is not null") == 0


async def test_every_command_is_part_of_the_orders_own_flow(own: Small, participants: Participants) -> None:
    order = uuid4()
    async with running_sagas(own.house):
        await participants.place(order)
        await eventually(_world_is(participants, order, "confirmed"))

    commands = {name: each for (whose, name), each in participants.causes.items() if whose == order}
    assert len(commands) == 5
    assert len({each.correlation_id for each in commands.values()}) == 1
    assert {each.subject for each in commands.values()} == {str(order)}


async def test_what_is_refused_is_undone(
    own: Small, participants: Participants, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    order = uuid4()
    async with running_sagas(own.house):
        await participants.place(order, "CapturePayment")
        await eventually(saga(connection, order), until=is_in("undone"))

    world = participants.worlds[order]
    assert (world.order, world.is_clean) == ("rejected", True)
    reject = await participants.asked(order, RejectOrder)
    assert reject.reason == "payment_declined"


async def test_a_silent_step_is_undone_and_what_it_does_late_is_refused(
    own: Small, participants: Participants, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    order = uuid4()
    participants.muted.add((order, AuthorizePayment))
    async with running_sagas(own.house):
        await participants.place(order)
        command = await participants.asked(order, AuthorizePayment)
        await lose_patience(connection, [order], "authorise payment")
        row = await eventually(saga(connection, order), until=is_in("undone"))
        await participants.do(command)
        await own.caught_up(NAME)

    assert row
    assert ("silent", "authorise payment") in await history(connection, row["id"])
    world = participants.worlds[order]
    assert (world.order, world.is_clean) == ("rejected", True)
    assert await saga(connection, order)() == row


async def test_a_cancelled_order_is_undone_and_a_confirmed_one_is_refunded(
    own: Small, participants: Participants, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    early, late = uuid4(), uuid4()
    participants.muted.add((early, AuthorizePayment))
    async with running_sagas(own.house):
        await participants.place(early)
        await eventually(lambda: _heard(participants, early, AuthorizePayment.__name__))
        await participants.cancel(early)
        await participants.place(late)
        await eventually(_world_is(participants, late, "confirmed"))
        await participants.tell(Told(late).cancelled)
        await eventually(saga(connection, late, "order_refund"), until=is_in("done"))
        await eventually(saga(connection, early), until=is_in("undone"))

    assert participants.worlds[early].is_clean
    assert participants.worlds[late].is_clean


async def test_a_paused_group_fires_no_timer_and_puts_them_off(
    own: Small, participants: Participants, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    order = uuid4()
    participants.muted.add((order, ReserveStock))
    async with running_sagas(own.house) as runner:
        await participants.place(order)
        await eventually(lambda: _heard(participants, order, ReserveStock.__name__))
        await own.house.group_operations.pause(NAME)
        await connection.execute("update sagas.step set due_at = now() - interval '1 minute' where due_at is not null")
        await connection.execute("update sagas.clock set seen_at = now() - interval '1 hour'")

        await runner.fire()
        assert await connection.fetchval("select count(*) from sagas.step where due_at < now()") == 1
        await own.house.group_operations.resume(NAME)
        await runner.fire()

        (due,) = await connection.fetch("select due_at - now() as left from sagas.step where due_at is not null")
        assert timedelta(minutes=58) < due["left"] < timedelta(minutes=60)
        await connection.execute("update sagas.step set due_at = now() where due_at is not null")
        await eventually(saga(connection, order), until=is_in("undone"))


async def test_many_orders_at_once_come_to_one_end_each_with_two_members(
    own: Small, participants: Participants, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    orders = [uuid4() for _ in range(100)]
    async with running_sagas(own.house), running_sagas(own.house):
        await asyncio.gather(
            *(participants.place(order, *(("CommitStock",) if n % 5 == 0 else ())) for n, order in enumerate(orders))
        )
        ended = "select count(*) from sagas.saga where key = any($1) and ended_at is not null"
        await eventually(
            lambda: connection.fetchval(ended, orders), until=lambda count: count == len(orders), within=90
        )

    worlds = [participants.worlds[order] for order in orders]
    assert [world.order for world in worlds].count("rejected") == 20
    assert all(world.is_clean == (world.order == "rejected") for world in worlds)
    assert await connection.fetchval("select count(*) from sagas.dead_letter") == 0


async def _heard(participants: Participants, order: UUID, name: str) -> bool:
    return (order, name) in participants.heard


def _world_is(participants: Participants, order: UUID, status: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return participants.worlds[order].order == status

    return ask
