"""The list of conversations: ports `ConversationWriter` and `ConversationReader`."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.messaging.adapters.tables import conversation
from bounded_contexts.messaging.adapters.tables import message as stored
from bounded_contexts.messaging.application.ports import Listed
from bounded_contexts.messaging.domain.conversation import ConversationEvent
from bounded_contexts.messaging.domain.identity import direct_id
from infra.postgres import Database
from schemas.messaging.events import (
    ConversationArchived,
    ConversationDescribed,
    ConversationRenamed,
    ConversationStarted,
    MemberJoined,
    MemberLeft,
    MessageSent,
)

members = conversation.c.member_ids


class PostgresConversations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def changed(self, event: ConversationEvent) -> None:
        async with self._database.transaction() as connection:
            if isinstance(event, ConversationStarted):
                await connection.execute(_turn(event.conversation_id))
            await connection.execute(_change(event))

    async def talked(self, messages: Sequence[MessageSent]) -> None:
        talks: dict[UUID, list[MessageSent]] = {}
        for message in sorted(messages, key=attrgetter("sent_at")):  # whose order may be another than the topic's
            talks.setdefault(message.conversation_id, []).append(message)
        async with self._database.transaction() as connection:
            for id_, talk in talks.items():
                noted = _noted(id_, talk[0].sent_at, talk[-1].sent_at)
                if (await connection.execute(noted)).rowcount == 0:
                    await connection.execute(_turn(id_))
                    if (await connection.execute(noted)).rowcount == 0 and (listed := _unopened(talk)):
                        await connection.execute(sa.insert(conversation).values(listed))

    async def of_member(
        self, member: UUID, limit: int, before: tuple[datetime, UUID] | None, *, archived: bool
    ) -> list[Listed]:
        over = conversation.c.archived_at.is_not(None)
        return await self._page([members.contains([member]), over if archived else ~over], limit, before)

    async def public(self, limit: int, before: tuple[datetime, UUID] | None) -> list[Listed]:
        return await self._page([conversation.c.public, conversation.c.archived_at.is_(None)], limit, before)

    async def _page(
        self, wanted: Sequence[sa.ColumnElement[bool]], limit: int, before: tuple[datetime, UUID] | None
    ) -> list[Listed]:
        # Last started first: unlike the latest message, that order stands still while somebody pages through it.
        query = sa.select(conversation).where(*wanted)
        order = sa.tuple_(conversation.c.started_at, conversation.c.conversation_id)
        if before:
            query = query.where(order < sa.tuple_(*before))
        query = query.order_by(conversation.c.started_at.desc(), conversation.c.conversation_id.desc()).limit(limit)
        async with self._database.transaction() as connection:
            return [_listed(row) for row in (await connection.execute(query)).mappings()]

    async def contacts(self, user: UUID, among: Sequence[UUID]) -> frozenset[UUID]:
        theirs = sa.select(sa.func.unnest(members).label("member")).where(members.contains([user])).subquery()
        query = sa.select(theirs.c.member).distinct().where(theirs.c.member.in_(among))
        async with self._database.transaction() as connection:
            return frozenset((await connection.execute(query)).scalars())

    async def listed(self, conversation_id: UUID) -> Listed | None:
        query = sa.select(conversation).where(conversation.c.conversation_id == conversation_id)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).mappings().first()
        return _listed(row) if row else None


def _change(event: ConversationEvent) -> sa.Executable:
    this = conversation.c.conversation_id == event.conversation_id
    match event:
        case ConversationStarted():
            return _started(event)
        case ConversationDescribed():
            return sa.update(conversation).where(this).values(metadata=event.metadata)
        case ConversationArchived():
            return sa.update(conversation).where(this).values(archived_at=event.archived_at)
        case ConversationRenamed():
            return sa.update(conversation).where(this).values(title=event.title)
        case MemberJoined():
            absent = ~members.contains([event.member_id])
            return (
                sa.update(conversation)
                .where(this, absent)
                .values(member_ids=sa.func.array_append(members, event.member_id))
            )
        case MemberLeft():
            return sa.update(conversation).where(this).values(member_ids=sa.func.array_remove(members, event.member_id))


def _turn(conversation_id: UUID) -> sa.Executable:
    """Have a conversation's start and its first messages, which are read side by side, see each other."""
    return sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(str(conversation_id), 0)))


def _noted(conversation_id: UUID, first: datetime, last: datetime) -> sa.Executable:
    """Least and greatest: the list is the same whichever of the two topics is read first, in whatever batches."""
    return (
        sa.update(conversation)
        .where(conversation.c.conversation_id == conversation_id)
        .values(
            started_at=sa.func.least(conversation.c.started_at, first),
            last_message_at=sa.func.greatest(conversation.c.last_message_at, last),
        )
    )


def _started(event: ConversationStarted) -> sa.Executable:
    """Messages may have been read before: a direct conversation is listed already, a group's latest is noted now."""
    values = {
        "conversation_id": event.conversation_id,
        "kind": event.kind,
        "title": event.title,
        "member_ids": list(event.member_ids),
        "started_at": event.started_at,
        "public": event.public,
        "metadata": event.metadata,
        "last_message_at": sa.select(sa.func.max(stored.c.sent_at))
        .where(stored.c.conversation_id == event.conversation_id)
        .scalar_subquery(),
    }
    begun = sa.func.least(conversation.c.started_at, event.started_at)
    return (
        insert(conversation)
        .values(values)
        .on_conflict_do_update(index_elements=[conversation.c.conversation_id], set_={"started_at": begun})
    )


def _unopened(talk: Sequence[MessageSent]) -> dict[str, Any] | None:
    """Return the row of a direct conversation known from messages, None for a group: its start will list it."""
    first, last = talk[0], talk[-1]
    people = (first.sender_id, *first.recipient_ids)
    if direct_id(people) != first.conversation_id:
        return None
    return {
        "conversation_id": first.conversation_id,
        "kind": "direct",
        "member_ids": sorted(people),
        "started_at": first.sent_at,
        "last_message_at": last.sent_at,
    }


def _listed(row: sa.RowMapping) -> Listed:
    fields: dict[str, Any] = dict(row)
    return Listed(**(fields | {"member_ids": tuple(row["member_ids"])}))
