"""Sockets that hear UI updates, and what of theirs `CatchUp` serves: one channel, or several that begin together."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol

from bounded_contexts.realtime.adapters import packets
from bounded_contexts.realtime.adapters.anonymous import Anonymous
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.recent import Entry, Reading, copied
from bounded_contexts.realtime.application.subscriptions import Channel
from bounded_contexts.realtime.application.updates import is_expired
from shared_kernel.module import Offsets


class Channels(Protocol):
    """What subscriptions ask of the node."""

    def covered(self, socket: "UiSession") -> Reading: ...

    def begin(self, subscription: "Subscription", *, resumed: bool) -> None: ...

    def forget(self, subscription: "Subscription") -> None: ...


class UiSession(Session):
    """A socket that hears what it has subscribed to."""

    begins_at_once = False
    names_channels: ClassVar[bool] = True  # in what it hears
    namespace = packets.UI

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.channels: dict[str, Subscription] = {}
        self.behind: set[Session] = set()  # what of them is not live

    @property
    def is_public(self) -> bool:
        return isinstance(self.user, Anonymous)

    @property
    def is_listed(self) -> bool:
        """Return whether its user is there by it."""
        return not self.is_public

    def whisper(self, name: str, data: Mapping[str, Any]) -> bool:
        return True  # of people it hears nothing

    def written(self, _entry: Entry, packet: Any) -> Any:
        """Return an update as this kind of client reads it."""
        return self.heard(packet)

    def ends(self) -> dict[str, datetime | None]:
        """Return its channels, and when the right to each ends."""
        return {name: each.until for name, each in self.channels.items()}

    def end(self) -> None:
        super().end()
        for subscription in list(self.channels.values()):
            subscription.end()


class PublicSession(UiSession):
    """The same without login."""

    takes_login = "never"
    namespace = packets.PUBLIC


class Subscription(Session):
    """One channel of a socket."""

    def __init__(self, socket: UiSession, channel: Channel, ui: Channels) -> None:
        super().__init__(socket.user, None, True, socket.own, socket.connection)
        self.socket, self.channel = socket, channel
        self.beginning: Beginning | None = None
        self.version: int | None = None  # the greatest that was queued
        self.until: datetime | None = None  # when the right to it ends
        self.closing: asyncio.TimerHandle | None = None
        self._ui = ui

    @property
    def recipients(self) -> tuple[Channel]:
        return (self.channel,)

    @property
    def covered(self) -> Reading:
        return self._ui.covered(self.socket)

    def offer(self, entry: Entry, packet: Any) -> bool:
        version = entry.delivery.data["version"]
        is_old = version is not None and self.version is not None and version <= self.version
        if is_old or is_expired(entry.delivery):
            return True
        if not super().offer(entry, self.socket.written(entry, packet)):
            return False
        self.version = self.version if version is None else version
        return True

    def lag(self, entry: Entry, reached: Reading) -> None:
        super().lag(entry, reached)
        self.socket.behind.add(self)

    def go_live(self) -> None:
        super().go_live()
        self.socket.behind.discard(self)

    def end(self) -> None:
        super().end()
        if self.closing:
            self.closing.cancel()
        self.socket.behind.discard(self)
        self._ui.forget(self)
        if self.beginning and not self.beginning.recipients:
            self.beginning.end()


class Beginning(Session):
    """Channels that a socket begins with at one position: what they have had since is sent in one order."""

    def __init__(self, subscriptions: Sequence[Subscription], position: Offsets | None, ui: Channels) -> None:
        self.socket = subscriptions[0].socket
        super().__init__(self.socket.user, position, True, self.socket.own, self.socket.connection)
        self._of = {each.channel: each for each in subscriptions}
        self._ui = ui
        for each in subscriptions:
            each.beginning = self
        self.socket.behind.add(self)

    @property
    def recipients(self) -> list[Channel]:
        return [each.channel for each in self._of.values() if not each.ended]

    @property
    def covered(self) -> Reading:
        return self._ui.covered(self.socket)

    def say(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "session.ready":
            self.progress = copied(self.begins)
        for channel in self.recipients:
            if name == "resync.required":
                self.socket.say(name, {"scope": "channel", "channel": channel.name})
            elif name == "session.ready":
                self._ui.begin(self._of[channel], resumed=data["resumed"])

    def offer(self, entry: Entry, packet: Any) -> bool:
        (channel,) = entry.delivery.recipients
        subscription = self._of[channel] if isinstance(channel, Channel) else None
        return subscription is None or subscription.ended or subscription.offer(entry, packet)

    def go_live(self) -> None:
        super().go_live()
        self.socket.behind.discard(self)
        for each in self._of.values():
            each.go_live()
            each.beginning = None

    def end(self) -> None:
        super().end()
        self.socket.behind.discard(self)
        for channel in self.recipients:
            self._of[channel].end()
