"""What a UI update means for clients, and which are delivered to nobody. What is remembered of channels is bounded."""

import json
from collections import OrderedDict
from datetime import UTC, datetime

from bounded_contexts.realtime.application.reactions import EVENTS, Delivery
from bounded_contexts.realtime.application.recent import Entry
from bounded_contexts.realtime.application.subscriptions import Channel
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.events import Event

HEARD: tuple[type[Event], ...] = (*EVENTS, UiUpdatePublished)
NAME = "update"
MOST_VERSIONS = 50_000  # channels whose newest version is known; those that had none for longest are forgotten first
MOST_KEPT = 10_000  # channels whose last value is kept
MOST_KEPT_BYTES = 32 << 20


def update_of(event: Event, region: str | None) -> Delivery | None:
    """Return what subscribers on a node of the region hear of the event, None if they hear nothing."""
    if not isinstance(event, UiUpdatePublished) or event.region not in (None, region) or _is_over(event.expires_at):
        return None
    if not _is_json(event.payload):  # it would break the frame that it is put into as it is
        return None
    return Delivery(
        NAME,
        frozenset((Channel(event.channel, event.is_public),)),
        {"channel": event.channel, "payload": event.payload, "version": event.version},
        expires_at=event.expires_at,
    )


def is_expired(delivery: Delivery) -> bool:
    """Return whether it is delivered to nobody any more."""
    return _is_over(delivery.expires_at)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _is_over(expires_at: datetime | None) -> bool:
    return expires_at is not None and expires_at <= datetime.now(UTC)


class Versions:
    """The greatest version that each channel has had."""

    def __init__(self, most: int = MOST_VERSIONS) -> None:
        self._most = most
        self._of: OrderedDict[Channel, int] = OrderedDict()

    def pass_on(self, channel: Channel, version: int | None) -> bool:
        """Return whether an update with this version is newer than all before it, and learn it."""
        if version is None:
            return True
        known = self._of.get(channel)
        if known is not None and version <= known:
            return False
        self._of[channel] = version
        self._of.move_to_end(channel)
        if len(self._of) > self._most:
            self._of.popitem(last=False)
        return True


class Kept:
    """The last kept update of each channel; those kept for longest are forgotten first."""

    def __init__(self, most: int = MOST_KEPT, most_bytes: int = MOST_KEPT_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._bytes = 0
        self._of: OrderedDict[Channel, Entry] = OrderedDict()

    def keep(self, channel: Channel, entry: Entry) -> None:
        """Put the update in the place of the channel's former one."""
        self._forget(channel)
        self._of[channel] = entry
        self._bytes += entry.bytes
        while len(self._of) > self._most or self._bytes > self._most_bytes:
            self._forget(next(iter(self._of)))

    def of(self, channel: Channel) -> Entry | None:
        """Return the channel's last value, None if there is none that still holds."""
        entry = self._of.get(channel)
        if entry and is_expired(entry.delivery):
            self._forget(channel)
            return None
        return entry

    def _forget(self, channel: Channel) -> None:
        if entry := self._of.pop(channel, None):
            self._bytes -= entry.bytes
