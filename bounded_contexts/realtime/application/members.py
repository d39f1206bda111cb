"""Who is in which conversation, as far as this node has read it from the topic of conversations."""

from collections import OrderedDict
from uuid import UUID

from schemas.messaging.events import ConversationStarted, MemberJoined, MemberLeft
from shared_kernel.events import Event

MOST = 500_000  # memberships kept; conversations that changed longest ago are forgotten first

NOBODY: frozenset[UUID] = frozenset()


class KnownMembers:
    """Learns from events in their order. A conversation whose start was not read is not known, however it changes.

    Messages teach nothing: they come from another topic and may be read after a member they name has left."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._count = 0
        self._members: OrderedDict[UUID, frozenset[UUID]] = OrderedDict()

    def learn(self, event: Event) -> None:
        """Take over a start or a change."""
        match event:
            case ConversationStarted():
                self._put(event.conversation_id, frozenset(event.member_ids))
            case MemberJoined() if event.conversation_id in self._members:
                self._put(event.conversation_id, self.of(event.conversation_id) | {event.member_id})
            case MemberLeft() if event.conversation_id in self._members:
                self._put(event.conversation_id, self.of(event.conversation_id) - {event.member_id})

    def of(self, conversation: UUID) -> frozenset[UUID]:
        """Return its members, nobody for a conversation that is not known."""
        return self._members.get(conversation, NOBODY)

    def _put(self, conversation: UUID, members: frozenset[UUID]) -> None:
        self._count += len(members) - len(self.of(conversation))
        self._members[conversation] = members
        self._members.move_to_end(conversation)
        while self._count > self._most and self._members:
            self._count -= len(self._members.popitem(last=False)[1])
