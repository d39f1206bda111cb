"""REST face of messaging, conversations: parse, call, answer."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Response

from bounded_contexts.messaging.adapters.bodies import (
    ConversationAnswer,
    ConversationPage,
    DirectOf,
    GroupChange,
    NewGroup,
    NewMember,
    PageAnswer,
    conversation_answer,
    decided_answer,
)
from bounded_contexts.messaging.adapters.http_messages import message_routes
from bounded_contexts.messaging.adapters.listing import listed_as
from bounded_contexts.messaging.application.commands import change_group, start_direct, start_group
from bounded_contexts.messaging.application.earlier import conversation_as_of
from bounded_contexts.messaging.application.members import state_for
from bounded_contexts.messaging.application.ports import Listed, Ports
from bounded_contexts.messaging.domain.commands import (
    AddMember,
    Archive,
    Describe,
    RemoveMember,
    Rename,
    StartDirect,
    StartGroup,
)
from bounded_contexts.messaging.domain.conversation import Conversation
from bounded_contexts.messaging.domain.identity import direct_id, group_id, participants
from infra.http import APPLIED, AsOf, Cursor, Limit, PreferWait, SignedIn, Tokens, open_place, problems, seal_place
from infra.opaque import OpaqueTokens

IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=128, description="The same key is the same request.")
]


def router(ports: Ports) -> APIRouter:
    """Return every route of the context."""
    routes = APIRouter(tags=["conversations"], responses=problems(401, 404, 422, 503))

    @routes.post("/conversations", status_code=201, responses=problems(409))
    async def start_a_group(
        new: NewGroup, user: SignedIn, wait: PreferWait, response: Response, idempotency_key: IdempotencyKey = None
    ) -> ConversationAnswer:
        """Start a named group with yourself in it."""
        id_ = group_id(user.id, idempotency_key) if idempotency_key else uuid4()
        ask = StartGroup(
            conversation_id=id_,
            title=new.title,
            member_ids=tuple(new.member_ids),
            starter_id=user.id,
            at=ports.now(),
            public=new.public,
            metadata=new.metadata,
        )
        state, _, _ = await start_group(ask, ports)
        response.headers["Location"] = f"/api/v1/conversations/{id_}"
        return await _answer(id_, state, wait, response, ports)

    @routes.put("/conversations/direct", responses=problems(403, 409) | {201: {"model": ConversationAnswer}})
    async def open_a_direct_conversation(
        of: DirectOf, user: SignedIn, wait: PreferWait, response: Response
    ) -> ConversationAnswer:
        """Get or create the conversation of exactly these people and you; the order does not matter."""
        people = participants((*of.participant_ids, user.id))
        state, _, started = await start_direct(
            StartDirect(participants=people, starter_id=user.id, at=ports.now()), ports
        )
        response.status_code = 201 if started else 200
        response.headers["Location"] = f"/api/v1/conversations/{direct_id(people)}"
        return await _answer(direct_id(people), state, wait, response, ports)

    @routes.get("/conversations")
    async def list_conversations(
        user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None, archived: bool = False
    ) -> ConversationPage:
        """List your open (or your archived) conversations, last started first: an order that stands still while you page."""
        of = f"conversations:{user.id}:{archived}"
        before = open_place(tokens, cursor, of)
        found = await ports.conversations.of_member(user.id, limit + 1, before, archived=archived)
        return _page(found, limit, tokens, of)

    @routes.get("/conversations/public")
    async def list_public_groups(
        user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None
    ) -> ConversationPage:
        """List the groups that anybody may join, last started first."""
        of = f"conversations:{user.id}:public"
        return _page(await ports.conversations.public(limit + 1, open_place(tokens, cursor, of)), limit, tokens, of)

    @routes.get("/conversations/{conversation_id:uuid}")
    async def read_a_conversation(conversation_id: UUID, user: SignedIn, as_of: AsOf) -> ConversationAnswer:
        """Read one of your conversations, as it is or as it was."""
        if as_of:
            return decided_answer(conversation_id, *await conversation_as_of(conversation_id, user.id, as_of, ports))
        state = await state_for(conversation_id, user.id, ports)
        listed = await ports.conversations.listed(conversation_id)
        return decided_answer(conversation_id, state, listed.last_message_at if listed else None)

    @routes.patch("/conversations/{conversation_id:uuid}", responses=problems(409))
    async def change_a_group(
        conversation_id: UUID, new: GroupChange, user: SignedIn, wait: PreferWait, response: Response
    ) -> ConversationAnswer:
        """Give a group another title, or other metadata."""
        at = ports.now()
        ask: Rename | Describe
        if new.title is not None:
            ask = Rename(conversation_id=conversation_id, title=new.title, asker_id=user.id, at=at)
        else:
            ask = Describe(conversation_id=conversation_id, metadata=new.metadata or {}, asker_id=user.id, at=at)
        state, _, _ = await change_group(ask, ports)
        return await _answer(conversation_id, state, wait, response, ports)

    @routes.delete("/conversations/{conversation_id:uuid}", status_code=204, responses=problems(403, 409))
    async def archive_a_group(conversation_id: UUID, user: SignedIn, wait: PreferWait, response: Response) -> None:
        """End a group you started: it can be read, and that is all. Twice is once."""
        ask = Archive(conversation_id=conversation_id, asker_id=user.id, at=ports.now())
        state, _, _ = await change_group(ask, ports)
        await _listed(conversation_id, state, wait, response, ports)

    @routes.post("/conversations/{conversation_id:uuid}/members", responses=problems(409))
    async def add_a_member(
        conversation_id: UUID, new: NewMember, user: SignedIn, wait: PreferWait, response: Response
    ) -> ConversationAnswer:
        """Add somebody to a group, or yourself to a public one; twice is once."""
        ask = AddMember(conversation_id=conversation_id, member_id=new.member_id, asker_id=user.id, at=ports.now())
        state, _, _ = await change_group(ask, ports)
        return await _answer(conversation_id, state, wait, response, ports)

    @routes.delete(
        "/conversations/{conversation_id:uuid}/members/{member_id:uuid}", status_code=204, responses=problems(409)
    )
    async def remove_a_member(
        conversation_id: UUID, member_id: UUID, user: SignedIn, wait: PreferWait, response: Response
    ) -> None:
        """Remove somebody from a group, or leave it yourself; twice is once, and so is leaving where you never were."""
        ask = RemoveMember(conversation_id=conversation_id, member_id=member_id, asker_id=user.id, at=ports.now())
        state, _, removed = await change_group(ask, ports)
        if removed or user.id in state.members:  # an outsider does not learn from the wait either
            await _listed(conversation_id, state, wait, response, ports)

    both = APIRouter()
    both.include_router(routes)
    both.include_router(message_routes(ports))
    return both


async def _answer(id_: UUID, state: Conversation, wait: float, response: Response, ports: Ports) -> ConversationAnswer:
    listed = await _listed(id_, state, wait, response, ports)
    return decided_answer(id_, state, listed.last_message_at if listed else None)


async def _listed(id_: UUID, state: Conversation, wait: float, response: Response, ports: Ports) -> Listed | None:
    listed, is_shown = await listed_as(id_, state, wait, ports)
    if is_shown:
        response.headers.update(APPLIED)
    return listed


def _page(found: list[Listed], limit: int, tokens: OpaqueTokens, of: str) -> ConversationPage:
    more = len(found) > limit
    last = found[limit - 1] if more else None
    next_ = seal_place(tokens, last.started_at, last.conversation_id, of) if last else None
    data = [conversation_answer(each) for each in found[:limit]]
    return ConversationPage(data=data, page=PageAnswer(next_cursor=next_, has_more=more))
