"""Session: given what happened, when somebody asks, then this happens."""

from datetime import UTC, datetime
from functools import reduce
from uuid import UUID

import pytest

from bounded_contexts.identity.domain.commands import OpenSession, ReportReuse, RevokeSession
from bounded_contexts.identity.domain.session import INITIAL, Request, SessionEvent, decide, evolve
from schemas.identity.events import SessionCompromised, SessionOpened, SessionRevoked
from shared_kernel.errors import NotFound

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ADA, HERE = UUID(int=1), UUID(int=7)
OPEN = OpenSession(session_id=HERE, user_id=ADA, methods=("pwd",), at=NOW)
REVOKE = RevokeSession(session_id=HERE, reason="revoked", at=NOW)
REPORT = ReportReuse(session_id=HERE, at=NOW)
OPENED = SessionOpened(session_id=HERE, user_id=ADA, methods=("pwd",), opened_at=NOW)
REVOKED = SessionRevoked(session_id=HERE, user_id=ADA, reason="revoked", revoked_at=NOW)
COMPROMISED = SessionCompromised(session_id=HERE, user_id=ADA, noticed_at=NOW)
ENDED = SessionRevoked(session_id=HERE, user_id=ADA, reason="compromised", revoked_at=NOW)


@pytest.mark.parametrize(
    ("given", "ask", "then"),
    [
        ([], OPEN, [OPENED]),
        ([OPENED], OPEN, []),
        ([OPENED], REVOKE, [REVOKED]),
        ([OPENED, REVOKED], REVOKE, []),
        ([OPENED], REPORT, [COMPROMISED, ENDED]),
        ([OPENED, COMPROMISED, ENDED], REPORT, []),
    ],
)
def test_what_happens(given: list[SessionEvent], ask: Request, then: list[SessionEvent]) -> None:
    assert list(decide(reduce(evolve, given, INITIAL), ask)) == then


@pytest.mark.parametrize("ask", [REVOKE, REPORT])
def test_what_was_never_opened_cannot_end(ask: Request) -> None:
    with pytest.raises(NotFound):
        decide(INITIAL, ask)
