"""What may be published, by whom, and the fact that follows. An update is a fact: no version is checked, it goes straight to
Kafka."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from bounded_contexts.realtime.application import channels
from bounded_contexts.realtime.application.channels import EVERYWHERE
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.errors import Forbidden, HeadwaterError, Refused
from shared_kernel.events import EventLog, Position
from shared_kernel.permissions import PUBLISH, SERVICE, require

PAYLOAD_LIMIT = 65_536  # bytes of JSON
MOST_AT_ONCE = 100  # updates of one request


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who publishes, and to where they may."""

    name: str  # key:<id>, service:<id>, user:<id> or rule:<name>
    channels: tuple[str, ...]  # globs
    may_public: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One update as it is asked for."""

    channel: str
    payload: str  # JSON
    is_public: bool = False
    ttl: timedelta | None = None
    idempotency_key: str | None = None
    version: int | None = None
    is_kept: bool = False
    region: str | None = None
    pointer: str = ""  # JSON Pointer to it in what was asked, where that is several


@dataclass(frozen=True, slots=True)
class PublishPorts:
    log: EventLog
    now: Callable[[], datetime]


def publisher(id_: UUID, roles: frozenset[str], scopes: frozenset[str] | None) -> Publisher:
    """Return as whom a token publishes. Raise `Forbidden` for who may not at all.

    A service account has the scopes that an administrator gave it. Anybody makes keys of their own with any scope, so that a
    key takes an owner who may publish as well."""
    if scopes is None:
        require(roles, PUBLISH)
        return Publisher(f"user:{id_}", EVERYWHERE)
    globs = channels.globs_of(scopes, PUBLISH)
    if not globs:
        raise Forbidden("scope_missing", f"the token has no scope {PUBLISH}")
    if SERVICE in roles:
        return Publisher(f"service:{id_}", globs)
    require(roles, PUBLISH)
    return Publisher(f"user:{id_}", globs)


def published(update: Update, by: Publisher, at: datetime) -> UiUpdatePublished:
    """Return the fact. Raise `Forbidden` for another's channel, `Refused` for what is no update."""
    if not channels.fits(channels.checked(update.channel), by.channels):
        raise Forbidden("channel_not_allowed", f"you may not publish to {update.channel}")
    if update.is_public and not by.may_public:
        raise Forbidden("channel_not_allowed", "you may not publish to clients without login")
    if update.is_public and update.channel.startswith(channels.OWNED):
        raise Refused("validation_failed", "what is for a user, role or tenant is not public")
    if len(update.payload.encode()) > PAYLOAD_LIMIT:
        raise Refused("payload_length", f"at most {PAYLOAD_LIMIT} bytes of JSON")
    return UiUpdatePublished(
        update_id=update_id(by.name, update.idempotency_key) if update.idempotency_key else uuid4(),
        channel=update.channel,
        is_public=update.is_public,
        payload=update.payload,
        version=update.version,
        is_kept=update.is_kept,
        region=update.region,
        published_by=by.name,
        published_at=at,
        expires_at=None if update.ttl is None else at + update.ttl,
    )


def update_id(publisher_name: str, key: str) -> UUID:
    """Return the id of the update that a publisher calls `key`."""
    return uuid5(NAMESPACE_URL, f"headwater:update:{publisher_name}:{key}")


async def publish(
    updates: Sequence[Update], by: Publisher, ports: PublishPorts
) -> list[tuple[UiUpdatePublished, Position]]:
    """Return the updates and where they lie, once the broker has all of them. All are decided on before the first is sent.

    Raise `Forbidden`, `Refused`, which point to the update, or `Unavailable` when one was not acknowledged, while others may
    have been."""
    at = ports.now()
    events = []
    for each in updates:
        with pointing_to(each.pointer):
            events.append(published(each, by, at))
    positions = await asyncio.gather(*(ports.log.publish(each) for each in events))
    return list(zip(events, positions, strict=True))


@contextmanager
def pointing_to(pointer: str) -> Iterator[None]:
    """Have a refusal say which of several updates it is about."""
    try:
        yield
    except HeadwaterError as error:
        if pointer:
            error.more = {"errors": [{"pointer": pointer, "code": error.code, "detail": error.detail}]}
        raise


def json_of(payload: Any) -> str:
    """Return the payload as JSON. Raise `Refused` for what JSON has no word for: Python reads NaN and half a character."""
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, RecursionError) as error:
        raise Refused("validation_failed", "the payload is no JSON") from error
    return text
