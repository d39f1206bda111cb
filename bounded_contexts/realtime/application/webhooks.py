"""Webhooks: who is told by signed requests which channels became occupied or vacated, and which users came or went."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

from bounded_contexts.realtime.application import signatures
from bounded_contexts.realtime.application.channels import checked_globs, fits
from bounded_contexts.realtime.application.subscriptions import Channel
from shared_kernel.errors import Refused
from shared_kernel.permissions import require

PERMISSION = "realtime:webhooks"
MOST = 20  # endpoints
MOST_WAITING = 10_000  # deliveries of one endpoint; what comes then is given up
SETTLES = timedelta(seconds=2)  # so long a change has to last: a page that is loaded anew is none
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3_600.0  # between attempts
GIVEN_UP = timedelta(days=1)  # after which nothing is tried again
PRIVATE_CHANNEL, PUBLIC_CHANNEL, USER = "channel", "public", "user"  # what a subject begins with, before a colon

Kind = Literal["channel.occupied", "channel.vacated", "user.connected", "user.disconnected"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go, and of what they tell."""

    webhook_id: UUID
    url: str
    kinds: tuple[Kind, ...]
    channels: tuple[str, ...]  # globs, for those kinds that are about channels
    made_at: datetime


@dataclass(frozen=True, slots=True)
class ListedEndpoint:
    """An endpoint and how it fares."""

    endpoint: Endpoint
    waiting: int  # deliveries
    given_up: int  # deliveries, ever
    delivered_at: datetime | None  # the last one
    last_error: str | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A subject that somebody may have to be told about."""

    subject: str
    is_here: bool  # on any node
    is_told: bool  # to be here
    differs_since: datetime | None  # None: it was not noticed before


@dataclass(frozen=True, slots=True)
class Change:
    subject: str
    is_here: bool
    at: datetime


@dataclass(slots=True)
class Settled:
    """What is to be remembered of subjects, and what to tell."""

    kept: list[Standing] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)  # not here, and nobody thinks they were
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that is to be sent until it is taken; it has the same id each time."""

    delivery_id: UUID
    url: str
    body: str
    attempts: int  # so far
    made_at: datetime
    secret: bytes


class Endpoints(Protocol):
    """All raise `Unavailable`."""

    async def add(self, endpoint: Endpoint, secret: bytes, made_by: UUID) -> None:
        """Store it; the first one hears of what changes from now on. Raise `Refused` for one too many."""
        ...

    async def remove(self, webhook_id: UUID) -> None:
        """Forget it and what waits for it. Raise `NotFound`."""
        ...

    async def listed(self) -> list[ListedEndpoint]:
        """Return them, first made first."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookPorts:
    endpoints: Endpoints
    tell_changes: Callable[[], Awaitable[object]]  # a chore: has changes wait for endpoints, each once
    deliver: Callable[[], Awaitable[object]]  # a chore: begins to send what is due
    checked_url: Callable[[str], str]  # raises `ValueError` for one that is not asked
    # Raises `Forbidden` unless the user has signed in of late: what is made outlasts their token.
    require_recent: Callable[[UUID, UUID | None, datetime], Awaitable[None]]
    now: Callable[[], datetime]


async def make(
    endpoint: Endpoint, made_by: UUID, roles: Iterable[str], ports: WebhookPorts
) -> tuple[ListedEndpoint, bytes]:
    """Return the endpoint as it is listed, and its secret. Raise `Forbidden`, `Refused`."""
    require(roles, PERMISSION)
    try:
        ports.checked_url(endpoint.url)
    except ValueError as error:
        raise Refused("invalid_webhook_url", str(error)) from None
    checked_globs(endpoint.channels)
    secret = signatures.new_secret()
    await ports.endpoints.add(endpoint, secret, made_by)
    return ListedEndpoint(endpoint, 0, 0, None, None, None), secret


def settle(standings: Iterable[Standing], now: datetime) -> Settled:
    """Decide what has changed for as long as it takes to be told."""
    found = Settled()
    for each in standings:
        if each.is_here == each.is_told:
            _keep_or_forget(each.subject, found, is_here=each.is_here)
        elif each.differs_since is None:
            found.kept.append(Standing(each.subject, each.is_here, each.is_told, now))
        elif now - each.differs_since >= SETTLES:
            found.changes.append(Change(each.subject, each.is_here, each.differs_since))
            _keep_or_forget(each.subject, found, is_here=each.is_here)
    return found


def _keep_or_forget(subject: str, found: Settled, *, is_here: bool) -> None:
    if is_here:
        found.kept.append(Standing(subject, is_here=True, is_told=True, differs_since=None))
    else:
        found.forgotten.append(subject)


def subject_of(channel: Channel) -> str:
    return f"{PUBLIC_CHANNEL if channel.is_public else PRIVATE_CHANNEL}:{channel.name}"


def concerns(endpoint: Endpoint, change: Change) -> bool:
    """Return whether the endpoint wants to be told."""
    what, _, name = change.subject.partition(":")
    return _kind(change) in endpoint.kinds and (what == USER or fits(name, endpoint.channels))


def body_of(change: Change) -> str:
    """Return what endpoints are sent, as JSON."""
    what, _, name = change.subject.partition(":")
    data = {"user_id": name} if what == USER else {"channel": name, "public": what == PUBLIC_CHANNEL}
    return json.dumps({"type": _kind(change), "timestamp": change.at.isoformat(), "data": data}, separators=(",", ":"))


def wait_s(attempts: int, chance: float) -> float:
    """Return how long to wait after so many attempts, by a `chance` from 0 to 1: twice as long each time, and at least half."""
    longest = min(FIRST_WAIT_S * 2.0 ** min(attempts - 1, 20), LONGEST_WAIT_S)
    return longest * (1 + chance) / 2


def _kind(change: Change) -> Kind:
    if change.subject.startswith(f"{USER}:"):
        return "user.connected" if change.is_here else "user.disconnected"
    return "channel.occupied" if change.is_here else "channel.vacated"


def of_changes(endpoints: Sequence[Endpoint], changes: Sequence[Change]) -> list[tuple[Endpoint, Change]]:
    """Return what to tell whom, in order."""
    return [(endpoint, change) for change in changes for endpoint in endpoints if concerns(endpoint, change)]
