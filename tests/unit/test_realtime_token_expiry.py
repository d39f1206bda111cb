"""A token that takes its time to be looked at."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.adapters.token_expiry import TokenExpiry
from bounded_contexts.realtime.application.own_messages import OwnMessages
from infra.access_tokens import Unauthenticated, User


async def test_a_session_that_is_revoked_while_its_new_token_is_looked_at_stays_revoked() -> None:
    ann = uuid4()
    old = User(ann, frozenset(), datetime.now(UTC))
    new = User(ann, frozenset(), datetime.now(UTC) + timedelta(hours=1))
    session = Session(old, None, False, OwnMessages(ann))
    looked = asyncio.Event()

    async def verify(_: str) -> User:
        await looked.wait()
        return new

    refreshing = asyncio.create_task(TokenExpiry(verify, lambda *_: None).refresh(session, {"token": "new"}))
    await asyncio.sleep(0)
    session.revoked = "blocked"
    looked.set()

    with pytest.raises(Unauthenticated, match="session_revoked: blocked"):
        await refreshing
    assert (session.user, session.expiry) == (old, None)
