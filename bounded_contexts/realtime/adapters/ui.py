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
from bounded_contexts.realtime.adapters.catch_up import CatchUp, Meaning
from bounded_contexts.realtime.adapters.channel_rights import ChannelRights
from bounded_contexts.realtime.adapters.channel_tokens import sealed
from bounded_contexts.realtime.adapters.commands import SessionCommand
from bounded_contexts.realtime.adapters.metrics import LAGGED
from bounded_contexts.realtime.adapters.past_in_turns import PastInTurns
from bounded_contexts.realtime.adapters.recovery import Recoveries, Recovery
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.adapters.ui_sessions import Beginning, Subscription, UiSession
from bounded_contexts.realtime.adapters.wishes import Subscribing, SubscribingToMany, Wish
from bounded_contexts.realtime.application.erased import ErasedMessages
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.recent import Reading, Recent, copied
from bounded_contexts.realtime.application.subscriptions import Channel
from bounded_contexts.realtime.application.updates import Kept, Versions, update_of
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
        self.unsubscribe(socket, name, "unsubscribed")
        if socket.recovery:
            await self._recoveries.keep(socket.recovery, socket.ends())
        return {"channel": name}

    def unsubscribe(self, socket: UiSession, name: str, reason: str) -> None:
        """End the channel for the socket. May be repeated."""
        if known := socket.channels.get(name):
            self._close(known, reason)

    def keep(self, socket: UiSession) -> None:
        """Have other nodes know, soon, which channels the socket has, if it is to be recovered."""
        if socket.recovery:
            self._spawn(self._recoveries.keep(socket.recovery, socket.ends()))

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
