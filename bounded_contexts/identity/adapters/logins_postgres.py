"""Accounts at providers, by which users sign in. Port `Logins`.

Whose account somebody is at a provider is stored as a keyed digest, which is unique: of two who link it at once one does."""

import hashlib
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.identity.adapters.tables import login, used_state
from bounded_contexts.identity.application.ports import Login
from bounded_contexts.identity.domain.user import UserEvent
from infra import secret_keys
from infra.postgres import Database
from schemas.identity.events import LoginLinked, LoginUnlinked
from shared_kernel.errors import Taken


class PostgresLogins:
    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._key = secret_keys.derived(secret, "identity logins")

    async def find(self, issuer: str, subject: str) -> tuple[UUID, UUID] | None:
        query = sa.select(login.c.login_id, login.c.user_id).where(login.c.digest == self._digest(issuer, subject))
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).first()
        return (row.login_id, row.user_id) if row else None

    async def is_present(self, login_id: UUID, user: UUID) -> bool:
        this = (login.c.login_id == login_id, login.c.user_id == user)
        async with self._database.transaction() as connection:
            found = await connection.execute(sa.select(login.c.login_id).where(*this).with_for_update(read=True))
        return found.first() is not None

    async def of_user(self, user: UUID) -> list[Login]:
        query = sa.select(login).where(login.c.user_id == user).order_by(login.c.linked_at, login.c.login_id)
        async with self._database.transaction() as connection:
            return [Login(row.login_id, row.issuer, row.linked_at) for row in await connection.execute(query)]

    async def is_first_use(self, state: str, now: datetime, until: datetime) -> bool:
        digest = hashlib.sha256(state.encode()).digest()
        used = insert(used_state).values(digest=digest, expires_at=until).on_conflict_do_nothing()
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(used_state).where(used_state.c.expires_at < now))
            return (await connection.execute(used)).rowcount == 1

    async def note(self, event: UserEvent) -> None:
        """Take the event over, in the surrounding transaction. Raise `Taken` for what is linked already."""
        match event:
            case LoginLinked():
                row = insert(login).values(
                    login_id=event.login_id,
                    digest=self._digest(event.issuer, event.subject),
                    user_id=event.user_id,
                    issuer=event.issuer,
                    linked_at=event.linked_at,
                )
                async with self._database.transaction() as connection:
                    if not (await connection.execute(row.on_conflict_do_nothing())).rowcount:
                        raise Taken("login_taken", "somebody signs in by this account at the provider")
            case LoginUnlinked():
                async with self._database.transaction() as connection:
                    await connection.execute(sa.delete(login).where(login.c.login_id == event.login_id))

    def _digest(self, issuer: str, subject: str) -> bytes:
        return secret_keys.digest(self._key, f"{issuer}\0{subject}")
