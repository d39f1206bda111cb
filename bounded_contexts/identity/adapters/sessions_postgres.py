"""Sessions as an event store, and their refresh tokens.

A token follows from the session's id and its generation under the installation's secret (HMAC-SHA-256, 256 bits): nothing
that could be stolen is stored, and a successor is the same for all who ask for it (docs/adr/0029).
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from bounded_contexts.identity.adapters.tables import session
from bounded_contexts.identity.application.ports import GRACE, REFRESH_LIFETIME, Device, LiveSession, Reused
from bounded_contexts.identity.domain.session import SessionEvent
from infra import secret_keys
from infra.postgres import Database
from schemas.identity.events import SessionRevoked
from shared_kernel.events import EventStore

PREFIX = "hwr_"  # so that scanners of repositories and logs find them
TOKEN_BYTES = 16 + 4 + 32


class PostgresSessions:
    """Ports `EventStore` and `RefreshTokens`."""

    def __init__(self, database: Database, events: EventStore[SessionEvent], secret: str) -> None:
        self._database = database
        self._events = events
        self._key = secret_keys.derived(secret, "identity refresh tokens")

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[SessionEvent], int]:
        return await self._events.load(stream, as_of)

    async def append(self, stream: UUID, version: int, events: Sequence[SessionEvent]) -> None:
        async with self._database.transaction() as connection:
            for event in events:
                if isinstance(event, SessionRevoked):
                    over = sa.update(session).where(session.c.session_id == stream)
                    await connection.execute(over.values(revoked_at=event.revoked_at))
            await self._events.append(stream, version, events)

    async def begin(self, opened: LiveSession) -> str:
        row = sa.insert(session).values(
            session_id=opened.session_id,
            user_id=opened.user_id,
            generation=1,
            device=opened.device.name,
            address=opened.device.address,
            methods=list(opened.methods),
            opened_at=opened.opened_at,
            seen_at=opened.seen_at,
            expires_at=opened.expires_at,
        )
        over = sa.delete(session).where(session.c.user_id == opened.user_id, session.c.expires_at < opened.opened_at)
        async with self._database.transaction() as connection:
            await connection.execute(over)
            await connection.execute(row)
        return self._token(opened.session_id, 1)

    async def rotate(self, token: str, now: datetime) -> tuple[LiveSession, str] | Reused | None:
        if (given := self._read(token)) is None:
            return None
        id_, generation = given
        is_live = (session.c.session_id == id_, session.c.revoked_at.is_(None), session.c.expires_at > now)
        rotate = (
            sa.update(session)
            .where(*is_live, session.c.generation == generation)
            .values(generation=generation + 1, seen_at=now, expires_at=now + REFRESH_LIFETIME)
            .returning(session)
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(rotate)).first()
            if row is None:
                row = (await connection.execute(sa.select(session).where(*is_live))).first()
        if row is None:
            return None
        if row.generation != generation + 1 or now - row.seen_at > GRACE:
            return Reused(id_)
        return _live(row), self._token(id_, row.generation)

    async def stays(self, session_id: UUID) -> bool:
        query = sa.select(session.c.revoked_at).where(session.c.session_id == session_id).with_for_update(read=True)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return (await self._events.load(session_id))[1] == 0
        return row.revoked_at is None

    def session_of(self, token: str) -> UUID | None:
        given = self._read(token)
        return given[0] if given else None

    async def of_user(self, user: UUID) -> list[LiveSession]:
        query = (
            sa.select(session)
            .where(session.c.user_id == user, session.c.revoked_at.is_(None), session.c.expires_at > sa.func.now())
            .order_by(session.c.seen_at.desc())
        )
        async with self._database.transaction() as connection:
            return [_live(row) for row in await connection.execute(query)]

    def _token(self, id_: UUID, generation: int) -> str:
        named = id_.bytes + generation.to_bytes(4, "big")
        return PREFIX + base64.urlsafe_b64encode(named + self._mac(named)).rstrip(b"=").decode()

    def _read(self, token: str) -> tuple[UUID, int] | None:
        """Return the session and generation of a token that was given out here."""
        try:
            raw = base64.urlsafe_b64decode(token.removeprefix(PREFIX)[:100] + "==")
        except ValueError:
            return None
        named = raw[:20]
        if len(raw) != TOKEN_BYTES or not hmac.compare_digest(raw[20:], self._mac(named)):
            return None
        return UUID(bytes=named[:16]), int.from_bytes(named[16:], "big")

    def _mac(self, named: bytes) -> bytes:
        return hmac.digest(self._key, named, "sha256")


def _live(row: Any) -> LiveSession:
    return LiveSession(
        row.session_id,
        row.user_id,
        Device(row.device, row.address),
        tuple(row.methods),
        row.opened_at,
        row.seen_at,
        row.expires_at,
    )
