"""Messages whose text an admin removed: this node hands it out no more, as far as it has read of that."""

from collections import OrderedDict
from dataclasses import replace
from uuid import UUID

from schemas.messaging.events import MessageEdited, MessageErased, MessageSent
from shared_kernel.events import Event, Recorded

MOST = 100_000  # messages; those erased longest ago are forgotten first


class ErasedMessages:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ids: OrderedDict[UUID, None] = OrderedDict()

    def learn(self, event: Event) -> UUID | None:
        """Return the message if the event is an erasure that was not known."""
        if not isinstance(event, MessageErased) or event.message_id in self._ids:
            return None
        self._ids[event.message_id] = None
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)
        return event.message_id

    def cleared(self, recorded: Recorded) -> Recorded:
        """Return the record, without the text if that was erased."""
        event = recorded.event
        if isinstance(event, MessageSent | MessageEdited) and event.message_id in self._ids:
            return replace(recorded, event=replace(event, body=""))
        return recorded
