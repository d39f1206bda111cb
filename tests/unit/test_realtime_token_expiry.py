"""A token that takes its time to be looked at."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest

from bounded_contexts.realtime.adapters import token_expiry
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.adapters.token_expiry import TokenExpiry
from bounded_contexts.realtime.application.own_messages import OwnMessages
from infra.access_tokens import Unauthenticated, UnknownKey, User
from tests.probes import during


async def test_a_session_that_is_revoked_while_its_new_token_is_looked_at_stays_revoked() -> None:
    ann = uuid4()
    old = User(ann, frozenset(), datetime.now(UTC))
    new = User(ann, frozenset(), datetime.now(UTC) + timedelta(hours=1))
    session = Session(old, None, False, OwnMessages(ann))
    looked = asyncio.Event()

    async def verify(_: str) -> User:
        await looked.wait()
        return new

    refreshing = asyncio.create_task(TokenExpiry(verify, lambda *_: None, {}).refresh(session, {"token": "new"}))
    await asyncio.sleep(0)
    session.revoked = "blocked"
    looked.set()

    with pytest.raises(Unauthenticated, match="session_revoked: blocked"):
        await refreshing
    assert (session.user, session.expiry) == (old, None)


async def test_sessions_end_whose_key_was_withdrawn_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_expiry, "KEYS_S", 0.0)
    user, ended = User(uuid4(), frozenset(), datetime.now(UTC)), list[tuple[str, str]]()
    sessions = {
        name: Session(user, None, False, OwnMessages(user.id)) for name in ("stolen", "kept", "over", "unnamed")
    }
    over = asyncio.Event()

    async def verify(token: str) -> User:
        match jwt.get_unverified_header(token).get("kid"):
            case "stolen":
                raise UnknownKey("unauthenticated", "the token's key is not known")
            case "over":
                over.set()
                raise Unauthenticated("token_expired", "the token has expired")
        return user

    def revoke(session: Session, reason: str) -> None:
        ended.extend((name, reason) for name, each in sessions.items() if each is session)

    expiry = TokenExpiry(verify, revoke, sessions)
    for name, session in sessions.items():
        claims = {"sub": name}
        expiry.note(session, jwt.encode(claims, "x" * 32, headers={"kid": name} if name != "unnamed" else None))
    async with during(expiry.run()):
        await asyncio.wait_for(over.wait(), 10)

    assert set(ended) == {("stolen", "key_withdrawn")}
