"""One-time codes by time (RFC 6238: SHA-1, six digits, 30 s, a step early or late) and recovery codes. Port `SecondFactors`."""

import hmac
import secrets
from datetime import datetime
from uuid import UUID

import pyotp
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.identity.adapters.tables import recovery_code, totp
from infra import secret_keys
from infra.postgres import Database

STEP_S = 30
RECOVERY_CODES = 10
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is read as something else
RECOVERY_LENGTH = 12  # 59 bits


class PostgresSecondFactors:
    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._key = secret_keys.derived(secret, "identity second factors")

    async def begin(self, user: UUID) -> str:
        made = pyotp.random_base32()
        values = {
            "sealed": secret_keys.seal(self._key, made.encode(), user.bytes),
            "is_confirmed": False,
            "last_step": 0,
        }
        upsert = insert(totp).values(user_id=user, **values)
        async with self._database.transaction() as connection:
            await connection.execute(
                upsert.on_conflict_do_update(index_elements=["user_id"], set_=values, where=~totp.c.is_confirmed)
            )
        return made

    async def confirm(self, user: UUID, code: str, now: datetime) -> list[str] | None:
        if not await self._is_good(user, code, now, confirmed=False):
            return None
        codes = ["".join(secrets.choice(ALPHABET) for _ in range(RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)]
        rows = [{"digest": self._digest(user, each), "user_id": user} for each in codes]
        async with self._database.transaction() as connection:
            await connection.execute(sa.update(totp).where(totp.c.user_id == user).values(is_confirmed=True))
            await connection.execute(sa.delete(recovery_code).where(recovery_code.c.user_id == user))
            await connection.execute(sa.insert(recovery_code), rows)
        return codes

    async def accepts(self, user: UUID, code: str, now: datetime) -> bool:
        if await self._is_good(user, code, now, confirmed=True):
            return True
        used = sa.delete(recovery_code).where(recovery_code.c.digest == self._digest(user, code.strip().lower()))
        async with self._database.transaction() as connection:
            return (await connection.execute(used)).rowcount == 1

    async def forget(self, user: UUID) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(totp).where(totp.c.user_id == user))
            await connection.execute(sa.delete(recovery_code).where(recovery_code.c.user_id == user))

    async def _is_good(self, user: UUID, code: str, now: datetime, *, confirmed: bool) -> bool:
        """Return whether it is a code of a step that was not used yet, and use it up: one statement lets one of two win."""
        async with self._database.transaction() as connection:
            query = sa.select(totp.c.sealed).where(totp.c.user_id == user, totp.c.is_confirmed == confirmed)
            sealed = await connection.scalar(query)
            step = _step_of(secret_keys.opened(self._key, sealed, user.bytes).decode(), code, now) if sealed else None
            if step is None:
                return False
            used = sa.update(totp).where(totp.c.user_id == user, totp.c.last_step < step).values(last_step=step)
            return (await connection.execute(used)).rowcount == 1

    def _digest(self, user: UUID, code: str) -> bytes:
        return secret_keys.digest(self._key, f"{user} {code}")


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """Return the step whose code it is: this one, the one before or the one after."""
    codes, present, given = pyotp.TOTP(secret), int(now.timestamp()) // STEP_S, code.strip().encode()
    for step in (present - 1, present, present + 1):
        if hmac.compare_digest(codes.generate_otp(step).encode(), given):
            return step
    return None
