"""UI updates: what sockets in `/ui` and `/ui-public` subscribe to, and who gets what (docs/realtime.md).

What a chat session is to `CatchUp` is here one channel of a socket, or several with which it begins together. While one of
them is behind, the positions that the socket is told are its, so that the newest one it has is good for all its channels.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bounded_contexts.realtime.adapters import packets
from bounded_contexts.realtime.adapters.anonymous import Anonymous
from bounded_contexts.realtime.adapters.catch_up import CatchUp, Meaning
from bounded_contexts.realtime.adapters.channel_rights import ChannelRights
from bounded_contexts.realtime.adapters.channel_tokens import sealed
from bounded_contexts.realtime.adapters.commands import SessionCommand
from bounded_contexts.realtime.adapters.metrics import LAGGED
from bounded_contexts.realtime.adapters.past_in_turns import PastInTurns
from bounded_contexts.realtime.adapters.recovery import Recoveries, Recovery
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.adapters.wishes import Subscribing, SubscribingToMany, Wish
from bounded_contexts.realtime.application.erased import ErasedMessages
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.recent import Entry, Reading, Recent, copied
from bounded_contexts.realtime.application.subscriptions import Channel
from bounded_contexts.realtime.application.updates import Kept, Versions, is_expired, update_of
from infra.access_tokens import Unauthenticated
from infra.feed_positions import open_feed, seal_feed
from infra.opaque import OpaqueTokens
from infra.problems import of_error
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.errors import HeadwaterError, Refused
from shared_kernel.events import Recorded
from shared_kernel.module import Offsets

TOPIC = UiUpdatePublished.TOPIC

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


class UiSession(Session):
    """A socket that hears what it has subscribed to."""

    begins_at_once = False
    namespace = packets.UI

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.channels: dict[str, Subscription] = {}
        self.behind: set[Session] = set()  # what of them is not live

    @property
    def is_public(self) -> bool:
        return isinstance(self.user, Anonymous)

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

    def __init__(self, socket: UiSession, channel: Channel, ui: "UiUpdates") -> None:
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

    def __init__(self, subscriptions: Sequence[Subscription], position: Offsets | None, ui: "UiUpdates") -> None:
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


def _untraced(_sid: str, _session: Session) -> None:
    """Traces are of messages."""


class UiUpdates:
    """A node's subscriptions: `deliver` and `reached` are told of the topic, `commands` is what a socket may ask."""

    def __init__(
        self, past: PastInTurns, tokens: OpaqueTokens, recoveries: Recoveries, limits: Limits, spawn: Spawn
    ) -> None:
        self._tokens, self._limits, self._spawn = tokens, limits, spawn
        self._recoveries = recoveries
        self._rights = ChannelRights(tokens, limits.open_channels)
        self._recent = Recent(limits.recent_records, limits.recent_bytes)
        self._versions, self._kept = Versions(), Kept()
        self._subscribed: dict[Channel, set[Subscription]] = {}
        meaning = Meaning(lambda event: update_of(event, limits.region), packets.update_opening)
        self.catch_up = CatchUp(self._recent, ErasedMessages(), past, _untraced, self._seal, limits, meaning)

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
                self._spawn(self.catch_up.follow(each))

    def begun(self, offsets: Offsets) -> None:
        """Hear where reading begins."""
        self._recent.begin(offsets)

    def reached(self, offsets: Offsets) -> None:
        """Hear how far reading has come."""
        self._recent.reach(offsets)
        self.catch_up.moved()

    def commands(self, socket: UiSession) -> Mapping[str, SessionCommand]:
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

    def begin(self, subscription: Subscription, *, resumed: bool) -> None:
        """Tell the client that the channel begins, and its last value if it does not go on from anywhere."""
        socket, channel = subscription.socket, subscription.channel
        position = self._seal(self.covered(socket))
        socket.say("channel.subscribed", {"channel": channel.name, "position": position, "resumed": resumed})
        kept = None if resumed else self._kept.of(channel)
        if kept and subscription.connection:
            subscription.version = kept.delivery.data["version"]
            packet = packets.completed(kept.text, position)
            subscription.connection.send(socket.written(kept, packet))  # one a channel, however full the queue is

    def forget(self, subscription: Subscription) -> None:
        """Hear that the channel is over for the socket. May be repeated."""
        socket, channel = subscription.socket, subscription.channel
        if socket.channels.get(channel.name) is subscription:
            del socket.channels[channel.name]
        others = self._subscribed.get(channel, set())
        others.discard(subscription)
        if not others:
            self._subscribed.pop(channel, None)

    async def _subscribe(self, socket: UiSession, _: Session, payload: Any) -> Mapping[str, Any]:
        if "channels" in payload:
            good, refused = self._permitted(socket, SubscribingToMany.model_validate(payload))
            await self._keep_and_subscribe(socket, good)
            return {"channels": [wish.channel for wish in good], "refused": refused}
        wish = Subscribing.model_validate(payload)
        await self._keep_and_subscribe(socket, (wish,))
        return {"channel": wish.channel}

    async def _keep_and_subscribe(self, socket: UiSession, wishes: Sequence[Subscribing]) -> None:
        """Subscribe once it is known to other nodes, if the socket is to be recovered: who hears of a channel will have it."""
        if socket.recovery and wishes:
            ends = {wish.channel: self._rights.until(socket, wish) for wish in wishes}
            await self._recoveries.keep(socket.recovery, socket.ends() | ends)
        if wishes:
            self.subscribe(socket, wishes)

    def take_up(self, socket: UiSession, recovery: Recovery) -> None:
        """Begin with the channels that a recovered socket had; say so if it has missed something for good."""
        if recovery.is_lost:
            socket.say("resync.required", {"scope": "all"})
        if recovery.channels:
            ends = recovery.channels.items()
            tokens = {name: sealed(self._tokens, socket.id, name, until) for name, until in ends if until}
            good, refused = self._permitted(socket, SubscribingToMany(channels=[*recovery.channels], tokens=tokens))
            if good:
                self.subscribe(socket, good)
            for name in refused:
                socket.say("channel.closed", {"channel": name, "reason": "forbidden_channel"})

    def _permitted(
        self, socket: UiSession, asked: SubscribingToMany
    ) -> tuple[Sequence[Subscribing], Mapping[str, Any]]:
        """Return what the socket may have, and why not of each other channel."""
        good: list[Subscribing] = []
        refused: dict[str, Any] = {}
        room = self._limits.channels - len(socket.channels.keys() - set(asked.channels))
        for wish in asked.wishes():
            try:
                self._rights.until(socket, wish)
                if len(good) >= room:
                    raise self._too_many()
                good.append(wish)
            except HeadwaterError as error:
                refused[wish.channel] = of_error(error)
        return good, refused

    def _too_many(self) -> Refused:
        return Refused("too_many_channels", f"{self._limits.channels} of a socket")

    async def _unsubscribe(self, socket: UiSession, _: Session, payload: Any) -> Mapping[str, Any]:
        name = Wish.model_validate(payload).channel
        if known := socket.channels.get(name):
            self._close(known, "unsubscribed")
            if socket.recovery:
                await self._recoveries.keep(socket.recovery, socket.ends())
        return {"channel": name}

    def subscribe(self, socket: UiSession, wishes: Sequence[Subscribing]) -> None:
        """Begin with channels at the first one's position, or renew the right to them. Raise `Refused` for what the socket may
        not have."""
        if socket.ended:  # while it was waited for
            raise Unauthenticated("session_revoked", socket.revoked or "the socket is gone")
        first, new = wishes[0], []
        ends = {wish.channel: self._rights.until(socket, wish) for wish in wishes}
        has_position = "position" in first.model_fields_set
        position = socket.position
        if has_position:
            position = open_feed(self._tokens, first.position) if first.position is not None else None
        if len(socket.channels.keys() | ends.keys()) > self._limits.channels:
            raise self._too_many()
        for name in ends:
            known = socket.channels.get(name)
            if known and not has_position:
                continue
            if known:
                known.end()
            new.append(self._add(socket, Channel(name, socket.is_public)))
        for name, until in ends.items():
            self._close_at(socket.channels[name], until)
        if new:
            self._begin(Beginning(new, position, self), position)

    def refreshed(self, socket: UiSession) -> None:
        """End what the socket's new token does not give it. A channel token is for the user and lasts as long as it says."""
        for each in list(socket.channels.values()):
            if each.closing is None and not self._rights.takes_no_token(socket, each.channel.name):
                self._close(each, "forbidden_channel")

    def _add(self, socket: UiSession, channel: Channel) -> Subscription:
        subscription = Subscription(socket, channel, self)
        socket.channels[channel.name] = subscription
        self._subscribed.setdefault(channel, set()).add(subscription)
        return subscription

    def _begin(self, beginning: Beginning, position: Offsets | None) -> None:
        if position is None:
            beginning.progress = copied(self._recent.reached)
            self.catch_up.start(beginning)
        elif TOPIC in position:
            beginning.progress = self._recent.within(position)
            self._spawn(self.catch_up.resume(beginning, position))
        else:  # it is one of messages
            self.catch_up.start_over(beginning)

    def _close_at(self, subscription: Subscription, until: datetime | None) -> None:
        if subscription.closing:
            subscription.closing.cancel()
            subscription.closing = None
        subscription.until = until
        if until:
            wait_s = (until - datetime.now(UTC)).total_seconds()
            loop = asyncio.get_running_loop()
            subscription.closing = loop.call_later(wait_s, self._close, subscription, "token_expired")

    def _close(self, subscription: Subscription, reason: str) -> None:
        subscription.end()
        subscription.socket.say("channel.closed", {"channel": subscription.channel.name, "reason": reason})

    def _seal(self, offsets: Offsets) -> str:
        return seal_feed(self._tokens, offsets)
