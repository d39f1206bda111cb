"""Session: what signing in opens, until it is revoked. How often it was refreshed is no event."""

from dataclasses import dataclass
from uuid import UUID

from bounded_contexts.identity.domain.commands import OpenSession, ReportReuse, RevokeSession
from schemas.identity.events import SessionCompromised, SessionOpened, SessionRevoked
from shared_kernel.errors import NotFound

SessionEvent = SessionOpened | SessionRevoked | SessionCompromised
Request = OpenSession | RevokeSession | ReportReuse


@dataclass(frozen=True, slots=True)
class Session:
    user_id: UUID | None = None  # None: never opened
    is_revoked: bool = False


INITIAL = Session()


def decide(state: Session, ask: Request) -> tuple[SessionEvent, ...]:
    if isinstance(ask, OpenSession):
        opened = SessionOpened(session_id=ask.session_id, user_id=ask.user_id, methods=ask.methods, opened_at=ask.at)
        return () if state.user_id else (opened,)
    if state.user_id is None:
        raise NotFound("session_not_found")
    if state.is_revoked:
        return ()
    reason = "compromised" if isinstance(ask, ReportReuse) else ask.reason
    revoked = SessionRevoked(session_id=ask.session_id, user_id=state.user_id, reason=reason, revoked_at=ask.at)
    if isinstance(ask, RevokeSession):
        return (revoked,)
    return (SessionCompromised(session_id=ask.session_id, user_id=state.user_id, noticed_at=ask.at), revoked)


def evolve(state: Session, event: SessionEvent) -> Session:
    match event:
        case SessionOpened():
            return Session(event.user_id)
        case SessionRevoked():
            return Session(state.user_id, is_revoked=True)
        case _:
            return state  # compromised; or of something else that has this id
