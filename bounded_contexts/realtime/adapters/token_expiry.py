"""What a client hears before its token ends, the new token it may go on with, and keys that no token holds by any more."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.reactions import rfc3339
from infra.access_tokens import LEEWAY, Unauthenticated, UnknownKey, User, key_of
from shared_kernel.errors import Forbidden, HeadwaterError

NOTICE_S = 60.0  # before the end, and of a short life no more than
NOTICE_PART = 0.2  # of it
KEYS_S = 2.0  # how often it is asked whether the keys are still good


class Refresh(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(max_length=16_384)


class TokenExpiry:
    """Ends the sessions whose tokens end, or are no tokens any more since their key was withdrawn."""

    def __init__(
        self,
        verify: Callable[[str], Awaitable[User]],
        revoke: Callable[[Session, str], None],
        sessions: Mapping[str, Session],
    ) -> None:
        self._verify = verify
        self._revoke = revoke
        self._sessions = sessions
        self._signed: dict[str, str] = {}  # key → a token by it

    async def run(self) -> None:
        """Ask for ever about the keys, one token of each, and not about each session."""
        while True:
            await asyncio.sleep(KEYS_S)
            in_use = {session.key for session in self._sessions.values()}
            self._signed = {key: token for key, token in self._signed.items() if key in in_use}
            for key, token in list(self._signed.items()):
                with contextlib.suppress(HeadwaterError):  # that one has ended, or nobody can say now
                    await self._unless_withdrawn(key, token)

    async def _unless_withdrawn(self, key: str, token: str) -> None:
        try:
            await self._verify(token)
        except UnknownKey:
            for session in list(self._sessions.values()):
                if session.key == key:
                    self._revoke(session, "key_withdrawn")

    def note(self, session: Session, token: str) -> None:
        """Remember what has signed the session's token."""
        session.key = key_of(token)
        if session.key:
            self._signed[session.key] = token

    def watch(self, session: Session) -> None:
        """Warn the client some time before its token ends, then end the session."""
        left_s = session.seconds_left()
        self._later(session, left_s - min(NOTICE_S, NOTICE_PART * left_s), self._warn, session)

    async def refresh(self, session: Session, payload: Any) -> Mapping[str, Any]:
        """Go on with another token of the same user. Raise `Unauthenticated`, `Forbidden` for somebody else's."""
        token = Refresh.model_validate(payload).token
        user = await self._verify(token)
        if user.id != session.id:
            raise Forbidden("another_user", "the token is somebody else's")
        if session.ended or session.revoked:  # while the token was looked at
            raise Unauthenticated("session_revoked", session.revoked or "")
        session.user = user
        self.note(session, token)
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
