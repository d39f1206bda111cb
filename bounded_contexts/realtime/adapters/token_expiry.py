"""What a client hears before its token ends, and the new token it may go on with."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.reactions import rfc3339
from infra.access_tokens import LEEWAY, Unauthenticated, User
from shared_kernel.errors import Forbidden

NOTICE_S = 60.0  # before the end, and of a short life no more than
NOTICE_PART = 0.2  # of it


class Refresh(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(max_length=16_384)


class TokenExpiry:
    """Ends the sessions whose tokens end."""

    def __init__(self, verify: Callable[[str], Awaitable[User]], revoke: Callable[[Session, str], None]) -> None:
        self._verify = verify
        self._revoke = revoke

    def watch(self, session: Session) -> None:
        """Warn the client some time before its token ends, then end the session."""
        left_s = session.seconds_left()
        self._later(session, left_s - min(NOTICE_S, NOTICE_PART * left_s), self._warn, session)

    async def refresh(self, session: Session, payload: Any) -> Mapping[str, Any]:
        """Go on with another token of the same user. Raise `Unauthenticated`, `Forbidden` for somebody else's."""
        user = await self._verify(Refresh.model_validate(payload).token)
        if user.id != session.id:
            raise Forbidden("another_user", "the token is somebody else's")
        if session.ended or session.revoked:  # while the token was looked at
            raise Unauthenticated("session_revoked", session.revoked or "")
        session.user = user
        self.watch(session)
        return {"expires_at": _end(session)}

    def _warn(self, session: Session) -> None:
        session.say("auth.expiring", {"expires_at": _end(session)})
        self._later(session, session.seconds_left(), self._revoke, session, "token_expired")

    def _later(self, session: Session, wait_s: float, call: Callable[..., None], *args: Any) -> None:
        if session.expiry:
            session.expiry.cancel()
        session.expiry = asyncio.get_running_loop().call_later(wait_s, call, *args)


def _end(session: Session) -> str:
    return rfc3339(session.user.expires_at + LEEWAY)
