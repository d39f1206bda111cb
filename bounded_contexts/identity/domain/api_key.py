"""API key: what a program sends instead of signing in; it may do no more than its scopes, and no more than its owner."""

from dataclasses import dataclass
from uuid import UUID

from bounded_contexts.identity.domain.commands import CreateApiKey, RevokeApiKey
from bounded_contexts.identity.domain.user import checked_name
from schemas.identity.events import ApiKeyCreated, ApiKeyRevoked
from shared_kernel.errors import NotFound, Refused
from shared_kernel.permissions import GRANT_CHANNELS, PUBLISH, SCOPES, is_scope

ApiKeyEvent = ApiKeyCreated | ApiKeyRevoked
Request = CreateApiKey | RevokeApiKey


@dataclass(frozen=True, slots=True)
class ApiKey:
    user_id: UUID | None = None  # None: never made
    is_revoked: bool = False


INITIAL = ApiKey()


def decide(state: ApiKey, ask: Request) -> tuple[ApiKeyEvent, ...]:
    if isinstance(ask, CreateApiKey):
        return () if state.user_id else (_created(ask),)
    if state.user_id != ask.user_id:
        raise NotFound("api_key_not_found")
    revoked = ApiKeyRevoked(key_id=ask.key_id, user_id=ask.user_id, revoked_at=ask.at)
    return () if state.is_revoked else (revoked,)


def evolve(state: ApiKey, event: ApiKeyEvent) -> ApiKey:
    match event:
        case ApiKeyCreated():
            return ApiKey(event.user_id)
        case ApiKeyRevoked():
            return ApiKey(state.user_id, is_revoked=True)


def checked_scopes(scopes: frozenset[str]) -> tuple[str, ...]:
    """Return the scopes in order. Raise `Refused` for none or one that is not known."""
    if not scopes or not all(is_scope(each) for each in scopes):
        raise Refused(
            "unknown_scope", f"one or several of {', '.join(sorted(SCOPES))}, {PUBLISH}:GLOB, {GRANT_CHANNELS}:GLOB"
        )
    return tuple(sorted(scopes))


def _created(ask: CreateApiKey) -> ApiKeyCreated:
    checked_name(ask.name)
    if ask.expires_at and ask.expires_at <= ask.at:
        raise Refused("invalid_expiry", "it has passed")
    return ApiKeyCreated(
        key_id=ask.key_id,
        user_id=ask.user_id,
        scopes=checked_scopes(ask.scopes),
        expires_at=ask.expires_at,
        created_at=ask.at,
    )
