"""Who types where, across two nodes; and the signals by which nodes hear each other."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from bounded_contexts.messaging.application.commands import start_group
from bounded_contexts.messaging.domain.commands import StartGroup
from bounded_contexts.realtime.adapters.signals_postgres import PostgresSignals
from bounded_contexts.realtime.application.signals import PresenceChanged, Signal, Typed
from headwater import wiring
from headwater.wiring import House
from infra.kafka_reader import KafkaReader
from tests.integration.nodes import Device, Node, device, node
from tests.probes import during, eventually


@pytest.fixture(scope="module")
async def nodes(house: House) -> AsyncIterator[tuple[Node, Node]]:
    async with node(house) as one, node(house) as other:
        yield one, other


async def group_of(house: House, *members: UUID) -> str:
    """Start a conversation of these people."""
    starter, *others = members
    new = StartGroup(
        conversation_id=uuid4(),
        title="Harbour crew",
        member_ids=tuple(others),
        starter_id=starter,
        at=datetime.now(UTC),
    )
    await start_group(new, wiring.messaging_ports(house))
    return str(new.conversation_id)


def heard(by: Device) -> list[tuple[str, str]]:
    """Return what it was told about typing: what, and of whom."""
    return [(name, data["user_id"]) for name, data in by.about if name.startswith("typing.")]


async def hears(by: Device, count: int) -> list[tuple[str, str]]:
    async def told() -> list[tuple[str, str]]:
        return heard(by)

    return await eventually(told, until=lambda found: len(found) >= count)


async def test_members_on_every_node_are_told_and_nobody_else(house: House, nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    crew, all_three = await group_of(house, ann, bob), await group_of(house, eve, ann, bob)
    async with (
        device(one, ann, house) as phone,
        device(other, ann, house) as tablet,
        device(one, bob, house) as near,
        device(other, bob, house) as far,
        device(other, eve, house) as stranger,
    ):
        asked = {"conversation_id": crew}
        for _ in range(3):
            assert await phone.ask("typing.start", asked) == {"ok": True, "data": {}}
        for name in ("typing.start", "typing.stop"):
            assert (await phone.ask(name, {"conversation_id": "?"}))["error"]["code"] == "validation_failed"
        refused = await stranger.ask("typing.start", asked)
        assert (refused["error"]["code"], refused["error"]["status"]) == ("conversation_not_found", 404)
        assert (await stranger.ask("typing.stop", asked))["ok"]
        for _ in range(2):
            assert (await phone.ask("typing.stop", asked))["ok"]
        await stranger.ask("typing.start", {"conversation_id": all_three})  # told after all that

        for each in (near, far):
            told = await hears(each, 3)
            assert told == [("typing.started", str(ann)), ("typing.stopped", str(ann)), ("typing.started", str(eve))]
        for each in (phone, tablet):
            assert await hears(each, 1) == [("typing.started", str(eve))]
        assert heard(stranger) == []
        started = await far.is_told("typing.started")
        assert started["conversation_id"] == crew
        assert datetime.fromisoformat(started["expires_at"]) < datetime.now(UTC) + timedelta(seconds=7)


async def test_who_says_nothing_more_has_stopped_after_six_seconds_and_no_topic_knows(
    house: House, nodes: tuple[Node, Node]
) -> None:
    one, other = nodes
    ann, bob = uuid4(), uuid4()
    crew = await group_of(house, ann, bob)
    topics = [topic.name for module in house.modules for topic in module.topics]
    async with KafkaReader(house.kafka).open(topics) as reader:
        before = await reader.ends()
        async with device(other, bob, house) as far:
            async with device(one, ann, house) as phone:
                await phone.ask("typing.start", {"conversation_id": crew})
            told = await hears(far, 2)
        after = await reader.ends()

    assert told == [("typing.started", str(ann)), ("typing.stopped", str(ann))]
    assert after == before


async def test_a_node_whose_connection_was_cut_hears_again(house: House) -> None:
    database = house.databases["realtime"]
    signals, got = PostgresSignals(database), list[Signal]()
    async with during(signals.hear(got.append)):
        for turn in range(2):
            said = _typed(turn)

            async def is_heard(said: Typed = said) -> bool:
                await signals.send(said)
                return said in got

            await eventually(is_heard, every=0.1)
            cut = "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen %'"
            async with database.transaction() as connection:
                killed = (await connection.exec_driver_sql(cut)).all()
            assert killed


async def test_what_is_no_signal_of_ours_is_passed_by(house: House) -> None:
    database = house.databases["realtime"]
    signals, got = PostgresSignals(database), list[Signal]()
    said = _typed(1)
    strange: Sequence[Any] = (
        "",
        "[]",
        '{"kind": "Typed"}',
        '{"kind": "Typed", "signal": {}}',
        '{"kind": "New", "signal": 1}',
    )

    async def is_heard() -> bool:
        async with database.transaction() as connection:
            for text in strange:
                await connection.exec_driver_sql("select pg_notify('realtime', $1)", (text,))
        await signals.send(said)
        return said in got

    async with during(signals.hear(got.append)):
        await eventually(is_heard, every=0.1)
    assert {signal for signal in got if not isinstance(signal, PresenceChanged)} == {said}  # devices of other tests go


def _typed(number: int) -> Typed:
    return Typed(UUID(int=number), UUID(int=1), (UUID(int=2), UUID(int=3)), datetime(2026, 1, 1, tzinfo=UTC))
