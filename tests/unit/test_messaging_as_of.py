"""What messages and conversations were at a time, on the history in files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from bounded_contexts.messaging.adapters.history_jsonl import JsonLinesHistory
from bounded_contexts.messaging.application.commands import change_group, start_group
from bounded_contexts.messaging.application.earlier import conversation_as_of, message_as_of
from bounded_contexts.messaging.application.ports import Ports
from bounded_contexts.messaging.domain.commands import AddMember, RemoveMember, Rename, StartGroup
from bounded_contexts.messaging.domain.conversation import ConversationEvent
from bounded_contexts.messaging.domain.message import Message
from infra.memory import MemoryEventStore, MemoryLog
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent
from shared_kernel.errors import Forbidden, NotFound
from tests.unit.test_messaging_commands import ANN, BOB, EVE, GROUP, MemoryConversations, NothingStored

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class World:
    """A group of Ann and Bob, begun at 0, and a message of Ann's, sent at 1."""

    def __init__(self, directory: Path) -> None:
        self.clock = START
        self.history = JsonLinesHistory(directory)
        conversations = MemoryConversations()
        store: MemoryEventStore[ConversationEvent] = MemoryEventStore(lambda: self.clock)
        self.ports = Ports(
            store=store,
            log=MemoryLog(),
            history_writer=self.history,
            history=self.history,
            conversation_writer=conversations,
            conversations=conversations,
            stored=NothingStored(),
            now=lambda: self.clock,
        )
        self.message = uuid4()

    async def begin(self) -> None:
        start = StartGroup(conversation_id=GROUP, title="Crew", member_ids=(BOB,), starter_id=ANN, at=self.clock)
        await start_group(start, self.ports)
        sent = MessageSent(
            message_id=self.message,
            conversation_id=GROUP,
            sender_id=ANN,
            recipient_ids=(BOB,),
            client_id="1",
            body="first",
            sent_at=at(1),
        )
        await self.history.sent([sent])

    async def edit(self, body: str, minutes: float) -> None:
        edit = MessageEdited(
            edit_id=uuid4(),
            message_id=self.message,
            conversation_id=GROUP,
            editor_id=ANN,
            recipient_ids=(BOB,),
            body=body,
            edited_at=at(minutes),
        )
        await self.history.edited(edit)

    async def delete(self, minutes: float) -> None:
        deletion = MessageDeleted(
            message_id=self.message,
            conversation_id=GROUP,
            deleted_by=ANN,
            recipient_ids=(BOB,),
            deleted_at=at(minutes),
        )
        await self.history.deleted(deletion)

    async def erase(self, minutes: float) -> None:
        erasure = MessageErased(
            message_id=self.message,
            conversation_id=GROUP,
            erased_by=EVE,
            recipient_ids=(ANN, BOB),
            reason="",
            erased_at=at(minutes),
        )
        await self.history.erased(erasure)

    async def read(self, minutes: float, asker: UUID = BOB, *, former: bool = True) -> Message:
        return await message_as_of(self.message, asker, at(minutes), self.ports, may_see_former=former)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    await world.begin()
    return world


class TestMessages:
    async def test_each_text_stands_from_when_it_was_written_until_the_next(self, world: World) -> None:
        await world.edit("second", 2)
        await world.edit("third", 3)

        seen = [(await world.read(minutes)) for minutes in (1, 1.9, 2, 3, 99)]

        assert [each.body for each in seen] == ["first", "first", "second", "third", "third"]
        assert [each.version for each in seen] == [1, 1, 2, 3, 3]
        assert [each.edited_at for each in seen] == [None, None, at(2), at(3), at(3)]

    async def test_the_text_of_a_deleted_message_is_there_until_it_was_deleted(self, world: World) -> None:
        await world.edit("second", 2)
        await world.delete(3)

        before, after = await world.read(2.5), await world.read(3)

        assert (before.body, before.deleted_at) == ("second", None)
        assert (after.body, after.deleted_at) == ("", at(3))

    async def test_a_member_without_the_role_sees_no_text_that_is_not_shown_any_more(self, world: World) -> None:
        await world.edit("second", 2)
        assert (await world.read(2, former=False)).body == "second"
        with pytest.raises(Forbidden) as changed:
            await world.read(1, former=False)
        await world.delete(3)
        with pytest.raises(Forbidden) as deleted:
            await world.read(2, former=False)

        assert [each.value.code for each in (changed, deleted)] == ["former_text"] * 2
        assert (await world.read(3, former=False)).body == ""

    async def test_nobody_gets_an_erased_text_back(self, world: World) -> None:
        await world.edit("second", 2)
        await world.erase(3)

        seen = [await world.read(minutes) for minutes in (1, 2, 3)]

        assert [(each.body, each.erased_at) for each in seen] == [("", at(3))] * 3

    async def test_before_it_was_sent_it_was_not_there(self, world: World) -> None:
        with pytest.raises(NotFound) as missing:
            await world.read(0.9)

        assert missing.value.code == "not_there_yet"

    async def test_who_may_not_read_it_now_may_not_read_what_it_was(self, world: World) -> None:
        with pytest.raises(NotFound):
            await world.read(1, EVE)
        await change_group(RemoveMember(conversation_id=GROUP, member_id=BOB, asker_id=BOB, at=at(2)), world.ports)
        with pytest.raises(NotFound) as missing:
            await world.read(1)

        assert missing.value.code == "message_not_found"


class TestConversations:
    async def test_title_and_members_are_those_of_then(self, world: World) -> None:
        world.clock = at(2)
        await change_group(Rename(conversation_id=GROUP, title="Deck", asker_id=ANN, at=world.clock), world.ports)
        world.clock = at(3)
        await change_group(AddMember(conversation_id=GROUP, member_id=EVE, asker_id=ANN, at=world.clock), world.ports)

        seen = [await conversation_as_of(GROUP, EVE, at(minutes), world.ports) for minutes in (0, 1, 2, 3)]

        assert [state.title for state, _ in seen] == ["Crew", "Crew", "Deck", "Deck"]
        assert [len(state.members) for state, _ in seen] == [2, 2, 2, 3]
        assert [last for _, last in seen] == [None, at(1), at(1), at(1)]

    async def test_before_it_began_it_was_not_there(self, world: World) -> None:
        with pytest.raises(NotFound) as missing:
            await conversation_as_of(GROUP, ANN, at(-1), world.ports)

        assert missing.value.code == "not_there_yet"

    async def test_who_left_sees_nothing_of_the_time_before(self, world: World) -> None:
        world.clock = at(2)
        await change_group(RemoveMember(conversation_id=GROUP, member_id=BOB, asker_id=ANN, at=at(2)), world.ports)

        with pytest.raises(NotFound) as missing:
            await conversation_as_of(GROUP, BOB, at(1), world.ports)

        assert missing.value.code == "conversation_not_found"
        assert (await conversation_as_of(GROUP, ANN, at(1), world.ports))[0].members == {ANN, BOB}
