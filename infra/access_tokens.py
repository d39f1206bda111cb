"""Verify the JWTs that say who asks: ES256 or EdDSA by a key set, HS256 in development (docs/security.md)."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol
from uuid import UUID, uuid4

import jwt

from shared_kernel.errors import HeadwaterError, Unavailable

ASYMMETRIC = ("ES256", "EdDSA")  # pinned: `none` and a public key used as an HMAC secret never pass
LEEWAY = timedelta(seconds=10)  # clocks differ
LAST_YEAR = 9000
KEYS_LIFESPAN_S = 300
KEYS_TIMEOUT_S = 5
UNKNOWN_KEY_S = 5
DEVELOPMENT_LIFETIME = timedelta(hours=12)


class Unauthenticated(HeadwaterError):
    """No or no valid token. The code is `unauthenticated` or `token_expired`."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    id: UUID
    roles: frozenset[str]
    expires_at: datetime  # when the token ends


class AccessTokens(Protocol):
    async def verify(self, token: str) -> User:
        """Return who the token speaks for. Raise `Unauthenticated`, or `Unavailable` while that cannot be known."""
        ...


class SharedKeyTokens:
    """HS256 with one secret. For development: whoever verifies could also sign."""

    def __init__(self, secret: str, issuer: str | None = None, audience: str | None = None) -> None:
        self._secret = secret
        self._issuer, self._audience = issuer, audience

    def issue(self, user: UUID, roles: tuple[str, ...] = (), lifetime: timedelta = DEVELOPMENT_LIFETIME) -> str:
        """Return a token for `user`."""
        now = datetime.now(UTC)
        claims = {"sub": str(user), "roles": list(roles), "iat": now, "exp": now + lifetime, "jti": str(uuid4())}
        claims |= {name: value for name, value in (("iss", self._issuer), ("aud", self._audience)) if value}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    async def verify(self, token: str) -> User:
        return _user(token, self._secret, ("HS256",), self._issuer, self._audience)


class KeySetTokens:
    """Public keys from a JWKS URL. An unknown `kid` fetches the set again, but not more often than every
    `UNKNOWN_KEY_S`: anybody may send tokens with made-up ones."""

    def __init__(self, url: str, issuer: str | None = None, audience: str | None = None) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=KEYS_TIMEOUT_S)
        self._issuer, self._audience = issuer, audience
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> User:
        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
        except (jwt.PyJWTError, ValueError) as error:
            raise Unauthenticated("unauthenticated", "the token is not valid") from error
        key = await self._key(kid)
        if key is None:
            raise Unauthenticated("unauthenticated", "the token's key is not known")
        return _user(token, key, ASYMMETRIC, self._issuer, self._audience)

    async def _key(self, kid: str) -> jwt.PyJWK | None:
        async with self._lock:
            age = monotonic() - self._fetched_at
            if age > KEYS_LIFESPAN_S or (kid not in self._keys and age > UNKNOWN_KEY_S):
                await self._fetch()
        return self._keys.get(kid)

    async def _fetch(self) -> None:
        try:
            found = await asyncio.to_thread(self._client.get_jwk_set)
        except (jwt.PyJWTError, OSError, ValueError) as error:
            raise Unavailable("key_set_unavailable", "the public keys cannot be fetched") from error
        self._fetched_at = monotonic()
        self._keys = {key.key_id: key for key in found.keys if key.key_id}


def _user(token: str, key: Any, algorithms: tuple[str, ...], issuer: str | None, audience: str | None) -> User:
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY,
            options={"require": ["exp", "sub"], "verify_aud": audience is not None},
        )
        roles = claims.get("roles", [])
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        if expires_at.year > LAST_YEAR:  # what is added to it must be a date, too
            raise OverflowError
        return User(UUID(claims["sub"]), frozenset(roles) if isinstance(roles, list) else frozenset(), expires_at)
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("token_expired", "the token has expired") from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError) as error:
        raise Unauthenticated("unauthenticated", "the token is not valid") from error
