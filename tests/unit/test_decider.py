"""Deciding on the newest state: a conflict is decided again, but not for ever."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from bounded_contexts.messaging.domain import conversation
from bounded_contexts.messaging.domain.commands import AddMember, Rename, StartGroup
from bounded_contexts.messaging.domain.conversation import ConversationEvent
from infra.memory import MemoryEventStore
from schemas.messaging.events import ConversationRenamed, MemberLeft
from shared_kernel.decider import ATTEMPTS, execute, state_of
from shared_kernel.errors import Conflict, NotFound

NOW = datetime(2026, 1, 2, tzinfo=UTC)
GROUP = UUID(int=7)
ANN, BOB = UUID(int=1), UUID(int=2)

START = StartGroup(conversation_id=GROUP, title="a", member_ids=(BOB,), starter_id=ANN, at=NOW)
RENAME = Rename(conversation_id=GROUP, title="b", asker_id=ANN, at=NOW)


class ContestedStore(MemoryEventStore[ConversationEvent]):
    """A store where the rival's next event comes in between each load and append."""

    def __init__(self, *rivals: ConversationEvent) -> None:
        super().__init__()
        self._rivals = list(rivals)
        self.appends = 0

    async def append(self, stream: UUID, version: int, events: Sequence[ConversationEvent]) -> None:
        self.appends += 1
        if version and self._rivals:
            await super().append(stream, version, [self._rivals.pop(0)])
        await super().append(stream, version, events)


def renamed(title: str) -> ConversationRenamed:
    return ConversationRenamed(conversation_id=GROUP, title=title, renamed_by=BOB, renamed_at=NOW)


async def started(*rivals: ConversationEvent) -> ContestedStore:
    store = ContestedStore(*rivals)
    await execute(conversation, store, GROUP, START)
    store.appends = 0
    return store


async def test_state_version_and_new_events_come_back() -> None:
    store = await started()

    state, version, events = await execute(conversation, store, GROUP, RENAME)

    assert (state.title, version) == ("b", 2)
    assert [type(event) for event in events] == [ConversationRenamed]
    assert await state_of(conversation, store, GROUP) == (state, version)


async def test_what_is_already_so_writes_nothing() -> None:
    store = await started()

    state, version, events = await execute(conversation, store, GROUP, START)

    assert (state.title, version, list(events), store.appends) == ("a", 1, [], 0)


@pytest.mark.parametrize("conflicts", range(ATTEMPTS))
async def test_a_conflict_is_decided_again_on_the_newer_state(conflicts: int) -> None:
    store = await started(*(renamed(f"rival {n}") for n in range(conflicts)))

    state, version, _ = await execute(conversation, store, GROUP, RENAME)

    assert (state.title, version) == ("b", 2 + conflicts)
    assert store.appends == 1 + conflicts


async def test_after_three_attempts_the_conflict_is_told() -> None:
    store = await started(*(renamed(f"rival {n}") for n in range(ATTEMPTS)))

    with pytest.raises(Conflict):
        await execute(conversation, store, GROUP, RENAME)

    assert store.appends == ATTEMPTS == 3
    assert (await state_of(conversation, store, GROUP))[0].title == "rival 2"


async def test_the_newer_state_may_refuse_what_the_older_allowed() -> None:
    store = await started(MemberLeft(conversation_id=GROUP, member_id=ANN, removed_by=BOB, left_at=NOW))

    with pytest.raises(NotFound):
        await execute(conversation, store, GROUP, RENAME)


async def test_the_newer_state_may_need_no_change_any_more() -> None:
    store = await started(renamed("b"))

    _, version, events = await execute(conversation, store, GROUP, RENAME)

    assert (version, list(events)) == (2, [])


async def test_a_refusal_is_not_tried_again() -> None:
    store = await started()

    with pytest.raises(NotFound):
        await execute(
            conversation,
            store,
            GROUP,
            AddMember(conversation_id=GROUP, member_id=ANN, asker_id=UUID(int=9), at=NOW),
        )

    assert store.appends == 0
