"""Users as they are now, from a cache that is asked for the version the database has (docs/adr/0032). Port `CurrentUsers`.

What is kept is sealed with the user's own key, which comes with the version: erasure makes it unreadable wherever it lies.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, cast, get_args
from uuid import UUID

import msgspec

from bounded_contexts.identity.adapters.vault_postgres import PostgresVault
from bounded_contexts.identity.domain import user as user_domain
from bounded_contexts.identity.domain.user import User, UserEvent
from infra import secret_keys
from infra.cache import Cache
from infra.postgres import Database
from infra.together import Together
from shared_kernel.decider import state_of
from shared_kernel.events import EventStore, Recorded
from shared_kernel.module import Feed

CACHE = "identity.user.1"  # with the form of what is kept: another form is another name
FEED = "identity.cache"
LIFETIME = timedelta(seconds=300)
# A user without a key is nobody, or erased.
NEWEST = """select k.user_id, k.sealed, (select max(version) from event where stream = k.user_id) as version
            from user_key k where k.user_id = any($1::uuid[])"""


class Newest(NamedTuple):
    """What the database has of a user at the moment."""

    version: int
    key: bytes


class CachedUsers:
    """Each process that has one hears `feed`, so that what is out of date does not lie there for long."""

    def __init__(self, database: Database, users: EventStore[UserEvent], vault: PostgresVault, cache: Cache) -> None:
        self._database = database
        self._users = users
        self._vault = vault
        self._cache = cache
        self._newest: Together[UUID, Newest] = Together(self._ask)
        self.feed = Feed(FEED, get_args(UserEvent), self._heard, lambda *_: None)

    async def of(self, user: UUID) -> tuple[User, int]:
        newest = await self._newest.of(user)
        if newest is None:
            return await state_of(user_domain, self._users, user)
        kept = await self._cache.get(str(user), newest.version)
        if kept and (known := _opened(kept, user, newest)):
            return known, newest.version
        state, version = await state_of(user_domain, self._users, user)
        await self._cache.put(str(user), version, _sealed(state, user, Newest(version, newest.key)))
        return state, version

    async def _ask(self, users: Sequence[UUID]) -> Mapping[UUID, Newest]:
        async with self._database.driver() as connection:
            rows = await connection.fetch(NEWEST, users)
        return {row["user_id"]: Newest(row["version"], self._vault.key(row["user_id"], row["sealed"])) for row in rows}

    async def _heard(self, batch: Sequence[Recorded]) -> None:
        for user in {cast("UserEvent", recorded.event).user_id for recorded in batch}:
            await self._cache.evict(str(user))


def _sealed(state: User, user: UUID, newest: Newest) -> bytes:
    return secret_keys.seal(newest.key, msgspec.json.encode(state), _place(user, newest.version))


def _opened(kept: bytes, user: UUID, newest: Newest) -> User | None:
    """Return the state, None for what was not kept by us as this user's at this version."""
    try:
        return msgspec.json.decode(secret_keys.opened(newest.key, kept, _place(user, newest.version)), type=User)
    except (ValueError, msgspec.MsgspecError):
        return None


def _place(user: UUID, version: int) -> bytes:
    return user.bytes + version.to_bytes(8, "big") + CACHE.encode()
