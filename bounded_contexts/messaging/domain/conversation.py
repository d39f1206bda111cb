"""Conversation: who may speak, under what title, and until when."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from bounded_contexts.messaging.domain.commands import (
    AddMember,
    Archive,
    Describe,
    RemoveMember,
    Rename,
    StartDirect,
    StartGroup,
)
from bounded_contexts.messaging.domain.identity import direct_id, participants
from bounded_contexts.messaging.domain.text import checked
from schemas.messaging.events import (
    ConversationArchived,
    ConversationDescribed,
    ConversationRenamed,
    ConversationStarted,
    MemberJoined,
    MemberLeft,
)
from shared_kernel.errors import Forbidden, NotFound, Refused

MEMBER_LIMIT = 500  # every message carries its recipients
TITLE_LIMIT = 200  # characters

METADATA_LIMIT = 20  # entries
METADATA_KEY_LIMIT = 64  # characters
METADATA_VALUE_LIMIT = 500  # characters

ConversationEvent = (
    ConversationStarted | ConversationRenamed | ConversationDescribed | ConversationArchived | MemberJoined | MemberLeft
)
GroupRequest = Rename | Describe | Archive | AddMember | RemoveMember
Request = StartDirect | StartGroup | GroupRequest


@dataclass(frozen=True, slots=True)
class Conversation:
    """Who belongs to it now. One that everybody left is still there, without members."""

    members: frozenset[UUID] = frozenset()
    kind: Literal["direct", "group"] = "group"
    title: str | None = None
    started_at: datetime | None = None  # None: it has not been started
    starter: UUID | None = None
    public: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    archived_at: datetime | None = None


INITIAL = Conversation()


def decide(state: Conversation, ask: Request) -> tuple[ConversationEvent, ...]:
    match ask:
        case StartDirect():
            return () if state.started_at else (_direct(ask),)
        case StartGroup():
            return () if state.started_at else (_group(ask),)
        case Archive():
            return _archived(state, ask)
        case Describe():
            _require_group_member(state, ask.asker_id)
            metadata = _checked_metadata(ask.metadata)
            return () if metadata == state.metadata else (_described(state, ask, metadata),)
        case Rename():
            _require_group_member(state, ask.asker_id)
            title = checked(ask.title.strip(), TITLE_LIMIT, "title_length")
            return () if title == state.title else (_renamed(state, ask, title),)
        case AddMember():
            return _joined(state, ask)
        case RemoveMember():
            return _left(state, ask)


def evolve(state: Conversation, event: ConversationEvent) -> Conversation:
    match event:
        case ConversationStarted():
            return Conversation(
                frozenset(event.member_ids),
                event.kind,
                event.title,
                event.started_at,
                event.started_by,
                event.public,
                event.metadata,
            )
        case ConversationDescribed():
            return replace(state, metadata=event.metadata)
        case ConversationArchived():
            return replace(state, archived_at=event.archived_at)
        case ConversationRenamed():
            return replace(state, title=event.title)
        case MemberJoined():
            return replace(state, members=state.members | {event.member_id})
        case MemberLeft():
            return replace(state, members=state.members - {event.member_id})


def require_open(state: Conversation) -> None:
    """Raise `Refused` for a group that is over."""
    if state.archived_at:
        raise Refused("conversation_archived", "the group is over; it can only be read")


def _direct(ask: StartDirect) -> ConversationStarted:
    if ask.starter_id not in ask.participants:
        raise Forbidden("not_a_member", "you are not among the participants")
    if not 2 <= len(ask.participants) <= MEMBER_LIMIT:
        raise Refused("participant_count", f"a conversation has 2 to {MEMBER_LIMIT} participants")
    return ConversationStarted(
        conversation_id=direct_id(ask.participants),
        kind="direct",
        metadata={},
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
        public=ask.public,
        metadata=_checked_metadata(ask.metadata),
        started_by=ask.starter_id,
        member_ids=members,
        started_at=ask.at,
    )


def _renamed(state: Conversation, ask: Rename, title: str) -> ConversationRenamed:
    return ConversationRenamed(
        conversation_id=ask.conversation_id,
        title=title,
        renamed_by=ask.asker_id,
        renamed_at=ask.at,
        member_ids=participants(state.members),
    )


def _described(state: Conversation, ask: Describe, metadata: dict[str, str]) -> ConversationDescribed:
    return ConversationDescribed(
        conversation_id=ask.conversation_id,
        metadata=metadata,
        described_by=ask.asker_id,
        described_at=ask.at,
        member_ids=participants(state.members),
    )


def _archived(state: Conversation, ask: Archive) -> tuple[ConversationEvent, ...]:
    if state.archived_at and ask.asker_id in state.members:
        return ()
    _require_group_member(state, ask.asker_id)
    if ask.asker_id != state.starter:
        raise Forbidden("not_the_starter", "only who started a group ends it")
    archived = ConversationArchived(
        conversation_id=ask.conversation_id,
        archived_by=ask.asker_id,
        archived_at=ask.at,
        member_ids=participants(state.members),
    )
    return (archived,)


def _joined(state: Conversation, ask: AddMember) -> tuple[ConversationEvent, ...]:
    if state.public and ask.asker_id == ask.member_id:
        require_open(state)
    else:
        _require_group_member(state, ask.asker_id)
    if ask.member_id in state.members:
        return ()
    if len(state.members) >= MEMBER_LIMIT:
        raise Refused("participant_count", f"a group has at most {MEMBER_LIMIT} members")
    joined = MemberJoined(
        conversation_id=ask.conversation_id,
        member_id=ask.member_id,
        added_by=ask.asker_id,
        joined_at=ask.at,
        member_ids=participants((*state.members, ask.member_id)),
    )
    return (joined,)


def _left(state: Conversation, ask: RemoveMember) -> tuple[ConversationEvent, ...]:
    if ask.asker_id == ask.member_id and ask.asker_id not in state.members:
        return ()  # has left already, or was never in it: an outsider does not learn whether it is there
    _require_group_member(state, ask.asker_id)
    if ask.member_id not in state.members:
        return ()
    left = MemberLeft(
        conversation_id=ask.conversation_id,
        member_id=ask.member_id,
        removed_by=ask.asker_id,
        left_at=ask.at,
        member_ids=participants(state.members - {ask.member_id}),
    )
    return (left,)


def _require_group_member(state: Conversation, asker: UUID) -> None:
    """An outsider does not learn that the conversation exists."""
    if asker not in state.members:
        raise NotFound("conversation_not_found")
    if state.kind == "direct":
        raise Refused("direct_is_fixed", "the members of a direct conversation never change")
    require_open(state)


def _checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    if len(metadata) > METADATA_LIMIT:
        raise Refused("metadata_length", f"at most {METADATA_LIMIT} entries")
    return {
        checked(key, METADATA_KEY_LIMIT, "metadata_length"): checked(value, METADATA_VALUE_LIMIT, "metadata_length")
        for key, value in metadata.items()
    }
