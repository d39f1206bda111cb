"""The keys that access tokens are signed with: Ed25519, several at a time, so that one can follow another. Port `AccessTokens`.

A key is published before it signs, for as long as verifiers keep what they fetched, and stays published after it was replaced
for as long as its last token holds.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

import jwt
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bounded_contexts.identity.adapters.tables import signing_key
from bounded_contexts.identity.application.ports import ACCESS_LIFETIME, Client, LiveSession
from infra import secret_keys
from infra.access_tokens import KEYS_LIFESPAN_S, LEEWAY
from infra.postgres import Database
from shared_kernel.permissions import SERVICE

ALGORITHM = "EdDSA"
OVERLAP = timedelta(seconds=KEYS_LIFESPAN_S)  # verifiers fetch anew after that
LOOK_S = 5.0  # also how long our own processes take a key that is gone for good
LOCK = 7_200  # advisory: two processes never make a first key, or rotate, side by side


class PostgresSigningKeys:
    def __init__(self, database: Database, secret: str, issuer: str, audience: str) -> None:
        self._database = database
        self._key = secret_keys.derived(secret, "identity signing keys")
        self.issuer, self.audience = issuer, audience
        self._rows: list[Any] = []
        self._private: dict[str, Ed25519PrivateKey] = {}
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def issue(self, session: LiveSession, roles: frozenset[str], now: datetime) -> str:
        about = {"sub": str(session.user_id), "sid": str(session.session_id), "roles": sorted(roles)}
        return await self._signed(about | {"amr": list(session.methods)}, now)

    async def issue_to_service(self, client: Client, scopes: Sequence[str], now: datetime) -> str:
        id_ = str(client.account_id)
        about = {"sub": id_, "client_id": id_, "sid": str(client.secret_id), "scope": " ".join(scopes)}
        return await self._signed(about | {"roles": [SERVICE]}, now)

    async def _signed(self, about: Mapping[str, Any], now: datetime) -> str:
        """Return the token with these claims about whom it speaks for (RFC 9068)."""
        kid, key = await self._signer(now)
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "jti": str(uuid4()),
            "iat": now,
            "exp": now + ACCESS_LIFETIME,
        }
        return jwt.encode({**claims, **about}, key, algorithm=ALGORITHM, headers={"kid": kid, "typ": "at+jwt"})

    async def public(self) -> dict[str, Ed25519PublicKey]:
        """Return the keys that tokens may be verified with, by `kid`."""
        return self._verifying(await self._read())

    async def key_set(self) -> dict[str, Any]:
        """Return the public keys as a JWK set (RFC 7517)."""
        about = {"use": "sig", "alg": ALGORITHM}
        return {
            "keys": [
                jwt.algorithms.OKPAlgorithm.to_jwk(key, as_dict=True) | about | {"kid": kid}
                for kid, key in self._verifying(await self._known()).items()
            ]
        }

    async def rotate(self, now: datetime, *, at_once: bool = False) -> str:
        """Add a key that signs after `OVERLAP`, when the others cease to; return its `kid`. `at_once` is for a key that was
        stolen: it signs now, and no token of another key holds any more."""
        signs_from = now if at_once else now + OVERLAP
        async with self._database.transaction() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            # One that was to sign later never has. A key that has to go at once has no more tokens that hold, whatever was
            # said of it before; others may finish theirs.
            over = sa.or_(signing_key.c.verifies_until < now, signing_key.c.signs_from > now)
            await connection.execute(sa.delete(signing_key).where(sa.true() if at_once else over))
            replaced = sa.update(signing_key).where(signing_key.c.verifies_until.is_(None))
            await connection.execute(replaced.values(verifies_until=signs_from + ACCESS_LIFETIME + 2 * LEEWAY))
            kid = await self._add(connection, signs_from)
        self._looked_at = float("-inf")
        return kid

    def _verifying(self, rows: Sequence[Any]) -> dict[str, Ed25519PublicKey]:
        now = datetime.now(UTC)
        good = [row for row in rows if row.verifies_until is None or row.verifies_until > now]
        return {row.kid: Ed25519PublicKey.from_public_bytes(row.public) for row in good}

    async def _signer(self, now: datetime) -> tuple[str, Ed25519PrivateKey]:
        rows = [row for row in await self._known() if row.signs_from <= now]
        if not rows:
            await self._make_first(now)
            rows = [row for row in await self._known() if row.signs_from <= now]
        newest = max(rows, key=lambda row: row.signs_from)
        if newest.kid not in self._private:
            plain = secret_keys.opened(self._key, newest.sealed, newest.kid.encode())
            self._private[newest.kid] = Ed25519PrivateKey.from_private_bytes(plain)
        return newest.kid, self._private[newest.kid]

    async def _known(self) -> list[Any]:
        async with self._lock:
            if not self._rows or monotonic() - self._looked_at > LOOK_S:
                self._rows = await self._read()
                self._looked_at = monotonic()
        return self._rows

    async def _read(self) -> list[Any]:
        async with self._database.transaction() as connection:
            return list(await connection.execute(sa.select(signing_key)))

    async def _make_first(self, now: datetime) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            query = sa.select(signing_key.c.kid).where(signing_key.c.signs_from <= now)
            if (await connection.execute(query)).first() is None:
                await self._add(connection, now)
        self._looked_at = float("-inf")

    async def _add(self, connection: Any, signs_from: datetime) -> str:
        kid, private = uuid4().hex, Ed25519PrivateKey.generate()
        sealed = secret_keys.seal(self._key, private.private_bytes_raw(), kid.encode())
        public = private.public_key().public_bytes_raw()
        row = sa.insert(signing_key).values(kid=kid, sealed=sealed, public=public, signs_from=signs_from)
        await connection.execute(row)
        return kid
