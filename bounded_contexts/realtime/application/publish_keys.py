"""Publish keys: what administrators do with them, and what signed requests are looked at with."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bounded_contexts.realtime.application import signatures
from bounded_contexts.realtime.application.channels import checked_globs
from bounded_contexts.realtime.domain import publish_key
from bounded_contexts.realtime.domain.publish_key import (
    FORMER_HOLDS,
    PERMISSION,
    MakeKey,
    PublishKeyEvent,
    RevokeKey,
    RotateKey,
)
from shared_kernel.decider import execute
from shared_kernel.errors import Refused
from shared_kernel.events import EventStore
from shared_kernel.permissions import require

MOST = 200  # keys


@dataclass(frozen=True, slots=True)
class ListedKey:
    key_id: UUID
    name: str
    channels: tuple[str, ...]
    may_public: bool
    made_at: datetime
    rotated_at: datetime | None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What a signed request is looked at with."""

    key_id: UUID
    channels: tuple[str, ...]
    may_public: bool
    secrets: tuple[bytes, ...]  # one, or two while programs take over the new one


class PublishKeys(Protocol):
    """Inside a transaction changes join it. All raise `Unavailable`."""

    async def add(self, key: ListedKey, secret: bytes) -> None: ...

    async def rotate(self, key_id: UUID, secret: bytes, at: datetime, former_until: datetime) -> ListedKey:
        """Store the secret beside the present one, in place of the one before."""
        ...

    async def remove(self, key_id: UUID) -> None: ...

    async def listed(self) -> list[ListedKey]:
        """Return the keys, first made first."""
        ...

    async def signing(self, key_id: UUID, now: datetime) -> SigningKey | None:
        """Return the key as it was within the last seconds, None if there is none."""
        ...


class SeenRequests(Protocol):
    def once(self, key_id: UUID, request_id: str, now: datetime) -> AbstractAsyncContextManager[None]:
        """Remember the request if the block succeeds. Raise `Taken` for one that is remembered, or runs and then succeeds."""
        ...


@dataclass(frozen=True, slots=True)
class KeyPorts:
    events: EventStore[PublishKeyEvent]
    keys: PublishKeys
    seen: SeenRequests
    transaction: Callable[[], AbstractAsyncContextManager[object]]
    # Raises `Forbidden` unless the user has signed in of late: what is made outlasts their token.
    require_recent: Callable[[UUID, UUID | None, datetime], Awaitable[None]]
    now: Callable[[], datetime]


async def make(ask: MakeKey, ports: KeyPorts) -> tuple[ListedKey, bytes]:
    """Return the key as it is listed, and its secret. Raise `Forbidden`, `Refused`."""
    require(ask.asker.roles, PERMISSION)
    if len(await ports.keys.listed()) >= MOST:
        raise Refused("too_many_keys", f"at most {MOST}: revoke one first")
    secret = signatures.new_secret()
    ask = replace(ask, channels=checked_globs(ask.channels))
    made = ListedKey(ask.key_id, ask.name, ask.channels, ask.may_public, ask.at, None)
    async with ports.transaction():
        await execute(publish_key, ports.events, ask.key_id, ask, attempts=1)
        await ports.keys.add(made, secret)
    return made, secret


async def rotate(ask: RotateKey, ports: KeyPorts) -> tuple[ListedKey, bytes]:
    """Return the key and another secret of it; the former holds for a day. Raise `Forbidden`, `NotFound`, `Conflict`."""
    secret = signatures.new_secret()
    async with ports.transaction():
        await execute(publish_key, ports.events, ask.key_id, ask, attempts=1)
        return await ports.keys.rotate(ask.key_id, secret, ask.at, ask.at + FORMER_HOLDS), secret


async def revoke(ask: RevokeKey, ports: KeyPorts) -> None:
    """Refuse the key within seconds, for good; twice is once. Raise `Forbidden`, `NotFound`."""
    async with ports.transaction():
        await execute(publish_key, ports.events, ask.key_id, ask, attempts=1)
        await ports.keys.remove(ask.key_id)
