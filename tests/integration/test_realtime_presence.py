"""Who is there, across two nodes: over all sockets of a user, without flicker and ghosts, and only for whom they show it to."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from bounded_contexts.realtime.adapters import tables
from bounded_contexts.realtime.adapters.presence_postgres import PostgresPresences
from bounded_contexts.realtime.adapters.sessions_postgres import PostgresSessions
from bounded_contexts.realtime.application.ports import SessionNote
from headwater import wiring
from headwater.wiring import House
from schemas.messaging.events import ConversationStarted
from tests.integration.nodes import Device, Node, device, node
from tests.probes import eventually


@pytest.fixture(scope="module")
async def nodes(house: House) -> AsyncIterator[tuple[Node, Node]]:
    async with node(house) as one, node(house) as other:
        yield one, other


async def watches(by: Device, *users: UUID) -> list[tuple[str, bool]]:
    """Subscribe; return each one's status, and whether it is told when they were last seen."""
    answer = await by.ask("presence.subscribe", {"user_ids": [str(user) for user in users]})
    assert answer["ok"], answer
    assert [each["user_id"] for each in answer["data"]["presences"]] == [str(user) for user in users]
    return [_state(each) for each in answer["data"]["presences"]]


async def hears(by: Device, count: int) -> list[tuple[str, bool]]:
    """Wait until so many changes were told and return them all."""

    async def told() -> list[tuple[str, bool]]:
        return [_state(data) for name, data in by.about if name == "presence.changed"]

    return await eventually(told, until=lambda found: len(found) >= count)


def _state(presence: dict[str, Any]) -> tuple[str, bool]:
    return presence["status"], presence["last_seen"] is not None


async def test_a_user_is_there_from_the_first_socket_to_the_last_on_any_node(
    house: House, nodes: tuple[Node, Node]
) -> None:
    one, other = nodes
    ann = uuid4()
    async with device(other, uuid4(), house) as watcher:
        assert await watches(watcher, ann, uuid4()) == [("offline", False)] * 2
        async with device(one, ann, house):
            assert await hears(watcher, 1) == [("online", False)]
        async with device(other, ann, house) as reloaded:  # nobody notices
            async with device(one, ann, house) as tablet:
                assert (await tablet.ask("presence.set", {"status": "away"}))["data"] == {"status": "away"}
                await hears(watcher, 2)
            await reloaded.ask("presence.set", {"status": "dnd"})
            await hears(watcher, 3)
        left = datetime.now(UTC)
        assert await hears(watcher, 4) == [("online", False), ("away", False), ("dnd", False), ("offline", True)]
        seen = [data["last_seen"] for name, data in watcher.about if name == "presence.changed"][-1]
        assert abs(datetime.fromisoformat(seen) - left) < timedelta(seconds=3)
        async with device(one, ann, house):  # a chosen status outlives the sockets
            assert (await hears(watcher, 5))[-1] == ("dnd", False)


async def test_a_node_that_was_killed_leaves_no_ghosts(house: House, nodes: tuple[Node, Node]) -> None:
    """What it leaves is a row of its own that grows old, and the rows of sockets that nobody ends."""
    _, other = nodes
    ann = uuid4()
    left = SessionNote(uuid4().hex, ann, datetime.now(UTC), None, {}, None, None)
    async with device(other, uuid4(), house) as watcher:
        await watches(watcher, ann)
        await PostgresSessions(house.databases["realtime"], house.codec).note(uuid4(), {}, [left])

        assert await hears(watcher, 2) == [("online", False), ("offline", True)]


