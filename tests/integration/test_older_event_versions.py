"""Events that a process of an older version wrote: read from the store and delivered like any others."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from uuid import uuid4

import pytest

from bounded_contexts.messaging.domain import conversation
from bounded_contexts.messaging.domain.commands import Rename
from bounded_contexts.messaging.domain.conversation import ConversationEvent
from headwater.wiring import House
from infra.avro import Codec
from infra.event_store_postgres import PostgresEventStore
from infra.kafka_log import KafkaLog
from schemas.messaging.events import ConversationRenamed, ConversationStarted, MemberJoined
from shared_kernel.decider import execute
from tests.integration.nodes import Node, device, message, node

Store = PostgresEventStore[ConversationEvent]

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class OldJoined(MemberJoined):
    """`MemberJoined` as it was before it named the members."""

    VERSION: ClassVar[int] = 1
    SCHEMA: ClassVar[str] = "messaging/member_joined.1.avsc"

    def to_record(self) -> dict[str, Any]:
        return {name: value for name, value in MemberJoined.to_record(self).items() if name != "member_ids"}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        return super().from_record(record | {"member_ids": ()})


class OldRenamed(ConversationRenamed):
    """`ConversationRenamed` as it was before it named the members."""

    VERSION: ClassVar[int] = 1
    SCHEMA: ClassVar[str] = "messaging/conversation_renamed.1.avsc"

    def to_record(self) -> dict[str, Any]:
        return {name: value for name, value in ConversationRenamed.to_record(self).items() if name != "member_ids"}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        return super().from_record(record | {"member_ids": ()})


@pytest.fixture
async def old_codec(house: House) -> Codec:
    """How a process of the older version writes, with the same registry."""
    codec = Codec(house.codec.registry, (ConversationStarted, OldJoined, OldRenamed))
    await codec.start()
    return codec


@pytest.fixture
async def gateway(house: House) -> AsyncIterator[Node]:
    async with node(house) as running:
        yield running


async def test_a_group_begun_in_the_older_version_goes_on_in_the_newer_one(house: House, old_codec: Codec) -> None:
    database = house.databases["messaging"]
    old, new = Store(database, "messaging", old_codec), Store(database, "messaging", house.codec)
    group, (ann, bob, cem) = uuid4(), sorted((uuid4(), uuid4(), uuid4()))
    started = ConversationStarted(
        conversation_id=group,
        kind="group",
        title="a",
        metadata={},
        started_by=ann,
        member_ids=(ann, bob),
        started_at=NOW,
    )
    joined = OldJoined(conversation_id=group, member_id=cem, added_by=ann, joined_at=NOW)
    renamed = OldRenamed(conversation_id=group, title="b", renamed_by=ann, renamed_at=NOW)
    await old.append(group, 0, (started, joined, renamed))

    state, version, events = await execute(
        conversation, new, group, Rename(conversation_id=group, title="c", asker_id=cem, at=NOW)
    )

    assert (state.title, state.members, version) == ("c", frozenset((ann, bob, cem)), 4)
    assert [event.member_ids for event in events if isinstance(event, ConversationRenamed)] == [(ann, bob, cem)]
    assert (await old.load(group))[1] == 4  # while both versions run, the older one reads what the newer one wrote


async def test_an_older_change_of_a_group_reaches_whom_it_names(house: House, old_codec: Codec, gateway: Node) -> None:
    ann, bob, group = uuid4(), uuid4(), uuid4()
    async with device(gateway, ann, house) as phone:
        await KafkaLog(house.commands, old_codec).publish(
            OldRenamed(conversation_id=group, title="b", renamed_by=ann, renamed_at=NOW)
        )
        await KafkaLog(house.commands, house.codec).publish(message(bob, [ann], "then"))
        await phone.hears("then")

        assert "b" in [event["data"].get("title") for event in phone.events]
