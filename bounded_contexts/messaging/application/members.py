"""Who belongs to a conversation, for commands and reads alike."""

from uuid import UUID

from bounded_contexts.messaging.application.ports import Ports
from bounded_contexts.messaging.domain import conversation
from bounded_contexts.messaging.domain.conversation import Conversation
from bounded_contexts.messaging.domain.message import Message
from shared_kernel.decider import state_of
from shared_kernel.errors import NotFound


async def state_for(conversation_id: UUID, asker: UUID, ports: Ports) -> Conversation:
    """Return the conversation for one of its members. Raise `NotFound` for everybody else."""
    state = await _state(conversation_id, ports)
    if asker not in state.members:
        raise NotFound("conversation_not_found")
    return state


async def members_for(conversation_id: UUID, asker: UUID, ports: Ports) -> frozenset[UUID]:
    """Return the members now for one of them. Raise `NotFound` for everybody else."""
    return (await state_for(conversation_id, asker, ports)).members


async def members_of(conversation_id: UUID, ports: Ports) -> frozenset[UUID]:
    """Return the members now, nobody for a conversation that is not known."""
    return (await _state(conversation_id, ports)).members


async def known_message(message_id: UUID, ports: Ports) -> tuple[Message | None, frozenset[UUID]]:
    """Return the stored message and the members of its conversation now; nothing and nobody when it is not known."""
    known = await ports.history.message(message_id)
    return known, await members_of(known.conversation_id, ports) if known else frozenset()


async def message_for(message_id: UUID, asker: UUID, ports: Ports) -> Message:
    """Return the message for a member of its conversation. Raise `NotFound` for everybody else."""
    message, members = await known_message(message_id, ports)
    if message is None or asker not in members:
        raise NotFound("message_not_found")
    return message


async def _state(conversation_id: UUID, ports: Ports) -> Conversation:
    """A direct conversation that nobody opened is known from its stored messages."""
    state, version = await state_of(conversation, ports.store, conversation_id)
    if version:
        return state
    listed = await ports.conversations.listed(conversation_id)
    if listed is None or listed.kind != "direct":
        return conversation.INITIAL
    return Conversation(frozenset(listed.member_ids), "direct", None, listed.started_at)
