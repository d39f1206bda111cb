"""API keys as an event store, and what verifies them: `hw_<id>_<secret><checksum>`, so that scanners find leaked ones.

Only a SHA-256 of the secret is stored: it has 256 random bits, so nothing slower is needed.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID
from zlib import crc32

import sqlalchemy as sa

from bounded_contexts.identity.adapters.tables import api_key
from bounded_contexts.identity.application.ports import CurrentUsers, ListedKey
from bounded_contexts.identity.domain import user as user_domain
from bounded_contexts.identity.domain.api_key import ApiKeyEvent
from infra.access_tokens import KEY_PREFIX, Unauthenticated, User
from infra.postgres import Database
from schemas.identity.events import ApiKeyRevoked
from shared_kernel.events import EventStore

FRESH_S = 10.0  # a key is looked up again after that; that it was revoked is heard sooner
REMEMBERED = 10_000  # keys
LASTS = timedelta(minutes=10)  # what one without an expiry is taken to last
NOTED = timedelta(minutes=1)  # between notes of its use
SECRET = 64  # characters


class PostgresApiKeys:
    """Ports `EventStore` and `ApiKeys`; `verify` is what HTTP asks."""

    def __init__(self, database: Database, events: EventStore[ApiKeyEvent], users: CurrentUsers) -> None:
        self._database = database
        self._events = events
        self._users = users
        self._known: OrderedDict[bytes, tuple[float, User]] = OrderedDict()  # by a digest of the whole key

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[ApiKeyEvent], int]:
        return await self._events.load(stream, as_of)

    async def append(self, stream: UUID, version: int, events: Sequence[ApiKeyEvent]) -> None:
        async with self._database.transaction() as connection:
            for event in events:
                if isinstance(event, ApiKeyRevoked):
                    over = sa.update(api_key).where(api_key.c.key_id == stream)
                    await connection.execute(over.values(revoked_at=event.revoked_at))
            await self._events.append(stream, version, events)

    async def begin(self, key: ListedKey) -> str:
        secret = secrets.token_hex(SECRET // 2)
        row = sa.insert(api_key).values(
            key_id=key.key_id,
            user_id=key.user_id,
            name=key.name,
            digest=_digest(secret),
            scopes=list(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
        async with self._database.transaction() as connection:
            await connection.execute(row)
        return f"{KEY_PREFIX}{key.key_id.hex}_{secret}{_checksum(key.key_id.hex + secret)}"

    async def of_user(self, user: UUID) -> list[ListedKey]:
        query = sa.select(api_key).where(api_key.c.user_id == user, *_good()).order_by(api_key.c.created_at.desc())
        async with self._database.transaction() as connection:
            return [_listed(row) for row in await connection.execute(query)]

    async def verify(self, token: str) -> User:
        """Return whom the key speaks for, and within which scopes. Raise `Unauthenticated`."""
        name = _digest(token)
        known = self._known.get(name)
        if known and monotonic() - known[0] < FRESH_S and known[1].expires_at > datetime.now(UTC):
            return known[1]
        user = await self._looked_up(token)
        self._known[name] = (monotonic(), user)
        self._known.move_to_end(name)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return user

    async def _looked_up(self, token: str) -> User:
        id_, _, rest = token.removeprefix(KEY_PREFIX).partition("_")
        secret, checksum = rest[:SECRET], rest[SECRET:]
        row = await self._row(id_) if checksum == _checksum(id_ + secret) else None
        if row is None or not hmac.compare_digest(row.digest, _digest(secret)):
            raise Unauthenticated("unauthenticated", "the key is not valid")
        state, _ = await self._users.of(row.user_id)
        if not user_domain.is_active(state):
            raise Unauthenticated("session_revoked", "the key's owner is blocked or gone")
        return User(
            row.user_id, state.roles, row.expires_at or datetime.now(UTC) + LASTS, row.key_id, frozenset(row.scopes)
        )

    async def _row(self, id_: str) -> Any:
        """Return the key's row, noting its use now and then."""
        try:
            this = api_key.c.key_id == UUID(hex=id_)
        except ValueError:
            return None
        is_long_ago = sa.or_(api_key.c.used_at.is_(None), api_key.c.used_at < datetime.now(UTC) - NOTED)
        async with self._database.transaction() as connection:
            row = (await connection.execute(sa.select(api_key).where(this, *_good()))).first()
            if row:
                await connection.execute(sa.update(api_key).where(this, is_long_ago).values(used_at=sa.func.now()))
        return row


def _good() -> tuple[Any, ...]:
    unexpired = sa.or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > sa.func.now())
    return (api_key.c.revoked_at.is_(None), unexpired)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _checksum(text: str) -> str:
    return f"{crc32(text.encode(errors='surrogateescape')):08x}"


def _listed(row: Any) -> ListedKey:
    return ListedKey(row.key_id, row.user_id, row.name, tuple(row.scopes), row.created_at, row.expires_at, row.used_at)
