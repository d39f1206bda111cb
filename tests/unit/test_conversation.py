"""Conversation: given what happened, when somebody asks, then this happens."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from uuid import UUID, uuid4

import pytest

from bounded_contexts.messaging.domain import conversation
from bounded_contexts.messaging.domain.commands import (
    AddMember,
    Archive,
    Describe,
    RemoveMember,
    Rename,
    StartDirect,
    StartGroup,
)
from bounded_contexts.messaging.domain.conversation import (
    INITIAL,
    MEMBER_LIMIT,
    TITLE_LIMIT,
    Conversation,
    ConversationEvent,
    Request,
    decide,
    evolve,
)
from bounded_contexts.messaging.domain.identity import direct_id, participants
from schemas.messaging.events import ConversationRenamed, ConversationStarted, MemberJoined, MemberLeft
from shared_kernel.errors import Forbidden, NotFound, Refused

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GROUP = UUID(int=7)
ANN, BOB, EVE = UUID(int=1), UUID(int=2), UUID(int=3)
TITLE = "Harbour crew"

STARTED = ConversationStarted(
    metadata={}, conversation_id=GROUP, kind="group", title=TITLE, started_by=ANN, member_ids=(ANN, BOB), started_at=NOW
)
DIRECT = ConversationStarted(
    metadata={},
    conversation_id=direct_id((ANN, BOB)),
    kind="direct",
    started_by=ANN,
    member_ids=(ANN, BOB),
    started_at=NOW,
)
EVE_JOINED = MemberJoined(conversation_id=GROUP, member_id=EVE, added_by=ANN, joined_at=NOW, member_ids=(ANN, BOB, EVE))


def left(member: UUID, *staying: UUID, removed_by: UUID | None = None) -> MemberLeft:
    return MemberLeft(
        conversation_id=GROUP,
        member_id=member,
        removed_by=removed_by or member,
        left_at=NOW,
        member_ids=staying,
    )


def rename(asker: UUID, title: str = "Night shift") -> Rename:
    return Rename(conversation_id=GROUP, title=title, asker_id=asker, at=NOW)


def add(asker: UUID, member: UUID) -> AddMember:
    return AddMember(conversation_id=GROUP, member_id=member, asker_id=asker, at=NOW)


def remove(asker: UUID, member: UUID) -> RemoveMember:
    return RemoveMember(conversation_id=GROUP, member_id=member, asker_id=asker, at=NOW)


def start(starter: UUID = ANN, *members: UUID, title: str = TITLE) -> StartGroup:
    return StartGroup(conversation_id=GROUP, title=title, member_ids=members, starter_id=starter, at=NOW)


def open_direct(starter: UUID, *people: UUID) -> StartDirect:
    return StartDirect(participants=participants(people), starter_id=starter, at=NOW)


def given(*events: ConversationEvent) -> Conversation:
    return reduce(conversation.evolve, events, INITIAL)


def refusal(state: Conversation, ask: Request) -> Refused:
    with pytest.raises(Refused) as refused:
        conversation.decide(state, ask)
    return refused.value


class TestStartingADirectConversation:
    def test_it_is_named_after_its_participants(self) -> None:
        assert conversation.decide(given(), open_direct(ANN, BOB, ANN)) == (DIRECT,)

    def test_opening_it_again_changes_nothing_whoever_does(self) -> None:
        assert conversation.decide(given(DIRECT), open_direct(BOB, ANN, BOB)) == ()

    def test_an_outsider_does_not_open_it(self) -> None:
        refused = refusal(given(), open_direct(EVE, ANN, BOB))

        assert isinstance(refused, Forbidden)
        assert refused.code == "not_a_member"

    def test_nobody_talks_alone(self) -> None:
        assert refusal(given(), open_direct(ANN, ANN)).code == "participant_count"

    def test_as_many_as_the_limit_may_talk_and_no_more(self) -> None:
        people = tuple(UUID(int=n) for n in range(1, MEMBER_LIMIT + 2))

        assert conversation.decide(given(), open_direct(ANN, *people[:-1]))
        assert refusal(given(), open_direct(ANN, *people)).code == "participant_count"


class TestStartingAGroup:
    def test_the_starter_belongs_to_it_and_members_are_sorted_each_once(self) -> None:
        assert conversation.decide(given(), start(ANN, BOB, BOB)) == (STARTED,)

    def test_one_may_start_alone(self) -> None:
        (started,) = conversation.decide(given(), start(ANN))

        assert isinstance(started, ConversationStarted)
        assert started.member_ids == (ANN,)

    def test_spaces_around_the_title_are_dropped(self) -> None:
        assert conversation.decide(given(), start(ANN, BOB, title=f"  {TITLE}\n")) == (STARTED,)

    def test_starting_it_again_changes_nothing(self) -> None:
        assert conversation.decide(given(STARTED), start(ANN, EVE)) == ()

    def test_one_that_everybody_left_is_not_started_again(self) -> None:
        assert conversation.decide(given(STARTED, left(ANN), left(BOB)), start(ANN, BOB)) == ()

    @pytest.mark.parametrize("title", ["", "   ", "x" * (TITLE_LIMIT + 1), "nul\0", "\ud800"])
    def test_a_title_that_is_none_is_refused(self, title: str) -> None:
        assert refusal(given(), start(ANN, title=title)).code == "title_length"

    def test_it_has_as_many_members_as_the_limit_and_no_more(self) -> None:
        others = tuple(UUID(int=n) for n in range(2, MEMBER_LIMIT + 2))

        assert conversation.decide(given(), start(ANN, *others[:-1]))
        assert refusal(given(), start(ANN, *others)).code == "participant_count"


class TestRenaming:
    def test_a_member_gives_another_title(self) -> None:
        renamed = ConversationRenamed(
            conversation_id=GROUP, title="Night shift", renamed_by=BOB, renamed_at=NOW, member_ids=(ANN, BOB)
        )

        assert conversation.decide(given(STARTED), rename(BOB, " Night shift ")) == (renamed,)
        assert given(STARTED, renamed).title == "Night shift"

    def test_the_same_title_is_no_change(self) -> None:
        assert conversation.decide(given(STARTED), rename(ANN, f" {TITLE} ")) == ()

    @pytest.mark.parametrize("title", ["", "   ", "x" * (TITLE_LIMIT + 1)])
    def test_a_title_that_is_none_is_refused(self, title: str) -> None:
        assert refusal(given(STARTED), rename(ANN, title)).code == "title_length"


class TestMembers:
    def test_a_member_adds_somebody(self) -> None:
        assert conversation.decide(given(STARTED), add(ANN, EVE)) == (EVE_JOINED,)
        assert given(STARTED, EVE_JOINED).members == {ANN, BOB, EVE}

    def test_adding_twice_is_adding_once(self) -> None:
        assert conversation.decide(given(STARTED), add(ANN, BOB)) == ()

    def test_a_full_group_takes_nobody_more(self) -> None:
        full = Conversation(frozenset(UUID(int=n) for n in range(1, MEMBER_LIMIT + 1)), "group", TITLE, NOW)

        assert refusal(full, add(ANN, uuid4())).code == "participant_count"
        assert conversation.decide(full, add(ANN, BOB)) == ()

    def test_a_member_removes_another(self) -> None:
        assert conversation.decide(given(STARTED), remove(ANN, BOB)) == (left(BOB, ANN, removed_by=ANN),)

    def test_a_member_leaves(self) -> None:
        assert conversation.decide(given(STARTED), remove(BOB, BOB)) == (left(BOB, ANN),)
        assert given(STARTED, left(BOB)).members == {ANN}

    @pytest.mark.parametrize("before", [(), (STARTED,), (DIRECT,)], ids=["nothing", "a group", "two people"])
    def test_an_outsider_does_not_learn_by_leaving_what_is_there(self, before: tuple[ConversationStarted, ...]) -> None:
        assert conversation.decide(given(*before), remove(EVE, EVE)) == ()

    def test_removing_who_is_not_there_is_no_change(self) -> None:
        assert conversation.decide(given(STARTED), remove(ANN, EVE)) == ()

    @pytest.mark.parametrize("before", [(left(BOB),), (left(ANN), left(BOB))], ids=["others stayed", "the last one"])
    def test_leaving_twice_is_leaving_once(self, before: tuple[MemberLeft, ...]) -> None:
        assert conversation.decide(given(STARTED, *before), remove(BOB, BOB)) == ()

    def test_who_left_may_come_back(self) -> None:
        assert given(STARTED, EVE_JOINED, left(EVE), EVE_JOINED).members == {ANN, BOB, EVE}


ANYTHING: list[Callable[[UUID], Request]] = [
    rename,
    lambda asker: add(asker, uuid4()),
    lambda asker: remove(asker, ANN),
]


@pytest.mark.parametrize("ask", ANYTHING, ids=["rename", "add", "remove"])
class TestWhoMayNot:
    def test_to_an_outsider_there_is_no_conversation(self, ask: Callable[[UUID], Request]) -> None:
        refused = refusal(given(STARTED), ask(EVE))

        assert isinstance(refused, NotFound)
        assert refused.code == "conversation_not_found"

    def test_what_was_never_started_is_not_found(self, ask: Callable[[UUID], Request]) -> None:
        assert isinstance(refusal(given(), ask(EVE)), NotFound)

    def test_who_has_left_is_an_outsider(self, ask: Callable[[UUID], Request]) -> None:
        assert isinstance(refusal(given(STARTED, left(BOB)), ask(BOB)), NotFound)

    def test_a_direct_conversation_never_changes(self, ask: Callable[[UUID], Request]) -> None:
        assert refusal(given(DIRECT), ask(BOB)).code == "direct_is_fixed"


class TestWhoHearsOfIt:
    """Every change names the members, so that whoever delivers it need not know the group."""

    def test_a_change_names_the_members_of_that_moment(self) -> None:
        state = given(STARTED, EVE_JOINED, left(BOB))
        describe = Describe(conversation_id=GROUP, metadata={"a": "b"}, asker_id=EVE, at=NOW)
        archive = Archive(conversation_id=GROUP, asker_id=ANN, at=NOW)

        for ask in (rename(ANN), describe, archive):
            (changed,) = conversation.decide(state, ask)
            assert changed.member_ids == (ANN, EVE)

    def test_who_joins_is_named_and_who_leaves_is_not(self) -> None:
        (joined,) = conversation.decide(given(STARTED), add(ANN, EVE))
        (parted,) = conversation.decide(given(STARTED, EVE_JOINED), remove(EVE, EVE))

        assert joined.member_ids == (ANN, BOB, EVE)
        assert parted.member_ids == (ANN, BOB)

    def test_events_of_version_1_which_name_nobody_still_make_the_group(self) -> None:
        old = replace(EVE_JOINED, member_ids=()), replace(left(BOB), member_ids=())

        assert given(STARTED, *old).members == {ANN, EVE}
        (renamed,) = conversation.decide(given(STARTED, *old), rename(EVE))
        assert renamed.member_ids == (ANN, EVE)


class TestPublicAndArchived:
    def test_a_public_group_is_joined_by_oneself_only(self) -> None:
        group = uuid4()
        state = evolve(INITIAL, _group(group, public=True))

        (joined,) = decide(state, AddMember(conversation_id=group, member_id=NEW, asker_id=NEW, at=AT))

        assert isinstance(joined, MemberJoined)
        with pytest.raises(NotFound):
            decide(state, AddMember(conversation_id=group, member_id=uuid4(), asker_id=NEW, at=AT))
        private = evolve(INITIAL, _group(group, public=False))
        with pytest.raises(NotFound):
            decide(private, AddMember(conversation_id=group, member_id=NEW, asker_id=NEW, at=AT))

    def test_only_the_starter_archives_and_nothing_changes_afterwards(self) -> None:
        group = uuid4()
        state = evolve(INITIAL, _group(group, public=True))

        with pytest.raises(Forbidden, match="not_the_starter"):
            decide(state, Archive(conversation_id=group, asker_id=OTHER, at=AT))
        (archived,) = decide(state, Archive(conversation_id=group, asker_id=STARTER, at=AT))
        over = evolve(state, archived)

        assert decide(over, Archive(conversation_id=group, asker_id=STARTER, at=AT)) == ()
        for ask in (
            Rename(conversation_id=group, title="x", asker_id=STARTER, at=AT),
            Describe(conversation_id=group, metadata={}, asker_id=STARTER, at=AT),
            AddMember(conversation_id=group, member_id=NEW, asker_id=NEW, at=AT),
            RemoveMember(conversation_id=group, member_id=OTHER, asker_id=OTHER, at=AT),
        ):
            with pytest.raises(Refused, match="conversation_archived"):
                decide(over, ask)

    def test_the_same_metadata_is_no_change_and_too_much_is_refused(self) -> None:
        group = uuid4()
        state = evolve(INITIAL, _group(group, public=False))

        assert decide(state, Describe(conversation_id=group, metadata={"a": "b"}, asker_id=STARTER, at=AT)) == ()
        too_many = {str(number): "x" for number in range(21)}
        with pytest.raises(Refused, match="metadata_length"):
            decide(state, Describe(conversation_id=group, metadata=too_many, asker_id=STARTER, at=AT))


AT = datetime(2026, 3, 1, tzinfo=UTC)
STARTER, OTHER, NEW = UUID(int=1), UUID(int=2), UUID(int=3)


def _group(group: UUID, *, public: bool) -> ConversationStarted:
    return ConversationStarted(
        conversation_id=group,
        kind="group",
        title="Crew",
        public=public,
        metadata={"a": "b"},
        started_by=STARTER,
        member_ids=(STARTER, OTHER),
        started_at=AT,
    )
