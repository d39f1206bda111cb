"""UI updates for who speaks no Socket.IO: as server-sent events, or as the plain WebSocket frames of an older service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bounded_contexts.realtime.adapters import packets
from bounded_contexts.realtime.adapters.ui_sessions import UiSession
from bounded_contexts.realtime.application.recent import Entry


@dataclass(frozen=True, slots=True)
class Said:
    """One event in a queue."""

    name: str
    data: str  # JSON
    position: str | None

    def __len__(self) -> int:
        return len(self.data)

    def encode(self) -> bytes:
        """Return it as a server-sent event."""
        begin = f"id: {self.position}\n" if self.position else ""
        return f"{begin}event: {self.name}\ndata: {self.data}\n\n".encode()


class EventsSession(UiSession):
    """A client that hears over HTTP: private updates if it says who it is, else public ones."""

    takes_login = "perhaps"

    def say(self, name: str, data: Mapping[str, Any]) -> None:
        if self.connection and not self.ended:
            self.connection.send(Said(name, msgspec.json.encode(data).decode(), data.get("position")))

    def written(self, entry: Entry, packet: Any) -> Said:
        return Said(entry.delivery.name, packets.envelope(packet), packet.position)


class PageSession(EventsSession):
    """A client that asks for a page and is gone."""

    is_listed = False


class PlainUiSession(UiSession):
    """Hears each payload as it was published, and nothing else."""

    names_channels = False

    def say(self, name: str, data: Mapping[str, Any]) -> None: ...

    def written(self, entry: Entry, _packet: Any) -> str:
        payload: str = entry.delivery.data["payload"]
        return payload


class PlainPublicSession(PlainUiSession):
    """The same without login."""

    takes_login = "never"
