"""Users as an event store: events personal in nothing, and beside them whose address is whose."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.identity.adapters.logins_postgres import PostgresLogins
from bounded_contexts.identity.adapters.tables import address, api_key, credential, login, recovery_code, session, totp
from bounded_contexts.identity.adapters.vault_postgres import PostgresVault
from bounded_contexts.identity.application.ports import Credential
from bounded_contexts.identity.domain.address import compared
from bounded_contexts.identity.domain.user import UserEvent
from infra import secret_keys
from infra.postgres import Database
from schemas.identity.events import UserEmailChanged, UserErased, UserRegistered
from shared_kernel.errors import Taken
from shared_kernel.events import EventStore


class PostgresUsers:
    """Ports `EventStore` and `Accounts`: an append, its addresses, logins and keys are one transaction."""

    def __init__(
        self,
        database: Database,
        events: EventStore[UserEvent],
        vault: PostgresVault,
        logins: PostgresLogins,
        secret: str,
    ) -> None:
        self._database = database
        self._events = events
        self._vault = vault
        self._logins = logins
        self._key = secret_keys.derived(secret, "identity addresses")

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[UserEvent], int]:
        events, version = await self._events.load(stream, as_of)
        return await self._vault.all_opened(stream, events), version

    async def append(self, stream: UUID, version: int, events: Sequence[UserEvent]) -> None:
        async with self._database.transaction():
            for event in events:
                await self._note(event)
                await self._logins.note(event)
            await self._events.append(stream, version, [await self._vault.sealed(event) for event in events])

    async def owner(self, email: str) -> UUID | None:
        query = sa.select(address.c.user_id).where(address.c.digest == self._digest(email))
        async with self._database.transaction() as connection:
            found: UUID | None = await connection.scalar(query)
        return found

    async def credential(self, user: UUID) -> Credential | None:
        query = sa.select(credential).where(credential.c.user_id == user)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).first()
        return Credential(row.hash, row.changed_at) if row else None

    async def is_present(self, user: UUID, known: Credential) -> bool:
        query = sa.select(credential).where(credential.c.user_id == user).with_for_update(read=True)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).first()
        return row is not None and row.changed_at == known.changed_at

    async def renew(self, user: UUID, former: Credential, hash_: str) -> None:
        same = (credential.c.user_id == user, credential.c.hash == former.hash)
        async with self._database.transaction() as connection:
            await connection.execute(sa.update(credential).where(*same).values(hash=hash_))

    async def set_credential(self, user: UUID, new: Credential) -> None:
        values = {"hash": new.hash, "changed_at": new.changed_at}
        upsert = insert(credential).values(user_id=user, **values)
        async with self._database.transaction() as connection:
            await connection.execute(upsert.on_conflict_do_update(index_elements=["user_id"], set_=values))

    async def remove_credential(self, user: UUID) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(credential).where(credential.c.user_id == user))

    async def _note(self, event: UserEvent) -> None:
        match event:
            case UserRegistered() | UserEmailChanged():
                await self._take(event.email, event.user_id)
            case UserErased():
                await self._vault.destroy(event.user_id)
                async with self._database.transaction() as connection:
                    await connection.execute(sa.delete(address).where(address.c.user_id == event.user_id))
                    # Sign-ins hold the first two until their session is there.
                    for table in (credential, login, totp, recovery_code, session, api_key):
                        await connection.execute(sa.delete(table).where(table.c.user_id == event.user_id))

    async def _take(self, email: str, user: UUID) -> None:
        """Make the address the user's, in place of the former. Of several who want it at once the first gets it."""
        digest = self._digest(email)
        taken = insert(address).values(digest=digest, user_id=user)
        async with self._database.transaction() as connection:
            # One change of a user's at a time: the version decides between them, not the index. The row is no lock for those who
            # wait for it: another is in its place when their turn comes.
            one_at_a_time = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(str(user), 0))
            await connection.execute(sa.select(one_at_a_time))
            former = sa.delete(address).where(address.c.user_id == user, address.c.digest != digest)
            await connection.execute(former)
            await connection.execute(taken.on_conflict_do_nothing(index_elements=["digest"]))
            if await connection.scalar(sa.select(address.c.user_id).where(address.c.digest == digest)) != user:
                raise Taken("email_taken", "somebody has an account with this address")

    def _digest(self, email: str) -> bytes:
        return secret_keys.digest(self._key, compared(email))
