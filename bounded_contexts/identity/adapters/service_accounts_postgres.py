"""Service accounts as an event store, and their secrets: `hws_<secret>`, so that scanners find leaked ones.

Only a keyed digest of a secret is stored. It has 256 random bits, so nothing slower is needed; and looking a digest up tells
by no time how much of it was right, since nobody outside can make one.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from bounded_contexts.identity.adapters.tables import service_account, service_secret
from bounded_contexts.identity.application.ports import Client, ListedSecret, ListedService
from bounded_contexts.identity.domain.service_account import ServiceAccountEvent
from infra import secret_keys
from infra.postgres import Database
from schemas.identity.events import (
    ServiceAccountChanged,
    ServiceAccountCreated,
    ServiceAccountDeleted,
    ServiceSecretRevoked,
)
from shared_kernel.events import EventStore

PREFIX = "hws_"
SECRET_BYTES = 32
NOTED = timedelta(minutes=1)  # between notes of a secret's use


class PostgresServiceAccounts:
    """Ports `EventStore` and `ServiceAccounts`."""

    def __init__(self, database: Database, events: EventStore[ServiceAccountEvent], secret: str) -> None:
        self._database = database
        self._events = events
        self._key = secret_keys.derived(secret, "identity service secrets")

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[ServiceAccountEvent], int]:
        return await self._events.load(stream, as_of)

    async def append(self, stream: UUID, version: int, events: Sequence[ServiceAccountEvent]) -> None:
        async with self._database.transaction() as connection:
            for event in events:
                for statement in _changes(event):
                    await connection.execute(statement)
            await self._events.append(stream, version, events)

    async def add_secret(self, account: UUID, secret: UUID, at: datetime) -> str:
        plain = PREFIX + secrets.token_hex(SECRET_BYTES)
        row = sa.insert(service_secret).values(
            secret_id=secret, account_id=account, digest=self._digest(plain), created_at=at
        )
        async with self._database.transaction() as connection:
            await connection.execute(row)
        return plain

    async def authenticated(self, account: UUID, secret: str) -> Client | None:
        own = service_secret.c.account_id == account
        query = (
            sa.select(service_secret.c.secret_id, service_secret.c.used_at, service_account.c.scopes)
            .join(service_account, service_account.c.account_id == service_secret.c.account_id)
            .where(own, service_secret.c.digest == self._digest(secret))
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            now = datetime.now(UTC)
            if row.used_at is None or row.used_at < now - NOTED:
                this = sa.update(service_secret).where(service_secret.c.secret_id == row.secret_id)
                await connection.execute(this.values(used_at=now))
        return Client(account, row.secret_id, frozenset(row.scopes))

    async def one(self, account: UUID) -> ListedService | None:
        found = await self._listed(sa.select(service_account).where(service_account.c.account_id == account))
        return found[0] if found else None

    async def page(self, limit: int, after: tuple[datetime, UUID] | None) -> list[ListedService]:
        place = service_account.c.created_at, service_account.c.account_id
        query = sa.select(service_account).order_by(*place).limit(limit)
        return await self._listed(query.where(sa.tuple_(*place) > sa.tuple_(*after)) if after else query)

    async def _listed(self, query: sa.Select[Any]) -> list[ListedService]:
        async with self._database.transaction() as connection:
            accounts = (await connection.execute(query)).all()
            ids = [each.account_id for each in accounts]
            theirs = sa.select(service_secret).where(service_secret.c.account_id.in_(ids))
            rows = (await connection.execute(theirs.order_by(service_secret.c.created_at))).all()
        return [
            ListedService(
                each.account_id,
                each.name,
                tuple(each.scopes),
                each.created_at,
                tuple(
                    ListedSecret(row.secret_id, row.created_at, row.used_at)
                    for row in rows
                    if row.account_id == each.account_id
                ),
            )
            for each in accounts
        ]

    def _digest(self, secret: str) -> bytes:
        return secret_keys.digest(self._key, secret)


def _changes(event: ServiceAccountEvent) -> list[sa.Executable]:
    """Return what the event does to the tables; a new secret's row comes with the secret."""
    this = service_account.c.account_id == event.account_id
    match event:
        case ServiceAccountCreated():
            row = {"account_id": event.account_id, "name": event.name, "scopes": list(event.scopes)}
            return [sa.insert(service_account).values(**row, created_at=event.created_at)]
        case ServiceAccountChanged():
            return [sa.update(service_account).where(this).values(name=event.name, scopes=list(event.scopes))]
        case ServiceSecretRevoked():
            return [sa.delete(service_secret).where(service_secret.c.secret_id == event.secret_id)]
        case ServiceAccountDeleted():
            theirs = sa.delete(service_secret).where(service_secret.c.account_id == event.account_id)
            return [theirs, sa.delete(service_account).where(this)]
        case _:
            return []
