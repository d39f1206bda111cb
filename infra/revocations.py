"""Whose access tokens are refused although they still hold: sessions, keys and services' secrets that were revoked, users that
were blocked or erased, service accounts that were deleted, roles that were taken away.

Every process that verifies tokens hears of it from the topics, without a group, and when it starts reads again what happened
while tokens of then may still hold. A token of another issuer is refused by its user, too.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from math import inf
from time import monotonic
from uuid import UUID

from infra.access_tokens import AccessTokens, Unauthenticated, User
from schemas.identity.events import (
    ApiKeyRevoked,
    ServiceAccountDeleted,
    ServiceSecretRevoked,
    SessionRevoked,
    UserBlocked,
    UserErased,
    UserRoleGranted,
    UserRoleRevoked,
    UserUnblocked,
)
from shared_kernel.events import Event, Recorded
from shared_kernel.module import Feed

NAME = "revocations"
EVENTS = (
    SessionRevoked,
    ApiKeyRevoked,
    ServiceSecretRevoked,
    ServiceAccountDeleted,
    UserBlocked,
    UserUnblocked,
    UserErased,
    UserRoleGranted,
    UserRoleRevoked,
)
PRUNE_S = 60.0

Listener = Callable[[UUID, UUID | None, str], None]  # user, session (None: all of them), reason


class Revocations:
    """What was revoked within the lifetime of an access token."""

    def __init__(self, lifetime: timedelta) -> None:
        self._lifetime_s = lifetime.total_seconds()
        self._over: dict[UUID, tuple[float, str]] = {}  # session or user → until when it has to be known, and why
        self._lost_roles: dict[tuple[UUID, str], float] = {}  # until when tokens may still name them
        self._pruned_at = monotonic()
        self._listeners: list[Listener] = []
        self.feed = Feed(NAME, EVENTS, self._deliver, lambda *_: None, since=lifetime)

    def listen(self, listener: Listener) -> None:
        """Call the listener for whatever is revoked from now on."""
        self._listeners.append(listener)

    def reason(self, user: User) -> str | None:
        """Return why the token is refused, None if it is not."""
        found = self._over.get(user.id) or (self._over.get(user.session) if user.session else None)
        if found is None and self._lost_roles and any((user.id, role) in self._lost_roles for role in user.roles):
            return "role_revoked"
        return found[1] if found else None

    async def _deliver(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            self._hear(recorded.event)
        if monotonic() - self._pruned_at > PRUNE_S:
            self._pruned_at = monotonic()
            self._over = {id_: each for id_, each in self._over.items() if each[0] > self._pruned_at}
            self._lost_roles = {key: end for key, end in self._lost_roles.items() if end > self._pruned_at}

    def _hear(self, event: Event) -> None:
        match event:
            case SessionRevoked(session_id=session, user_id=user, reason=reason):
                self._revoke(user, session, reason)
            case ApiKeyRevoked(key_id=key, user_id=user):
                self._revoke(user, key, "revoked")
            case ServiceSecretRevoked(account_id=account, secret_id=secret):
                self._revoke(account, secret, "revoked")
            case ServiceAccountDeleted(account_id=account):
                self._revoke(account, None, "deleted")
            case UserBlocked(user_id=user):
                self._revoke(user, None, "blocked", inf)  # others' tokens may hold for longer than ours
            case UserErased(user_id=user):
                self._revoke(user, None, "erased", inf)
            case UserUnblocked(user_id=user):
                self._over.pop(user, None)
            case UserRoleRevoked(user_id=user, role=role):
                self._lost_roles[user, role] = monotonic() + self._lifetime_s
                self._tell(user, None, "role_revoked")
            case UserRoleGranted(user_id=user, role=role):
                self._lost_roles.pop((user, role), None)

    def _revoke(self, user: UUID, session: UUID | None, reason: str, for_s: float | None = None) -> None:
        self._over[session or user] = (monotonic() + (for_s or self._lifetime_s), reason)
        self._tell(user, session, reason)

    def _tell(self, user: UUID, session: UUID | None, reason: str) -> None:
        for listener in self._listeners:
            listener(user, session, reason)


class UnrevokedTokens:
    """Access tokens that hold and were not revoked."""

    def __init__(self, tokens: AccessTokens, revocations: Revocations) -> None:
        self._tokens = tokens
        self._revocations = revocations

    async def verify(self, token: str) -> User:
        user = await self._tokens.verify(token)
        if reason := self._revocations.reason(user):
            raise Unauthenticated("session_revoked", reason)
        return user
