"""GraphQL face of messaging. The rules are those of the REST routes; messages go the way of the socket commands."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import strawberry
from strawberry.scalars import JSON

from bounded_contexts.messaging.adapters.bodies import (
    ConversationAnswer,
    DirectOf,
    GroupChange,
    NewGroup,
    conversation_answer,
    decided_answer,
    message_answer,
)
from bounded_contexts.messaging.adapters.cursors import onward, open_cursor, seal_cursor
from bounded_contexts.messaging.adapters.graph_types import (
    EditInput,
    MessageChanged,
    MessageSent,
    NewGroupInput,
    SendInput,
    SendToPeopleInput,
    payload,
)
from bounded_contexts.messaging.adapters.listing import listed_as
from bounded_contexts.messaging.adapters.socket import DELETE, EDIT, SEND, socket_commands
from bounded_contexts.messaging.application.commands import change_group, start_direct, start_group
from bounded_contexts.messaging.application.members import message_for, state_for
from bounded_contexts.messaging.application.ports import Page, Ports
from bounded_contexts.messaging.domain.commands import AddMember, Archive, RemoveMember, Rename, StartDirect, StartGroup
from bounded_contexts.messaging.domain.conversation import Conversation as Decided
from bounded_contexts.messaging.domain.conversation import GroupRequest
from bounded_contexts.messaging.domain.identity import direct_id, group_id, participants
from bounded_contexts.messaging.domain.message import Message as Stored
from infra.graph import (
    FIRST,
    Connection,
    Info,
    Named,
    Part,
    Users,
    checked,
    connection,
    page_by_place,
    scoped,
    seen,
    status_of,
)
from infra.http import WAIT_LIMIT_S, open_position
from infra.opaque import OpaqueTokens
from shared_kernel.errors import NotFound

READ, WRITE = "conversations:read", "conversations:write"


class Stretch(NamedTuple):
    """A page of one conversation."""

    conversation: UUID
    page: Page


@strawberry.enum(name="MessageOrder")
class Order(Enum):
    NEWEST = "newest"
    OLDEST = "oldest"


def graph(ports: Ports, tokens: OpaqueTokens, users: Users) -> Part:
    """Return what the context offers to the schema."""
    commands = socket_commands(ports, tokens)

    async def stretches(wanted: list[Stretch]) -> Sequence[list[Stored]]:
        pages = list({each.page for each in wanted})
        found = await asyncio.gather(
            *(ports.history.pages([each.conversation for each in wanted if each.page == page], page) for page in pages)
        )
        of_page = dict(zip(pages, found, strict=True))
        return [of_page[each.page][each.conversation] for each in wanted]

    @strawberry.type
    class Message:
        id: UUID
        conversation_id: UUID
        seq: int
        client_id: str
        sender_id: UUID
        body: str = strawberry.field(description="Empty once deleted or erased.")
        version: int
        created_at: datetime
        edited_at: datetime | None
        deleted_at: datetime | None
        erased_at: datetime | None

        @scoped("users:read", graphql_type=users.type)
        async def sender(self, info: Info) -> Any:
            return await users.one(info.context, self.sender_id)

    @strawberry.type
    class Conversation:
        id: UUID
        kind: str = strawberry.field(description="`direct` or `group`.")
        title: str | None
        member_ids: list[UUID]
        started_at: datetime | None
        last_message_at: datetime | None
        public: bool
        metadata: JSON
        archived_at: datetime | None

        @scoped("users:read", "By id.", graphql_type=users.connection)
        async def members(self, info: Info, first: int = FIRST, after: str | None = None) -> Any:
            return await users.page(info.context, self.member_ids, first, after, f"members:{self.id}")

        @scoped(READ, "Null for who is no member of a public group.")
        async def messages(
            self, info: Info, first: int = FIRST, after: str | None = None, order: Order = Order.NEWEST
        ) -> Connection[Message] | None:
            if info.context.user.id not in self.member_ids:
                raise NotFound("conversation_not_found")
            page = Page(checked(first) + 1, order.value)
            if after is not None:
                page = open_cursor(tokens, after, self.id, first + 1)
            found = await info.context.load(stretches, Stretch(self.id, page))
            seal = partial(seal_cursor, tokens, self.id, page.order, onward(page.order))
            return connection(
                [(message_node(each), seal(each.seq)) for each in found[:first]], after, more=len(found) > first
            )

    def message_node(of: Stored) -> Message:
        return Message(**message_answer(of).model_dump())

    def conversation_node(of: ConversationAnswer) -> Conversation:
        return Conversation(**of.model_dump())

    async def decided(id_: UUID, state: Decided, wait_s: int = 0) -> Conversation:
        listed, _ = await listed_as(id_, state, max(min(wait_s, WAIT_LIMIT_S), 0), ports)
        return conversation_node(decided_answer(id_, state, listed.last_message_at if listed else None))

    async def changed(ask: GroupRequest, wait_s: int) -> Conversation:
        state, _, _ = await change_group(ask, ports)
        return await decided(ask.conversation_id, state, wait_s)

    async def sent(info: Info, new: SendInput | SendToPeopleInput) -> MessageSent:
        data = await commands[SEND](info.context.user, payload(new))
        status = await status_of(open_position(tokens, data["position"]), new.wait_seconds, ports.stored)
        of = {name: UUID(data[name]) for name in ("message_id", "conversation_id")}
        return MessageSent(**of, client_id=data["client_id"], status=status, position=data["position"])

    async def message_changed(
        info: Info, name: str, message_id: UUID, given: dict[str, Any], wait_s: int
    ) -> MessageChanged:
        position = (await commands[name](info.context.user, given))["position"]
        status = await status_of(open_position(tokens, position), wait_s, ports.stored)
        return MessageChanged(message_id=message_id, status=status, position=position)

    @strawberry.type
    class Query:
        @scoped(READ, "Your conversations, last started first.")
        async def conversations(
            self,
            info: Info,
            first: int = FIRST,
            after: str | None = None,
            archived: bool = False,
            min_position: str | None = None,
        ) -> Connection[Conversation] | None:
            await seen(info.context, min_position, ports.stored)
            id_ = info.context.user.id
            return await page_by_place(
                info.context,
                partial(ports.conversations.of_member, id_, archived=archived),
                lambda each: conversation_node(conversation_answer(each)),
                lambda each: (each.started_at, each.conversation_id),
                first,
                after,
                f"conversations:{id_}:{archived}",
            )

        @scoped(READ, "Groups that anybody may join, last started first.")
        async def public_conversations(
            self, info: Info, first: int = FIRST, after: str | None = None
        ) -> Connection[Conversation] | None:
            return await page_by_place(
                info.context,
                ports.conversations.public,
                lambda each: conversation_node(conversation_answer(each)),
                lambda each: (each.started_at, each.conversation_id),
                first,
                after,
                f"conversations:{info.context.user.id}:public",
            )

        @scoped(READ, "One of your conversations.")
        async def conversation(
            self,
            info: Info,
            id: UUID,  # noqa: A002
            min_position: str | None = None,
        ) -> Conversation | None:
            await seen(info.context, min_position, ports.stored)
            return await decided(id, await state_for(id, info.context.user.id, ports))

        @scoped("messages:read", "A message of one of your conversations.")
        async def message(self, info: Info, id: UUID, min_position: str | None = None) -> Message | None:  # noqa: A002
            await seen(info.context, min_position, ports.stored)
            return message_node(await message_for(id, info.context.user.id, ports))

    @strawberry.type
    class Mutation:
        @scoped(WRITE, "Say something in one of your conversations.")
        async def send_message(self, info: Info, input: SendInput) -> MessageSent | None:  # noqa: A002
            return await sent(info, input)

        @scoped("messages:write", "Say something to people.")
        async def send_message_to_people(self, info: Info, input: SendToPeopleInput) -> MessageSent | None:  # noqa: A002
            return await sent(info, input)

        @scoped("messages:write", "Replace the text of your message.")
        async def edit_message(self, info: Info, input: EditInput) -> MessageChanged | None:  # noqa: A002
            return await message_changed(info, EDIT, input.message_id, payload(input), input.wait_seconds)

        @scoped("messages:write", "Take your message back; twice is once.")
        async def delete_message(self, info: Info, message_id: UUID, wait_seconds: int = 0) -> MessageChanged | None:
            return await message_changed(info, DELETE, message_id, {"message_id": str(message_id)}, wait_seconds)

        @scoped(WRITE, "Start a named group with yourself in it.")
        async def start_group(self, info: Info, input: NewGroupInput) -> Conversation | None:  # noqa: A002
            new = NewGroup.model_validate({key: each for key, each in payload(input).items() if key != "client_id"})
            named = Named(client_id=input.client_id).client_id
            id_ = group_id(info.context.user.id, named) if named else uuid4()
            ask = StartGroup(
                conversation_id=id_,
                title=new.title,
                member_ids=tuple(new.member_ids),
                starter_id=info.context.user.id,
                at=ports.now(),
                public=new.public,
                metadata=new.metadata,
            )
            state, _, _ = await start_group(ask, ports)
            return await decided(id_, state, input.wait_seconds)

        @scoped(WRITE, "Get or create your conversation with these people.")
        async def start_direct(
            self, info: Info, participant_ids: list[UUID], wait_seconds: int = 0
        ) -> Conversation | None:
            of, id_ = DirectOf(participant_ids=participant_ids), info.context.user.id
            ask = StartDirect(participants=participants((*of.participant_ids, id_)), starter_id=id_, at=ports.now())
            state, _, _ = await start_direct(ask, ports)
            return await decided(direct_id(ask.participants), state, wait_seconds)

        @scoped(WRITE, "Give a group another title.")
        async def rename_group(
            self, info: Info, conversation_id: UUID, title: str, wait_seconds: int = 0
        ) -> Conversation | None:
            title = GroupChange(title=title).title or ""
            id_ = info.context.user.id
            ask = Rename(conversation_id=conversation_id, title=title, asker_id=id_, at=ports.now())
            return await changed(ask, wait_seconds)

        @scoped(WRITE, "Add somebody to a group; twice is once.")
        async def add_member(
            self, info: Info, conversation_id: UUID, member_id: UUID, wait_seconds: int = 0
        ) -> Conversation | None:
            id_ = info.context.user.id
            ask = AddMember(conversation_id=conversation_id, member_id=member_id, asker_id=id_, at=ports.now())
            return await changed(ask, wait_seconds)

        @scoped(WRITE, "Remove somebody from a group, or leave it.")
        async def remove_member(self, info: Info, conversation_id: UUID, member_id: UUID) -> bool | None:
            id_ = info.context.user.id
            ask = RemoveMember(conversation_id=conversation_id, member_id=member_id, asker_id=id_, at=ports.now())
            await change_group(ask, ports)
            return True  # and no more: outsiders do not learn whether there is such a group

        @scoped(WRITE, "End a group you started; it can still be read.")
        async def archive_group(self, info: Info, conversation_id: UUID) -> bool | None:
            ask = Archive(conversation_id=conversation_id, asker_id=info.context.user.id, at=ports.now())
            await change_group(ask, ports)
            return True

    return Part(Query, Mutation)
