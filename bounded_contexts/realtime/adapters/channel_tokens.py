"""Channel tokens: what a service gives to a user who is to hear a channel for a while."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from bounded_contexts.realtime.application.channels import NAME, fits, globs_of
from infra.access_tokens import User
from infra.http import Body, Known, Tokens, problems
from infra.opaque import OpaqueTokens
from shared_kernel.errors import Forbidden
from shared_kernel.permissions import GRANT_CHANNELS, SERVICE

KIND = "channel_token"
LIFETIME_S = 600
MOST_LIFETIME_S = 3_600


class Grant(Body):
    """Whom the token is for, and what for."""

    user_id: UUID
    channel: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    ttl_s: Annotated[int, Field(ge=1, le=MOST_LIFETIME_S)] = LIFETIME_S


class Granted(BaseModel):
    token: str
    expires_at: datetime


def sealed(tokens: OpaqueTokens, user: UUID, channel: str, until: datetime) -> str:
    """Return a token by which the user, and nobody else, may subscribe to the channel."""
    return tokens.seal(KIND, until.timestamp(), _of(user, channel))


def granted_until(tokens: OpaqueTokens, token: str, user: UUID, channel: str) -> datetime | None:
    """Return when the token ends, None if it is over. Raise `Refused` if it is not theirs or not of this channel."""
    until = datetime.fromtimestamp(tokens.open(KIND, token, _of(user, channel)), UTC)
    return until if until > datetime.now(UTC) else None


def channel_token_routes() -> APIRouter:
    """Return the route."""
    routes = APIRouter(prefix="/channel-tokens", responses=problems(401, 403, 422, 429))

    @routes.post("", status_code=201)
    async def grant(asked: Grant, who: Known, tokens: Tokens) -> Granted:
        """Let a user subscribe to a private channel for a while. For services with the scope `realtime:grant`, or
        `realtime:grant:GLOB` where the glob fits."""
        require_grant(who, asked.channel)
        until = datetime.fromtimestamp(datetime.now(UTC).timestamp() + asked.ttl_s, UTC)
        return Granted(token=sealed(tokens, asked.user_id, asked.channel, until), expires_at=until)

    return routes


def require_grant(who: User, channel: str) -> None:
    """Raise `Forbidden` for people and their API keys: what they may hear is not theirs to give."""
    globs = globs_of(who.scopes or (), GRANT_CHANNELS)
    if SERVICE not in who.roles or not globs:
        raise Forbidden("scope_missing", f"it takes a service with the scope {GRANT_CHANNELS}")
    if not fits(channel, globs):
        raise Forbidden("channel_not_allowed", f"{channel} is not yours to give")


def _of(user: UUID, channel: str) -> str:
    return f"{user}/{channel}"
