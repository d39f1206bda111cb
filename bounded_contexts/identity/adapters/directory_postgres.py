"""The list of users. Port `Directory`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bounded_contexts.identity.adapters.tables import person
from bounded_contexts.identity.application.ports import Opener, Person
from bounded_contexts.identity.domain.user import UserEvent
from infra.postgres import Database
from schemas.identity.events import (
    UserBlocked,
    UserEmailChanged,
    UserEmailVerified,
    UserErased,
    UserRegistered,
    UserRenamed,
    UserRoleGranted,
    UserRoleRevoked,
    UserUnblocked,
)


class PostgresDirectory:
    def __init__(self, database: Database, opener: Opener) -> None:
        self._database = database
        self._opener = opener

    async def changed(self, event: UserEvent) -> None:
        statement = _change(await self._opener.opened(event))
        if statement is not None:
            async with self._database.transaction() as connection:
                await connection.execute(statement)

    async def page(self, limit: int, after: tuple[datetime, UUID] | None) -> list[Person]:
        query = sa.select(person).order_by(person.c.registered_at, person.c.user_id).limit(limit)
        if after:
            query = query.where(sa.tuple_(person.c.registered_at, person.c.user_id) > sa.tuple_(*after))
        return await self._people(query)

    async def named(self, ids: Sequence[UUID]) -> dict[UUID, Person]:
        query = sa.select(person).where(person.c.user_id == sa.any_(sa.cast(list(ids), ARRAY(sa.Uuid))))
        return {each.user_id: each for each in await self._people(query)}

    async def _people(self, query: sa.Select[Any]) -> list[Person]:
        async with self._database.transaction() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [Person(**{**row, "roles": tuple(row["roles"])}) for row in rows]


def _change(event: UserEvent) -> sa.Executable | None:
    """Return what the event does to the list. What is personal is empty once the user is erased."""
    this = sa.update(person).where(person.c.user_id == event.user_id)
    roles = person.c.roles
    match event:
        case UserRegistered():
            return _registered(event) if event.email else None
        case UserErased():
            return sa.delete(person).where(person.c.user_id == event.user_id)
        case UserRoleGranted():
            return this.where(~roles.contains([event.role])).values(roles=sa.func.array_append(roles, event.role))
        case UserRoleRevoked():
            return this.values(roles=sa.func.array_remove(roles, event.role))
        case _:
            values = _values(event)
            return this.values(values) if values else None


def _values(event: UserEvent) -> dict[str, Any]:
    match event:
        case UserRenamed():
            return {"name": event.name}
        case UserEmailChanged():
            return {"email": event.email, "is_verified": False}
        case UserEmailVerified():
            return {"is_verified": True}
        case UserBlocked():
            return {"blocked_at": event.blocked_at}
        case UserUnblocked():
            return {"blocked_at": None}
        case _:
            return {}


def _registered(event: UserRegistered) -> sa.Executable:
    row = insert(person).values(
        user_id=event.user_id,
        email=event.email,
        name=event.name,
        is_verified=False,
        roles=[],
        registered_at=event.registered_at,
    )
    return row.on_conflict_do_nothing()
