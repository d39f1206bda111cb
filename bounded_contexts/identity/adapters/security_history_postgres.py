"""What happened to a user's account, sessions and keys, out of the event store itself. Port `SecurityHistory`.

Sessions are found by their rows, which stay for thirty days after their last use.
"""

from datetime import datetime
from typing import cast
from uuid import UUID

import sqlalchemy as sa

from bounded_contexts.identity.application.ports import Device, Happening, SecurityEvent
from infra.avro import Codec
from infra.postgres import Database
from schemas.identity.events import (
    ApiKeyCreated,
    ApiKeyRevoked,
    LoginLinked,
    LoginUnlinked,
    PasswordChanged,
    PasswordResetRequested,
    SecondFactorAdded,
    SecondFactorRemoved,
    SessionCompromised,
    SessionOpened,
    SessionRevoked,
    UserBlocked,
    UserEmailChanged,
    UserEmailVerified,
    UserRegistered,
    UserRoleGranted,
    UserRoleRevoked,
    UserUnblocked,
)

SHOWN = (
    UserRegistered,
    UserEmailChanged,
    UserEmailVerified,
    UserRoleGranted,
    UserRoleRevoked,
    UserBlocked,
    UserUnblocked,
    PasswordChanged,
    PasswordResetRequested,
    SecondFactorAdded,
    SecondFactorRemoved,
    LoginLinked,
    LoginUnlinked,
    SessionOpened,
    SessionRevoked,
    SessionCompromised,
    ApiKeyCreated,
    ApiKeyRevoked,
)
PAGE = sa.text("""
select e.id, e.recorded_at, e.body, own.device, own.address
from (select cast(:user as uuid) as stream, null as device, null as address
      union all select session_id, device, address from session where user_id = :user
      union all select key_id, null, null from api_key where user_id = :user) own
join event e on e.stream = own.stream
where e.type = any(:types) and (cast(:at as timestamptz) is null or (e.recorded_at, e.id) < (:at, :id))
order by e.recorded_at desc, e.id desc limit :limit""").bindparams(
    sa.bindparam("user", type_=sa.Uuid),
    sa.bindparam("types", type_=sa.ARRAY(sa.Text)),
    sa.bindparam("at", type_=sa.TIMESTAMP(timezone=True)),
    sa.bindparam("id", type_=sa.Uuid),
)


class PostgresSecurityHistory:
    def __init__(self, database: Database, codec: Codec) -> None:
        self._database = database
        self._codec = codec

    async def page(self, user: UUID, limit: int, before: tuple[datetime, UUID] | None) -> list[Happening]:
        at, id_ = before or (None, None)
        wanted = {"user": user, "types": [event.NAME for event in SHOWN], "at": at, "id": id_, "limit": limit}
        async with self._database.transaction() as connection:
            rows = (await connection.execute(PAGE, wanted)).all()
        await self._codec.learn(row.body for row in rows)
        return [
            Happening(
                row.id,
                row.recorded_at,
                cast("SecurityEvent", self._codec.decode(row.body)),
                None if row.address is None else Device(row.device, row.address),
            )
            for row in rows
        ]
