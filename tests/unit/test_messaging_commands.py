"""What people can do in messaging, with in-memory ports: each command writes once or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from bounded_contexts.messaging.application.commands import (
    change_group,
    delete_message,
    edit_message,
    erase_message,
    send_message,
    send_to_participants,
    start_direct,
    start_group,
)
from bounded_contexts.messaging.application.members import members_of, state_for
from bounded_contexts.messaging.application.ports import Listed, Page, Ports, Version
from bounded_contexts.messaging.application.projection import messages_sent
from bounded_contexts.messaging.domain.commands import (
    AddMember,
    DeleteMessage,
    EditMessage,
    EraseMessage,
    RemoveMember,
    Rename,
    SendMessage,
    StartDirect,
    StartGroup,
)
from bounded_contexts.messaging.domain.conversation import MEMBER_LIMIT, ConversationEvent
from bounded_contexts.messaging.domain.identity import direct_id, participants
from bounded_contexts.messaging.domain.message import Message
from infra.memory import MemoryEventStore, MemoryLog
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent
from shared_kernel.errors import Forbidden, NotFound, Refused
from shared_kernel.events import Position

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN, BOB, EVE = UUID(int=1), UUID(int=2), UUID(int=3)
GROUP = UUID(int=7)


@dataclass
class MemoryHistory:
    """Ports `HistoryWriter` and `History`, as far as commands use them."""

    messages: dict[UUID, Message] = field(default_factory=dict)

    async def sent(self, messages: Sequence[MessageSent]) -> None:
        for each in messages:
            self.messages[each.message_id] = Message(
                message_id=each.message_id,
                conversation_id=each.conversation_id,
                seq=len(self.messages) + 1,
                sender_id=each.sender_id,
                client_id=each.client_id,
                body=each.body,
                version=1,
                sent_at=each.sent_at,
            )

    async def message(self, message: UUID) -> Message | None:
        return self.messages.get(message)

    async def edited(self, edit: MessageEdited) -> None:
        raise NotImplementedError

    async def deleted(self, deletion: MessageDeleted) -> None:
        raise NotImplementedError

    async def erased(self, erasure: MessageErased) -> None:
        raise NotImplementedError

    async def page(self, conversation: UUID, page: Page) -> list[Message]:
        raise NotImplementedError

    async def pages(self, conversations: Sequence[UUID], page: Page) -> dict[UUID, list[Message]]:
        raise NotImplementedError

    async def versions(self, message: UUID) -> list[Version]:
        raise NotImplementedError

    async def seq_at(self, conversation: UUID, at: datetime) -> int:
        raise NotImplementedError


@dataclass
class MemoryConversations:
    """Ports `ConversationWriter` and `ConversationReader`, as far as commands use them."""

    rows: dict[UUID, Listed] = field(default_factory=dict)

    async def changed(self, event: ConversationEvent) -> None:
        raise NotImplementedError

    async def contacts(self, user: UUID, among: Sequence[UUID]) -> frozenset[UUID]:
        raise NotImplementedError

    async def talked(self, messages: Sequence[MessageSent]) -> None:
        for each in messages:
            people = participants((each.sender_id, *each.recipient_ids))
            kind = "direct" if direct_id(people) == each.conversation_id else "group"
            listed = Listed(each.conversation_id, kind, None, people, each.sent_at, each.sent_at, False, {}, None)  # type: ignore[arg-type]
            self.rows.setdefault(each.conversation_id, listed)

    async def of_member(
        self, member: UUID, limit: int, before: tuple[datetime, UUID] | None, *, archived: bool
    ) -> list[Listed]:
        raise NotImplementedError

    async def public(self, limit: int, before: tuple[datetime, UUID] | None) -> list[Listed]:
        raise NotImplementedError

    async def listed(self, conversation: UUID) -> Listed | None:
        return self.rows.get(conversation)


class NothingStored:
    """Port `ReadState` of a read model that never moves."""

    async def reached(self, position: Position, timeout_s: float) -> bool:
        return False

    async def positions(self) -> Mapping[str, Mapping[int, int]]:
        return {}


class World:
    """Messaging in memory."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.store = MemoryEventStore[ConversationEvent]()
        self.history = MemoryHistory()
        conversations = MemoryConversations()
        self.ports = Ports(
            store=self.store,
            log=self.log,
            history_writer=self.history,
            history=self.history,
            conversation_writer=conversations,
            conversations=conversations,
            stored=NothingStored(),
            now=lambda: NOW,
        )

    async def group(self, *members: UUID) -> None:
        await start_group(new_group(ANN, *members), self.ports)

    async def stored(self, ask: SendMessage) -> UUID:
        """Send to the group and let the history have it."""
        sent, _ = await send_message(ask, self.ports)
        await messages_sent([sent], self.ports)
        self.log.events.clear()
        return sent.message_id


@pytest.fixture
def world() -> World:
    return World()


def new_group(starter: UUID, *members: UUID, title: str = "Harbour crew") -> StartGroup:
    return StartGroup(conversation_id=GROUP, title=title, member_ids=members, starter_id=starter, at=NOW)


