"""Keep what is read: history and the list of conversations, from our own topics."""

from collections.abc import Sequence

from bounded_contexts.messaging.application.ports import Ports
from schemas.messaging.events import MessageSent


async def messages_sent(messages: Sequence[MessageSent], ports: Ports) -> None:
    """Store the messages and list their conversations."""
    await ports.history_writer.sent(messages)
    await ports.conversation_writer.talked(messages)
