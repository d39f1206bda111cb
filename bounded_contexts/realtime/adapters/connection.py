"""What every kind of socket offers to the gateway, and what the gateway does for it."""

from typing import Any, Literal, Protocol

from bounded_contexts.realtime.adapters.outbox import Outbox

Kind = Literal[
    "chat", "plain", "graph", "ui", "public", "events", "page", "plain-ui", "plain-public"
]  # which frames a client reads

GRACE_S = 3.0  # what was queued may take so long to go out before a connection is cut


class Refusal(Exception):
    """A client is not let in; the document says why."""

    def __init__(self, message: str, document: dict[str, Any]) -> None:
        super().__init__(message)
        self.message, self.document = message, document


class Connection(Protocol):
    """One client's way out, whatever its transport."""

    @property
    def sid(self) -> str: ...

    @property
    def outbox(self) -> Outbox: ...

    def send(self, packet: Any) -> None:
        """Queue a packet, however full the queue is."""
        ...

    def dismiss(self) -> None:
        """End the session by the server's wish, after what is queued: the client does not come back by itself."""
        ...

    def hang_up(self) -> None:
        """Close after what is queued, at the latest `GRACE_S` later: the client connects again."""
        ...

    def cut(self) -> None:
        """Close now, without waiting for anything."""
        ...


class Listener(Protocol):
    """Whom sessions are for."""

    async def admit(self, sid: str, auth: Any, kind: Kind = "chat", address: str = "") -> Any:
        """Return the session of a client that wants to join, from that address. Raise `Refusal`; one with status 503 is for a
        client that had better come again."""
        ...

    def joined(self, connection: Connection) -> None:
        """Hear that the client knows it is in."""
        ...

    def began(self, sid: str) -> None:
        """Hear that a client, of a kind that joins before it listens, has begun to listen."""
        ...

    def asked(self, sid: str, number: int | None, args: list[Any]) -> None:
        """Hear what the client asks: `args` is the event's name and what came with it; `number` is of its ack."""
        ...

    def left(self, sid: str) -> None:
        """Hear that an admitted client is gone; may be told twice."""
        ...