def saying(sender: UUID, to: UUID = GROUP, body: str = "Hello", client_id: str = "c1") -> SendMessage:
    return SendMessage(conversation_id=to, sender_id=sender, client_id=client_id, body=body, at=NOW)


def editing(message: UUID, editor: UUID, key: str = "k1") -> EditMessage:
    return EditMessage(message_id=message, editor_id=editor, body="Hallo", request_key=key, at=NOW)


def deleting(message: UUID, asker: UUID) -> DeleteMessage:
    return DeleteMessage(message_id=message, asker_id=asker, at=NOW)


def erasing(message: UUID, asker: UUID, *roles: str) -> EraseMessage:
    return EraseMessage(message_id=message, asker_id=asker, asker_roles=frozenset(roles), reason="", at=NOW)


class TestStarting:
    async def test_a_direct_conversation_is_opened_once(self, world: World) -> None:
        first = await start_direct(StartDirect(participants=(ANN, BOB), starter_id=ANN, at=NOW), world.ports)
        again = await start_direct(StartDirect(participants=(ANN, BOB), starter_id=BOB, at=NOW), world.ports)

        assert (first[1:], again[1:]) == ((1, True), (1, False))
        assert again[0] == first[0]

    async def test_a_group_is_started_once(self, world: World) -> None:
        first = await start_group(new_group(ANN, BOB), world.ports)
        again = await start_group(new_group(ANN, EVE, title="Other"), world.ports)

        assert (first[1:], again[1:]) == ((1, True), (1, False))
        assert again[0].title == "Harbour crew"

    async def test_somebody_elses_group_is_not_shown_to_who_guesses_its_id(self, world: World) -> None:
        await world.group(BOB)

        with pytest.raises(Refused, match="id_taken"):
            await start_group(new_group(EVE), world.ports)


class TestChangingAGroup:
    async def test_members_rename_add_and_remove(self, world: World) -> None:
        await world.group(BOB)

        asks: list[Rename | AddMember | RemoveMember] = [
            Rename(conversation_id=GROUP, title="Night shift", asker_id=BOB, at=NOW),
            AddMember(conversation_id=GROUP, member_id=EVE, asker_id=BOB, at=NOW),
            RemoveMember(conversation_id=GROUP, member_id=ANN, asker_id=BOB, at=NOW),
        ]
        versions = [(await change_group(ask, world.ports))[1] for ask in asks]

        assert versions == [2, 3, 4]
        state = await state_for(GROUP, EVE, world.ports)
        assert (state.title, state.members) == ("Night shift", frozenset((BOB, EVE)))

    async def test_an_outsider_changes_nothing(self, world: World) -> None:
        await world.group(BOB)

        with pytest.raises(NotFound):
            await change_group(Rename(conversation_id=GROUP, title="Mine", asker_id=EVE, at=NOW), world.ports)

        assert (await world.store.load(GROUP))[1] == 1

    async def test_nobody_leaves_a_direct_conversation_that_was_never_opened(self, world: World) -> None:
        direct = direct_id((ANN, BOB))
        sent, _ = await send_to_participants(saying(ANN, direct), (ANN, BOB), world.ports)
        await messages_sent([sent], world.ports)

        with pytest.raises(Refused, match="direct_is_fixed"):
            await change_group(RemoveMember(conversation_id=direct, member_id=BOB, asker_id=BOB, at=NOW), world.ports)
        outsider = RemoveMember(conversation_id=direct, member_id=EVE, asker_id=EVE, at=NOW)
        assert (await change_group(outsider, world.ports))[2] is False


class TestSending:
    async def test_a_member_sends_to_the_others(self, world: World) -> None:
        await world.group(BOB)

        sent, position = await send_message(saying(BOB), world.ports)

        assert world.log.events == [sent]
        assert sent.recipient_ids == (ANN,)
        assert position.topic == "messages"

    @pytest.mark.parametrize("to", [GROUP, UUID(int=404)], ids=["of others", "unknown"])
    async def test_an_outsider_does_not_find_the_conversation(self, world: World, to: UUID) -> None:
        await world.group(BOB)

        with pytest.raises(NotFound, match="conversation_not_found"):
            await send_message(saying(EVE, to), world.ports)

        assert world.log.events == []

    async def test_who_was_removed_sends_no_more(self, world: World) -> None:
        await world.group(BOB)
        await change_group(RemoveMember(conversation_id=GROUP, member_id=BOB, asker_id=ANN, at=NOW), world.ports)

        with pytest.raises(NotFound):
            await send_message(saying(BOB), world.ports)

    async def test_an_empty_text_is_not_published(self, world: World) -> None:
        await world.group(BOB)

        with pytest.raises(Refused, match="body_length"):
            await send_message(saying(ANN, body=" "), world.ports)

        assert world.log.events == []


