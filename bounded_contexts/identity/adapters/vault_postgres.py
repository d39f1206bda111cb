"""What is personal in events lies there sealed with the user's key; without the key nobody reads it (crypto-shredding)."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.identity.adapters.tables import user_key
from bounded_contexts.identity.domain.user import UserEvent
from infra import secret_keys
from infra.postgres import Database
from schemas.identity.events import LoginLinked, UserEmailChanged, UserRegistered, UserRenamed

PERSONAL: dict[type, tuple[str, ...]] = {
    UserRegistered: ("email", "name"),
    UserEmailChanged: ("email",),
    UserRenamed: ("name",),
    LoginLinked: ("subject",),
}
Turn = Callable[[bytes, str, bytes], str]  # key, text, place


class PostgresVault:
    """Everybody's keys, each sealed with the installation's. Port `Opener`."""

    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._key = secret_keys.derived(secret, "identity vault")

    async def sealed(self, event: UserEvent) -> UserEvent:
        """Return the event as it may lie on a topic. The first of a user makes the key, in the surrounding transaction."""
        if not (names := PERSONAL.get(type(event), ())):
            return event
        key = await self._of(event.user_id)
        if key is None:
            key = await self._made(event.user_id)
        return _turned(event, names, key, _sealed)

    async def opened(self, event: UserEvent) -> UserEvent:
        return _open(event, await self._of(event.user_id)) if type(event) in PERSONAL else event

    async def all_opened(self, user: UUID, events: Sequence[UserEvent]) -> list[UserEvent]:
        """Return the user's events opened."""
        key = await self._of(user) if any(type(event) in PERSONAL for event in events) else None
        return [_open(event, key) for event in events]

    async def destroy(self, user: UUID) -> None:
        """Make everything personal unreadable, for good. Inside a transaction it joins it."""
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(user_key).where(user_key.c.user_id == user))

    def key(self, user: UUID, sealed: bytes) -> bytes:
        """Return the user's key as it was sealed for the database."""
        return secret_keys.opened(self._key, sealed, user.bytes)

    async def _of(self, user: UUID) -> bytes | None:
        async with self._database.transaction() as connection:
            sealed = await connection.scalar(sa.select(user_key.c.sealed).where(user_key.c.user_id == user))
        return self.key(user, sealed) if sealed else None

    async def _made(self, user: UUID) -> bytes:
        made = insert(user_key).values(
            user_id=user, sealed=secret_keys.seal(self._key, secret_keys.new_key(), user.bytes)
        )
        async with self._database.transaction() as connection:
            await connection.execute(made.on_conflict_do_nothing())
        key = await self._of(user)
        if key is None:
            raise RuntimeError("the key was destroyed while it was made")
        return key


def _open(event: UserEvent, key: bytes | None) -> UserEvent:
    names = PERSONAL.get(type(event), ())
    return _turned(event, names, key, _opened) if key else _turned(event, names, b"", lambda *_: "")


def _turned(event: UserEvent, names: tuple[str, ...], key: bytes, turn: Turn) -> UserEvent:
    values: dict[str, Any] = {
        name: turn(key, getattr(event, name), event.user_id.bytes + name.encode()) for name in names
    }
    return replace(event, **values)


def _sealed(key: bytes, text: str, place: bytes) -> str:
    return base64.urlsafe_b64encode(secret_keys.seal(key, text.encode(), place)).decode()


def _opened(key: bytes, text: str, place: bytes) -> str:
    return secret_keys.opened(key, base64.urlsafe_b64decode(text), place).decode()
