"""Verify the JWTs that say who asks: ES256 or EdDSA by a key set, HS256 in development (docs/security.md)."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol
from uuid import UUID, uuid4

import jwt

from shared_kernel.errors import Forbidden, HeadwaterError, Unavailable

ASYMMETRIC = ("ES256", "EdDSA")  # pinned: `none` and a public key used as an HMAC secret never pass
LEEWAY = timedelta(seconds=10)  # clocks differ
LAST_YEAR = 9000
KEY_PREFIX = "hw_"  # of API keys
KEYS_LIFESPAN_S = 300
KEYS_TIMEOUT_S = 5
UNKNOWN_KEY_S = 5
REMEMBERED = 10_000  # tokens of a set of keys, until it is fetched again
DEVELOPMENT_LIFETIME = timedelta(hours=12)


class Unauthenticated(HeadwaterError):
    """No or no valid token. `docs/errors.md` has the codes."""


class UnknownKey(Unauthenticated):
    """Nobody here knows what has signed the token."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    id: UUID
    roles: frozenset[str]
    expires_at: datetime  # when the token ends
    session: UUID | None = None  # which sign-in, API key or service's secret it comes from, as far as it says so
    scopes: frozenset[str] | None = (
        None  # what an API key or a service is limited to; None: a person's token, which is not
    )


def require_scope(user: User, scope: str) -> None:
    """Raise `Forbidden` for an API key or a service beyond its scopes."""
    if user.scopes is not None and scope not in user.scopes:
        raise Forbidden("scope_missing", f"the token has not the scope {scope}")


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


KeySet = Callable[[], Awaitable[Mapping[str, Any]]]  # key by `kid`; raises `Unavailable`


def published_at(url: str) -> KeySet:
    """Return what fetches the public keys of a JWKS URL."""
    client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=KEYS_TIMEOUT_S)

    async def fetch() -> Mapping[str, Any]:
        try:
            found = await asyncio.to_thread(client.get_jwk_set)
        except (jwt.PyJWTError, OSError, ValueError) as error:
            raise Unavailable("key_set_unavailable", "the public keys cannot be fetched") from error
        return {key.key_id: key for key in found.keys if key.key_id}

    return fetch


class KeySetTokens:
    """Tokens by any of a set of keys. An unknown `kid` fetches the set again, but not more often than every
    `UNKNOWN_KEY_S`: anybody may send tokens with made-up ones."""

    def __init__(
        self,
        fetch: KeySet,
        issuer: str | None = None,
        audience: str | None = None,
        lifespan_s: float = KEYS_LIFESPAN_S,
    ) -> None:
        self._fetch = fetch
        self._lifespan_s = lifespan_s
        self._issuer, self._audience = issuer, audience
        self._keys: Mapping[str, Any] = {}
        self._verified: OrderedDict[str, User] = OrderedDict()  # by these keys; a signature takes longer than all else
        self._fetched_at = float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> User:
        known = self._verified.get(token)
        if known and monotonic() - self._fetched_at <= self._lifespan_s and datetime.now(UTC) < known.expires_at:
            return known
        key = await self._key(key_of(token))
        if key is None:
            raise UnknownKey("unauthenticated", "the token's key is not known")
        user = _user(token, key, ASYMMETRIC, self._issuer, self._audience)
        self._verified[token] = user
        if len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)
        return user

    async def _key(self, kid: str) -> jwt.PyJWK | None:
        async with self._lock:
            age = monotonic() - self._fetched_at
            if age > self._lifespan_s or (kid not in self._keys and age > UNKNOWN_KEY_S):
                await self._renew(kid)
        return self._keys.get(kid)

    async def _renew(self, kid: str) -> None:
        """Fetch the set. While that cannot be done known keys go on, and it is tried again after a while."""
        try:
            self._keys = await self._fetch()
            self._fetched_at = monotonic()
            self._verified.clear()  # one of the keys may be gone
        except Unavailable:
            self._fetched_at = monotonic() - self._lifespan_s + UNKNOWN_KEY_S
            if kid not in self._keys:
                raise


class EitherTokens:
    """Tokens of several kinds, told apart by what signs them: the first that knows the key decides. API keys by their prefix."""

    def __init__(
        self, shared: SharedKeyTokens | None, sets: Sequence[KeySetTokens], api_keys: AccessTokens | None = None
    ) -> None:
        self._shared = shared
        self._sets = sets
        self._api_keys = api_keys

    async def verify(self, token: str) -> User:
        if self._api_keys and token.startswith(KEY_PREFIX):
            return await self._api_keys.verify(token)
        if self._shared and _header(token).get("alg") == "HS256":
            return await self._shared.verify(token)
        unknown: HeadwaterError = UnknownKey("unauthenticated", "the token's key is not known")
        for each in self._sets:
            try:
                return await each.verify(token)
            except UnknownKey:
                continue
            except Unavailable as error:  # another set may know the key
                unknown = error
        raise unknown


def _id_or_none(sid: object) -> UUID | None:
    """Return the session's id where it is one of ours: what others say there is theirs to choose."""
    try:
        return UUID(sid) if isinstance(sid, str) else None
    except ValueError:
        return None


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """Return what the token of a program is limited to: one whose `sub` is its `client_id` (RFC 9068 section 2.2)."""
    if claims.get("client_id") != claims["sub"]:
        return None
    scope = claims.get("scope")
    return frozenset(scope.split()) if isinstance(scope, str) else frozenset()


def key_of(token: str) -> str:
    """Return the id of the key that has signed it, as it says itself; empty where it does not. Raise `Unauthenticated`."""
    return str(_header(token).get("kid", ""))


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as error:
        raise Unauthenticated("unauthenticated", "the token is not valid") from error


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
        session = _id_or_none(claims.get("sid"))
        held = frozenset(roles) if isinstance(roles, list) else frozenset()
        return User(UUID(claims["sub"]), held, expires_at, session, _scopes(claims))
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("token_expired", "the token has expired") from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError) as error:
        raise Unauthenticated("unauthenticated", "the token is not valid") from error
