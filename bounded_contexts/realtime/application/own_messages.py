"""No echo: the socket that sends a message has the ack for it and hears no `message.created`.

The event may be read before the ack is known, so a send is remembered when it comes in, by how it was asked for.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from bounded_contexts.realtime.application.reactions import Delivery, Recipient

SEND = "message.send"
MOST = 256  # sends of one socket that no event has come for yet

Target = UUID | frozenset[Recipient]  # a conversation, or the participants of one whose id is not known yet
Send = tuple[str, Target]  # the client's own id of the message and where it goes


class OwnMessages:
    """What one socket of `user` has sent."""

    def __init__(self, user: UUID) -> None:
        self._user = user
        self._sends: OrderedDict[Send, None] = OrderedDict()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of what the socket sent is due to come back."""
        return not self._sends

    def begin(self, name: str, payload: Any) -> Send | None:
        """Remember a command that comes in. Return how to speak of it, None if it can become no message."""
        send = _send(payload) if name == SEND else None
        if send:
            self._remember(send)
        return send

    def failed(self, send: Send | None) -> None:
        """Forget a send that was not acknowledged: if it became a message after all, the socket has to hear of it."""
        if send:
            self._sends.pop(send, None)

    def acknowledged(self, send: Send | None, answer: Mapping[str, Any]) -> None:
        """Learn the conversation of a send to participants."""
        if send and send in self._sends and (conversation := _uuid(answer.get("conversation_id"))):
            del self._sends[send]
            self._remember((send[0], conversation))

    def take(self, delivery: Delivery) -> bool:
        """Return whether the delivery is what this socket sent; ask once for each."""
        origin = delivery.origin
        if origin is None or not self._sends or origin.sender_id != self._user:
            return False
        for target in (origin.conversation_id, delivery.recipients):
            if (origin.client_id, target) in self._sends:
                del self._sends[origin.client_id, target]
                return True
        return False

    def _remember(self, send: Send) -> None:
        self._sends[send] = None
        if len(self._sends) > MOST:
            self._sends.popitem(last=False)


def _send(payload: Any) -> Send | None:
    """Read what is needed of a payload that nobody has checked yet."""
    if not isinstance(payload, Mapping) or not isinstance(client_id := payload.get("client_id"), str):
        return None
    if conversation := _uuid(payload.get("conversation_id")):
        return client_id, conversation
    people = payload.get("participants")
    known = frozenset(filter(None, map(_uuid, people))) if isinstance(people, list) else None
    return (client_id, known) if known else None


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
