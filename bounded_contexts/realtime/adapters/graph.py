"""What realtime offers to the GraphQL schema. It is run once for each event and subscription, by `graph_sockets`."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

import strawberry

from bounded_contexts.realtime.application.reactions import Delivery
from infra.graph import Part


@strawberry.enum(name="MessageEventKind")
class Kind(Enum):
    CREATED = "message.created"
    UPDATED = "message.updated"
    DELETED = "message.deleted"
    ERASED = "message.erased"


NAMES = frozenset(kind.value for kind in Kind)
ACTOR = ("sender_id", "editor_id", "deleted_by", "erased_by")
TIME = ("created_at", "edited_at", "deleted_at", "erased_at")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a subscription is asked about."""

    delivery: Delivery
    position: str


@strawberry.type(description="What happens to messages of your conversations, your own included.")
class MessageEvent:
    kind: Kind
    message_id: UUID
    conversation_id: UUID
    actor_id: UUID = strawberry.field(description="Who sent, changed, deleted or erased it.")
    body: str | None = strawberry.field(description="The text, where there is a new one.")
    client_id: str | None = strawberry.field(description="The sender's name for a new message.")
    participants: list[UUID]
    at: datetime
    position: str = strawberry.field(description="To go on behind it: `position` of the next `connection_init`.")


def message_event(root: Heard, conversation_id: UUID | None = None) -> MessageEvent | None:
    """Return the event, None where the subscription is about another conversation."""
    data = root.delivery.data
    if conversation_id is not None and data["conversation_id"] != str(conversation_id):
        return None
    return MessageEvent(
        kind=Kind(root.delivery.name),
        message_id=UUID(data["id"]),
        conversation_id=UUID(data["conversation_id"]),
        actor_id=UUID(next(data[name] for name in ACTOR if name in data)),
        body=data.get("body"),
        client_id=data.get("client_id"),
        participants=[UUID(each) for each in data["participants"]],
        at=datetime.fromisoformat(next(data[name] for name in TIME if name in data)),
        position=root.position,
    )


@strawberry.type
class Subscription:
    message_events: MessageEvent | None = strawberry.field(
        resolver=message_event, description="Events of your conversations, or of one; nothing is sent for others."
    )


PART = Part(subscription=Subscription)
