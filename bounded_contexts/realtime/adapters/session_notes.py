"""Tell the session log once a second which sockets came, went and lag: nothing is written for a single delivery."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.ports import SessionLog, SessionNote
from bounded_contexts.realtime.application.recent import Recent, copied

TELL_S = 1.0
PRUNE_S = 600.0
WAITING = 10_000  # notes kept while the database is away
PAGE = 1_000  # notes in one statement

log = structlog.get_logger()


class SessionNotes:
    """A node's notes. The log may be away for long: sockets do not need it."""

    def __init__(self, sessions: SessionLog, recent: Recent) -> None:
        self._log = sessions
        self._recent = recent
        self.node = uuid4()
        self._open: dict[str, tuple[Session, datetime]] = {}
        self._untold: set[str] = set()  # of those
        self._lagging: set[str] = set()  # of those, as they were told last
        self._waiting: dict[str, SessionNote] = {}

    def began(self, sid: str, session: Session) -> None:
        """Hear that the socket is sent events from now on."""
        self._open[sid] = (session, datetime.now(UTC))
        self._untold.add(sid)

    def ended(self, sid: str) -> None:
        """Hear that it is gone. May be told of one that never began."""
        if sid in self._open:
            self._note(sid, datetime.now(UTC))
            del self._open[sid]
            self._untold.discard(sid)
            self._lagging.discard(sid)

    async def run(self) -> None:
        """Tell until cancelled."""
        loop = asyncio.get_running_loop()
        pruned = loop.time()
        while True:
            await asyncio.sleep(TELL_S)
            await self.tell()
            if loop.time() - pruned > PRUNE_S:
                pruned = loop.time()
                await self._try_to_prune()

    async def tell(self) -> None:
        """Tell what has changed. What cannot be told now is kept for the next time."""
        # Of one that hears no messages there is nothing to tell but that it is open.
        lagging = {sid for sid, (session, _) in self._open.items() if session.begins and not session.live}
        for sid in self._untold | lagging | self._lagging:
            self._note(sid)
        self._untold, self._lagging = set(), lagging
        notes = list(self._waiting.values())[:PAGE]
        try:
            await self._log.note(self.node, copied(self._recent.reached), notes)
        except Exception as error:  # whatever it is, deliveries go on
            log.warning("realtime.sessions_not_noted", error=str(error), waiting=len(self._waiting))
            return
        for note in notes:
            if self._waiting.get(note.sid) is note:
                del self._waiting[note.sid]

    async def _try_to_prune(self) -> None:
        try:
            await self._log.prune()
        except Exception as error:
            log.warning("realtime.sessions_not_pruned", error=str(error))

    def _note(self, sid: str, ended_at: datetime | None = None) -> None:
        session, connected_at = self._open[sid]
        reached = None
        if not session.live and session.progress:
            reached = copied(session.progress)
        elif ended_at:
            reached = copied(self._recent.reached)
        self._waiting[sid] = SessionNote(
            sid, session.id, connected_at, session.position, session.begins, reached, ended_at
        )
        if len(self._waiting) > WAITING:
            del self._waiting[next(iter(self._waiting))]
