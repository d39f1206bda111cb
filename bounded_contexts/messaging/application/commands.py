"""One function for each thing a person can do in messaging. Each writes exactly once."""

from uuid import UUID

from bounded_contexts.messaging.application.members import known_message, members_of, state_for
from bounded_contexts.messaging.application.ports import Ports
from bounded_contexts.messaging.domain import conversation, message
from bounded_contexts.messaging.domain.commands import (
    DeleteMessage,
    EditMessage,
    EraseMessage,
    SendMessage,
    StartDirect,
    StartGroup,
)
from bounded_contexts.messaging.domain.conversation import Conversation, GroupRequest
from bounded_contexts.messaging.domain.identity import direct_id, participants
from schemas.messaging.events import MessageSent
from shared_kernel.decider import execute
from shared_kernel.errors import Forbidden, Refused
from shared_kernel.events import Position


async def start_direct(ask: StartDirect, ports: Ports) -> tuple[Conversation, int, bool]:
    """Return the conversation, its version and whether this call started it."""
    state, version, events = await execute(conversation, ports.store, direct_id(ask.participants), ask)
    return state, version, bool(events)


async def start_group(ask: StartGroup, ports: Ports) -> tuple[Conversation, int, bool]:
    """Return the group, its version and whether this call started it; a repeat with the same id returns what is there.

    Raise `Refused` when somebody else's group has the id."""
    state, version, events = await execute(conversation, ports.store, ask.conversation_id, ask)
    if ask.starter_id not in state.members:
        raise Refused(
            "id_taken", "a group of this key was started before and you are not in it any more: choose another key"
        )
    return state, version, bool(events)


async def change_group(ask: GroupRequest, ports: Ports) -> tuple[Conversation, int, bool]:
    """Return the group after the change, its version and whether this call changed it. Raise `NotFound` for outsiders."""
    state, version, events = await execute(conversation, ports.store, ask.conversation_id, ask)
    if not version and ask.asker_id in await members_of(ask.conversation_id, ports):
        raise Refused("direct_is_fixed", "the members of a direct conversation never change")
    return state, version, bool(events)


async def send_message(ask: SendMessage, ports: Ports) -> tuple[MessageSent, Position]:
    """Say something in a conversation that is known by its id. Raise `NotFound` for outsiders, `Refused`."""
    state = await state_for(ask.conversation_id, ask.sender_id, ports)
    conversation.require_open(state)
    sent = message.say(state.members, ask)
    return sent, await ports.log.publish(sent)


async def send_to_participants(ask: SendMessage, of: tuple[UUID, ...], ports: Ports) -> tuple[MessageSent, Position]:
    """Say something to exactly these people: nothing is read, the conversation's id follows from them."""
    if len(participants(of)) < 2 or len(of) > conversation.MEMBER_LIMIT:
        raise Refused("participant_count", f"a conversation has 2 to {conversation.MEMBER_LIMIT} participants")
    if ask.sender_id not in of:
        raise Forbidden("not_a_member", "you are not among the participants")
    sent = message.say(frozenset(of), ask)
    return sent, await ports.log.publish(sent)


async def edit_message(ask: EditMessage, ports: Ports) -> Position:
    """Replace the text of one's own message."""
    known, members = await known_message(ask.message_id, ports)
    return await ports.log.publish(message.edit(known, members, ask))


async def delete_message(ask: DeleteMessage, ports: Ports) -> Position:
    """Take back one's own message."""
    known, members = await known_message(ask.message_id, ports)
    return await ports.log.publish(message.delete(known, members, ask))


async def erase_message(ask: EraseMessage, ports: Ports) -> Position:
    """Remove anybody's message for good, as an admin."""
    message.require_admin(ask)
    known, members = await known_message(ask.message_id, ports)
    return await ports.log.publish(message.erase(known, members, ask))
