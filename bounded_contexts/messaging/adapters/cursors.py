"""Where a page of messages ends, as clients carry it: over REST and GraphQL the same."""

from typing import Literal
from uuid import UUID

from bounded_contexts.messaging.application.ports import Page
from infra.opaque import OpaqueTokens
from shared_kernel.errors import Refused

Order = Literal["newest", "oldest"]
Direction = Literal["before", "after"]


def onward(order: Order) -> Direction:
    """Return which side of a message the next page of the order lies on."""
    return "before" if order == "newest" else "after"


def seal_cursor(tokens: OpaqueTokens, conversation: UUID, order: Order, direction: Direction, seq: int) -> str:
    """Return the cursor to that side of a message. One that goes on keeps the order; one that goes back reads the other way
    round."""
    other: Order = "oldest" if order == "newest" else "newest"
    return tokens.seal(
        "cursor", [str(conversation), order if direction == onward(order) else other, direction, seq], of="messages"
    )


def open_cursor(tokens: OpaqueTokens, cursor: str, conversation: UUID, limit: int) -> Page:
    """Return the page. Raise `Refused` for a cursor that was not given out for the conversation."""
    of, order, direction, seq = tokens.open("cursor", cursor, of="messages")
    if UUID(of) != conversation:
        raise Refused("invalid_cursor", "the cursor is of another conversation")
    return Page(limit, order, seq if direction == "before" else None, seq if direction == "after" else None)
