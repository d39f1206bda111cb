"""UI updates: what sockets in `/ui` and `/ui-public` subscribe to, and who gets what (docs/realtime.md).

Each channel of a socket is served as a chat session is: live, or by `CatchUp` from memory and the topic. While one of them is
behind, the positions that the socket is told are its, so that the newest one it has is good for all its channels.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from bounded_contexts.realtime.adapters import packets
from bounded_contexts.realtime.adapters.catch_up import CatchUp, Meaning
from bounded_contexts.realtime.adapters.channel_tokens import granted_until
from bounded_contexts.realtime.adapters.metrics import LAGGED
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.erased import ErasedMessages
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.ports import Past
from bounded_contexts.realtime.application.recent import Entry, Reading, Recent, copied
from bounded_contexts.realtime.application.subscriptions import NAME, Channel, may_subscribe
from bounded_contexts.realtime.application.updates import Kept, Versions, is_expired, update_of
from infra.access_tokens import User
from infra.feed_positions import open_feed, seal_feed
from infra.opaque import OpaqueTokens
from infra.rate_limit import network_of
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.errors import Forbidden, Refused
from shared_kernel.events import Recorded
from shared_kernel.module import Offsets, SocketCommand

TOPIC = UiUpdatePublished.TOPIC
ADDRESSES = UUID("6f0b1d5c-5d0a-4a53-9d8e-0a3c8f5b7f11")  # the namespace of ids of clients without login
FAR = datetime(8000, 1, 1, tzinfo=UTC)

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


class Anonymous(User):
    """Who has not signed in: known by the address alone, which is what is counted."""


def anonymous(address: str) -> Anonymous:
    """Return the client at that address."""
    return Anonymous(uuid5(ADDRESSES, network_of(address) if address else ""), frozenset(), FAR)


class Wish(BaseModel):
    """What a client asks; unknown fields are for other versions."""

    model_config = ConfigDict(extra="ignore", strict=True)

    channel: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]


class Subscribing(Wish):
    position: str | None = Field(None, max_length=4096)  # null: from now on
    token: str | None = Field(None, max_length=4096)


class UiSession(Session):
    """A socket that hears what it has subscribed to."""

    begins_at_once = False
    namespace: ClassVar[str] = packets.UI

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.channels: dict[str, Subscription] = {}
        self.behind: set[Subscription] = set()  # those that are not live

    @property
    def is_public(self) -> bool:
        """Return whether it hears public updates, and no others."""
        return isinstance(self.user, Anonymous)

    def say(self, name: str, data: Mapping[str, Any]) -> None:
        if self.connection and not self.ended:
            self.connection.send(packets.notice(name, data, self.namespace))

    def answer(self, number: int, outcome: Mapping[str, Any]) -> None:
        if self.connection and not self.ended:
            self.connection.send(packets.ack(number, outcome, self.namespace))

    def written(self, packet: Any) -> Any:
        """Return an update as this kind of client reads it."""
        return packet

    def end(self) -> None:
        super().end()
        for subscription in list(self.channels.values()):
            subscription.end()


class PublicSession(UiSession):
    """The same without login."""

    takes_login = "never"
    namespace = packets.PUBLIC


class Subscription(Session):
    """One channel of a socket, as `CatchUp` sees it."""

    def __init__(self, socket: UiSession, channel: Channel, position: Offsets | None, ui: "UiUpdates") -> None:
        super().__init__(socket.user, position, True, socket.own, socket.connection)
        self.socket, self.channel = socket, channel
        self.version: int | None = None  # the greatest that was queued
        self.closing: asyncio.TimerHandle | None = None
        self._ui = ui
        socket.behind.add(self)

    @property
    def recipient(self) -> Channel:
        return self.channel

    @property
    def covered(self) -> Reading:
        return self._ui.covered(self.socket)

    def say(self, name: str, data: Mapping[str, Any]) -> None:
        if self.ended:
            return
        if name == "resync.required":
            self.socket.say(name, {"scope": "channel", "channel": self.channel.name})
        elif name == "session.ready":
            self._ui.begin(self, resumed=data["resumed"])

    def offer(self, entry: Entry, packet: Any) -> bool:
        version = entry.delivery.data["version"]
        is_old = version is not None and self.version is not None and version <= self.version
        if is_old or is_expired(entry.delivery):
            return True
        if not super().offer(entry, self.socket.written(packet)):
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


def _untraced(_sid: str, _session: Session) -> None:
    """Traces are of messages."""


class UiUpdates:
    """A node's subscriptions: `deliver` and `reached` are told of the topic, `commands` is what a socket may ask."""

    def __init__(self, past: Past, tokens: OpaqueTokens, limits: Limits, spawn: Spawn) -> None:
        self._tokens, self._limits, self._spawn = tokens, limits, spawn
        self._recent = Recent(limits.recent_records, limits.recent_bytes)
        self._versions, self._kept = Versions(), Kept()
        self._subscribed: dict[Channel, set[Subscription]] = {}
        meaning = Meaning(lambda event: update_of(event, limits.region), packets.update_opening)
        self._catch_up = CatchUp(self._recent, ErasedMessages(), past, _untraced, self._seal, limits, meaning)

    def deliver(self, recorded: Recorded) -> None:
        """Send the update to whoever has subscribed to its channel."""
        delivery = update_of(recorded.event, self._limits.region) if self._recent.is_news(recorded) else None
        if delivery is None or not isinstance(recorded.event, UiUpdatePublished):
            self._recent.passed(recorded)
            return
        channel = Channel(recorded.event.channel, recorded.event.is_public)
        if not self._versions.pass_on(channel, recorded.event.version):
            self._recent.passed(recorded)
            return
        entry = self._recent.add(recorded, delivery, packets.update_opening(recorded, delivery))
        if recorded.event.is_kept:
            self._kept.keep(channel, entry)
        listening = [each for each in self._subscribed.get(channel, ()) if each.live]
        if not listening:
            return
        shared = packets.completed(entry.text, self._seal(self._recent.reached))
        for each in listening:
            behind = each.socket.behind
            packet = packets.completed(entry.text, self._seal(each.covered)) if behind else shared
            if not each.offer(entry, packet):
                LAGGED.inc()
                each.lag(entry, copied(self._recent.reached))
                self._spawn(self._catch_up.follow(each))

    def begun(self, offsets: Offsets) -> None:
        """Hear where reading begins."""
        self._recent.begin(offsets)

    def reached(self, offsets: Offsets) -> None:
        """Hear how far reading has come."""
        self._recent.reach(offsets)
        self._catch_up.moved()

    def commands(self, socket: UiSession) -> Mapping[str, SocketCommand]:
        """Return what the socket may ask."""
        return {
            "channel.subscribe": partial(self._subscribe, socket),
            "channel.unsubscribe": partial(self._unsubscribe, socket),
        }

    def covered(self, socket: UiSession) -> Reading:
        """Return up to where the socket has had everything in all its channels."""
        found = copied(self._recent.reached)
        for each in socket.behind:
            for topic, partitions in found.items():
                had = each.progress.get(topic, {})
                for number, offset in partitions.items():
                    partitions[number] = min(offset, had.get(number, 0))
        return found

    def position(self, socket: UiSession) -> str:
        """Return the same as clients carry it."""
        return self._seal(self.covered(socket))

    def begin(self, subscription: Subscription, *, resumed: bool) -> None:
        """Tell the client that the channel begins, and its last value if it does not go on from anywhere."""
        socket, channel = subscription.socket, subscription.channel
        subscription.progress = copied(subscription.begins)
        position = self.position(socket)
        socket.say("channel.subscribed", {"channel": channel.name, "position": position, "resumed": resumed})
        kept = None if resumed else self._kept.of(channel)
        if kept and subscription.connection:
            subscription.version = kept.delivery.data["version"]
            packet = packets.completed(kept.text, position)
            subscription.connection.send(socket.written(packet))  # one a channel, however full the queue is

    def forget(self, subscription: Subscription) -> None:
        """Hear that the channel is over for the socket. May be repeated."""
        socket, channel = subscription.socket, subscription.channel
        if socket.channels.get(channel.name) is subscription:
            del socket.channels[channel.name]
        others = self._subscribed.get(channel, set())
        others.discard(subscription)
        if not others:
            self._subscribed.pop(channel, None)

    async def _subscribe(self, socket: UiSession, _: User, payload: Any) -> Mapping[str, Any]:
        return self.subscribe(socket, Subscribing.model_validate(payload))

    async def _unsubscribe(self, socket: UiSession, _: User, payload: Any) -> Mapping[str, Any]:
        name = Wish.model_validate(payload).channel
        if known := socket.channels.get(name):
            self._close(known, "unsubscribed")
        return {"channel": name}

    def subscribe(self, socket: UiSession, wish: Subscribing) -> Mapping[str, Any]:
        """Begin with a channel, or renew the right to it. Raise `Refused` for what the socket may not have."""
        until = self._allowed_until(socket, wish)
        position = socket.position
        if "position" in wish.model_fields_set:
            position = open_feed(self._tokens, wish.position) if wish.position is not None else None
        known = socket.channels.get(wish.channel)
        if known and "position" not in wish.model_fields_set:
            self._close_at(known, until)
        else:
            if known is None and len(socket.channels) >= self._limits.channels:
                raise Refused("too_many_channels", f"{self._limits.channels} of a socket")
            if known:
                known.end()
            self._close_at(self._add(socket, Channel(wish.channel, socket.is_public), position), until)
        return {"channel": wish.channel}

    def _add(self, socket: UiSession, channel: Channel, position: Offsets | None) -> Subscription:
        subscription = Subscription(socket, channel, position, self)
        socket.channels[channel.name] = subscription
        self._subscribed.setdefault(channel, set()).add(subscription)
        if position is None:
            self._catch_up.start(subscription)
        elif TOPIC in position:
            subscription.progress = self._recent.within(position)
            self._spawn(self._catch_up.resume(subscription, position))
        else:  # it is one of messages
            self._catch_up.start_over(subscription)
        return subscription

    def _allowed_until(self, socket: UiSession, wish: Subscribing) -> datetime | None:
        """Return when the right to the channel ends, None if it does not. Raise `Forbidden` where there is none."""
        user = socket.user
        if socket.is_public or may_subscribe(user.id, user.roles, wish.channel, self._limits.open_channels):
            return None
        until = granted_until(self._tokens, wish.token or "", user.id, wish.channel)
        if until is None:
            raise Forbidden("forbidden_channel", "it takes a channel token of yours for this channel that is not over")
        return until

    def _close_at(self, subscription: Subscription, until: datetime | None) -> None:
        if subscription.closing:
            subscription.closing.cancel()
            subscription.closing = None
        if until:
            wait_s = (until - datetime.now(UTC)).total_seconds()
            loop = asyncio.get_running_loop()
            subscription.closing = loop.call_later(wait_s, self._close, subscription, "token_expired")

    def _close(self, subscription: Subscription, reason: str) -> None:
        subscription.end()
        subscription.socket.say("channel.closed", {"channel": subscription.channel.name, "reason": reason})

    def _seal(self, offsets: Offsets) -> str:
        return seal_feed(self._tokens, offsets)