async def test_who_hides_is_offline_for_those_they_hide_from(house: House, nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    await _talk(house, ann, bob)
    async with (
        device(one, ann, house) as phone,
        device(other, bob, house) as contact,
        device(other, eve, house) as stranger,
    ):

        async def is_there() -> bool:
            return await watches(contact, ann) == await watches(stranger, ann) == [("online", False)]

        await eventually(is_there)
        for each in (contact, stranger):
            each.about.clear()
        for who, told in (("contacts", (0, 1)), ("nobody", (1, 1)), ("everybody", (2, 2))):
            assert (await phone.ask("presence.privacy", {"who": who}))["data"] == {"who": who}
            for each, count in zip((contact, stranger), told, strict=True):
                await hears(each, count)
        await phone.ask("presence.set", {"status": "invisible"})
        for each in (contact, stranger):
            assert await hears(each, 3) == [("offline", False), ("online", False), ("offline", True)]

        await phone.ask("presence.privacy", {"who": "contacts"})  # for who comes later, too
        async with device(one, bob, house) as late, device(one, eve, house) as nosy:
            assert (await watches(late, ann), await watches(nosy, ann)) == ([("offline", True)], [("offline", False)])
            await phone.ask("presence.set", {"status": "online"})
            assert await hears(late, 1) == [("online", False)]
            assert (await hears(stranger, 4))[-1] == ("offline", False)  # hidden from, not seen going
            assert await watches(nosy, ann) == [("offline", False)]


async def test_who_is_invisible_is_not_betrayed_by_leaving(house: House) -> None:
    database, ann, now = house.databases["realtime"], uuid4(), datetime.now(UTC)
    presences, sessions = PostgresPresences(database), PostgresSessions(database, house.codec)
    await presences.choose(ann, "invisible")
    (before,) = await presences.of([ann])
    for ended_at in (None, now + timedelta(seconds=30)):
        await sessions.note(uuid4(), {}, [SessionNote(uuid4().hex, ann, now, None, {}, None, ended_at)])
    (after,) = await presences.of([ann])

    assert before.seen_at == after.seen_at


async def test_who_was_on_a_node_that_was_killed_long_ago_was_seen_then(house: House) -> None:
    """Its sockets are forgotten, when they were seen is not."""
    database, ann, then = house.databases["realtime"], uuid4(), datetime.now(UTC) - timedelta(days=8)
    sessions, killed = PostgresSessions(database, house.codec), uuid4()
    await sessions.note(killed, {}, [SessionNote(uuid4().hex, ann, then, None, {}, None, None)])
    async with database.transaction() as connection:
        await connection.execute(sa.update(tables.node).where(tables.node.c.node == killed).values(seen_at=then))
    await sessions.prune()
    (ghost,) = await PostgresPresences(database).of([ann])

    assert (ghost.is_here, ghost.seen_at) == (False, then)
    async with database.transaction() as connection:
        assert not (await connection.execute(sa.select(tables.session).where(tables.session.c.user_id == ann))).all()


async def test_nonsense_is_refused_and_a_new_list_replaces_the_old(house: House, nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    ann, bob = uuid4(), uuid4()
    async with device(one, uuid4(), house) as watcher:
        many = [str(uuid4()) for _ in range(201)]
        for name, payload in (
            ("presence.set", {"status": "gone"}),
            ("presence.privacy", {"who": "friends"}),
            ("presence.subscribe", {"user_ids": many}),
            ("presence.subscribe", {"user_ids": ["?"]}),
        ):
            assert (await watcher.ask(name, payload))["error"]["code"] == "validation_failed"
        assert len(await watches(watcher, *map(UUID, many[1:]))) == 200
        await watches(watcher, ann)
        await watches(watcher, bob)
        async with device(one, ann, house), device(one, bob, house):
            await hears(watcher, 1)
        assert {data["user_id"] for name, data in watcher.about if name == "presence.changed"} == {str(bob)}
        assert await watches(watcher) == []


async def _talk(house: House, *members: UUID) -> None:
    """Have the read model list a conversation of these people."""
    started = ConversationStarted(
        conversation_id=uuid4(),
        kind="group",
        title="Harbour crew",
        metadata={},
        member_ids=members,
        started_by=members[0],
        started_at=datetime.now(UTC),
    )
    await wiring.messaging_ports(house).conversation_writer.changed(started)
