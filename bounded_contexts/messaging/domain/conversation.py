"""Conversation: who may speak, and under what title."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from bounded_contexts.messaging.domain.commands import AddMember, RemoveMember, Rename, StartDirect, StartGroup
from bounded_contexts.messaging.domain.identity import direct_id, participants
from bounded_contexts.messaging.domain.text import checked
from schemas.messaging.events import ConversationRenamed, ConversationStarted, MemberJoined, MemberLeft
from shared_kernel.errors import Forbidden, NotFound, Refused

MEMBER_LIMIT = 500  # every message carries its recipients
TITLE_LIMIT = 200  # characters

ConversationEvent = ConversationStarted | ConversationRenamed | MemberJoined | MemberLeft
Request = StartDirect | StartGroup | Rename | AddMember | RemoveMember


@dataclass(frozen=True, slots=True)
class Conversation:
    """Who belongs to it now. One that everybody left is still there, without members."""

    members: frozenset[UUID] = frozenset()
    kind: Literal["direct", "group"] = "group"
    title: str | None = None
    started_at: datetime | None = None  # None: it has not been started


INITIAL = Conversation()


def decide(state: Conversation, ask: Request) -> tuple[ConversationEvent, ...]:
    match ask:
        case StartDirect():
            return () if state.started_at else (_direct(ask),)
        case StartGroup():
            return () if state.started_at else (_group(ask),)
        case Rename():
            _require_group_member(state, ask.asker_id)
            title = checked(ask.title.strip(), TITLE_LIMIT, "title_length")
            return () if title == state.title else (_renamed(ask, title),)
        case AddMember():
            return _joined(state, ask)
        case RemoveMember():
            return _left(state, ask)


def evolve(state: Conversation, event: ConversationEvent) -> Conversation:
    match event:
        case ConversationStarted():
            return Conversation(frozenset(event.member_ids), event.kind, event.title, event.started_at)
        case ConversationRenamed():
            return replace(state, title=event.title)
        case MemberJoined():
            return replace(state, members=state.members | {event.member_id})
        case MemberLeft():
            return replace(state, members=state.members - {event.member_id})


def _direct(ask: StartDirect) -> ConversationStarted:
    if ask.starter_id not in ask.participants:
        raise Forbidden("not_a_member", "you are not among the participants")
    if not 2 <= len(ask.participants) <= MEMBER_LIMIT:
        raise Refused("participant_count", f"a conversation has 2 to {MEMBER_LIMIT} participants")
    return ConversationStarted(
        conversation_id=direct_id(ask.participants),
        kind="direct",
        started_by=ask.starter_id,
        member_ids=ask.participants,
        started_at=ask.at,
    )


def _group(ask: StartGroup) -> ConversationStarted:
    members = participants((*ask.member_ids, ask.starter_id))
    if len(members) > MEMBER_LIMIT:
        raise Refused("participant_count", f"a group has at most {MEMBER_LIMIT} members")
    return ConversationStarted(
        conversation_id=ask.conversation_id,
        kind="group",
        title=checked(ask.title.strip(), TITLE_LIMIT, "title_length"),
        started_by=ask.starter_id,
        member_ids=members,
        started_at=ask.at,
    )


def _renamed(ask: Rename, title: str) -> ConversationRenamed:
    return ConversationRenamed(
        conversation_id=ask.conversation_id, title=title, renamed_by=ask.asker_id, renamed_at=ask.at
    )


def _joined(state: Conversation, ask: AddMember) -> tuple[ConversationEvent, ...]:
    _require_group_member(state, ask.asker_id)
    if ask.member_id in state.members:
        return ()
    if len(state.members) >= MEMBER_LIMIT:
        raise Refused("participant_count", f"a group has at most {MEMBER_LIMIT} members")
    joined = MemberJoined(
        conversation_id=ask.conversation_id, member_id=ask.member_id, added_by=ask.asker_id, joined_at=ask.at
    )
    return (joined,)


def _left(state: Conversation, ask: RemoveMember) -> tuple[ConversationEvent, ...]:
    group = state.started_at and state.kind == "group"  # whoever knows a group's id has been in it
    if group and ask.asker_id == ask.member_id and ask.asker_id not in state.members:
        return ()  # has left already
    _require_group_member(state, ask.asker_id)
    if ask.member_id not in state.members:
        return ()
    left = MemberLeft(
        conversation_id=ask.conversation_id, member_id=ask.member_id, removed_by=ask.asker_id, left_at=ask.at
    )
    return (left,)


def _require_group_member(state: Conversation, asker: UUID) -> None:
    """An outsider does not learn that the conversation exists."""
    if asker not in state.members:
        raise NotFound("conversation_not_found")
    if state.kind == "direct":
        raise Refused("direct_is_fixed", "the members of a direct conversation never change")