class TestSendingToParticipants:
    async def test_nothing_needs_to_be_there_before(self, world: World) -> None:
        people = (BOB, ANN, EVE)

        sent, _ = await send_to_participants(saying(ANN, direct_id(people)), people, world.ports)

        assert world.log.events == [sent]
        assert sent.recipient_ids == (BOB, EVE)

    async def test_what_is_known_from_its_messages_is_sent_to_by_id(self, world: World) -> None:
        conversation = direct_id((ANN, BOB))
        first, _ = await send_to_participants(saying(ANN, conversation), (ANN, BOB), world.ports)
        await messages_sent([first], world.ports)

        sent, _ = await send_message(saying(BOB, conversation), world.ports)

        assert sent.recipient_ids == (ANN,)
        with pytest.raises(NotFound):
            await send_message(saying(EVE, conversation), world.ports)

    async def test_a_group_is_known_from_its_start_alone(self, world: World) -> None:
        await world.group(BOB)
        await world.stored(saying(ANN))
        known_from_messages = World().ports
        await known_from_messages.conversation_writer.talked([(await send_message(saying(ANN), world.ports))[0]])

        assert await members_of(GROUP, known_from_messages) == frozenset()

    async def test_an_outsider_does_not_speak_among_others(self, world: World) -> None:
        with pytest.raises(Forbidden, match="not_a_member"):
            await send_to_participants(saying(EVE, direct_id((ANN, BOB))), (ANN, BOB), world.ports)

        assert world.log.events == []

    @pytest.mark.parametrize("people", [(ANN,), (ANN, ANN), tuple(UUID(int=n) for n in range(1, MEMBER_LIMIT + 2))])
    async def test_there_are_2_to_500_participants(self, world: World, people: tuple[UUID, ...]) -> None:
        with pytest.raises(Refused, match="participant_count"):
            await send_to_participants(saying(ANN, direct_id(people)), people, world.ports)


class TestEditingAndDeleting:
    async def test_the_sender_edits_and_deletes(self, world: World) -> None:
        await world.group(BOB)
        message = await world.stored(saying(ANN))

        await edit_message(editing(message, ANN), world.ports)
        await delete_message(deleting(message, ANN), world.ports)

        edited, deleted = world.log.events
        assert isinstance(edited, MessageEdited)
        assert isinstance(deleted, MessageDeleted)
        assert (edited.message_id, edited.body, deleted.message_id) == (message, "Hallo", message)
        assert edited.recipient_ids == deleted.recipient_ids == (BOB,)

    async def test_who_joined_since_hears_of_it_and_who_left_does_not(self, world: World) -> None:
        await world.group(BOB)
        message = await world.stored(saying(ANN))
        await change_group(AddMember(conversation_id=GROUP, member_id=EVE, asker_id=ANN, at=NOW), world.ports)
        await change_group(RemoveMember(conversation_id=GROUP, member_id=BOB, asker_id=ANN, at=NOW), world.ports)

        await edit_message(editing(message, ANN), world.ports)

        (edited,) = world.log.events
        assert isinstance(edited, MessageEdited)
        assert edited.recipient_ids == (EVE,)

    async def test_another_member_changes_nothing(self, world: World) -> None:
        await world.group(BOB)
        message = await world.stored(saying(ANN))

        with pytest.raises(Forbidden, match="not_the_sender"):
            await edit_message(editing(message, BOB), world.ports)
        with pytest.raises(Forbidden, match="not_the_sender"):
            await delete_message(deleting(message, BOB), world.ports)

        assert world.log.events == []

    @pytest.mark.parametrize("known", [True, False])
    async def test_outsiders_cannot_tell_a_message_from_none(self, world: World, known: bool) -> None:
        await world.group(BOB)
        message = await world.stored(saying(ANN)) if known else uuid4()

        with pytest.raises(NotFound, match="message_not_found"):
            await edit_message(editing(message, EVE), world.ports)
        with pytest.raises(NotFound, match="message_not_found"):
            await delete_message(deleting(message, EVE), world.ports)

        assert world.log.events == []


class TestErasing:
    async def test_an_admin_erases_what_others_wrote_among_themselves(self, world: World) -> None:
        await world.group(BOB)
        message = await world.stored(saying(ANN))

        await erase_message(erasing(message, EVE, "admin"), world.ports)

        assert world.log.events == [
            MessageErased(
                message_id=message, conversation_id=GROUP, erased_by=EVE, recipient_ids=(ANN, BOB), erased_at=NOW
            )
        ]

    @pytest.mark.parametrize("known", [True, False])
    @pytest.mark.parametrize("asker", [ANN, BOB, EVE], ids=["sender", "member", "outsider"])
    async def test_others_are_refused_before_anything_is_looked_up(
        self, world: World, known: bool, asker: UUID
    ) -> None:
        await world.group(BOB)
        message = await world.stored(saying(ANN)) if known else uuid4()
        world.history.message = None  # type: ignore[method-assign, assignment]  # looking would fail

        with pytest.raises(Forbidden, match="forbidden"):
            await erase_message(erasing(message, asker, "moderator"), world.ports)

        assert world.log.events == []

    async def test_an_admin_is_told_that_there_is_no_such_message(self, world: World) -> None:
        with pytest.raises(NotFound, match="message_not_found"):
            await erase_message(erasing(uuid4(), EVE, "admin"), world.ports)
