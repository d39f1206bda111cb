"""Sessions that are not live: those that come back with a position, and those whose queue is full.

They are served in order from what is kept, as fast as they take it, until nothing is left; then they are live. That last
step is one without a pause, so nothing is lost or doubled at the seam, and nothing has to be held back for a session.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from bounded_contexts.realtime.adapters import packets
from bounded_contexts.realtime.adapters.metrics import CUT
from bounded_contexts.realtime.adapters.past_in_turns import Crowded, PastInTurns, Turn
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.erased import ErasedMessages
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.ports import NotKept
from bounded_contexts.realtime.application.reactions import Delivery, delivery_of
from bounded_contexts.realtime.application.recent import Entry, Recent, copied
from shared_kernel.errors import Unavailable
from shared_kernel.events import Event, Recorded
from shared_kernel.module import Offsets

PAGE = 200  # deliveries
AHEAD_S = 5.0  # how long this node may be behind the one that gave the position out
PAST_S = 30.0  # longest time for a turn of reading the past for one client, waiting for it included

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Meaning:
    """What records from the past are to clients."""

    delivery_of: Callable[[Event], Delivery | None]
    opening: Callable[[Recorded, Delivery], str]


CHAT = Meaning(delivery_of, packets.opening)


class _Stalled(Exception):
    """The client takes nothing."""


class CatchUp:
    def __init__(
        self,
        recent: Recent,
        erased: ErasedMessages,
        past: PastInTurns,
        began: Callable[[str, Session], None],
        seal: Callable[[Offsets], str],
        limits: Limits,
        meaning: Meaning = CHAT,
    ) -> None:
        """`began` hears of each session that is sent events from now on."""
        self._recent, self._erased, self._past, self._began = recent, erased, past, began
        self._seal = seal
        self._meaning = meaning
        self._limits = limits
        self._moved = asyncio.Event()

    def moved(self) -> None:
        """Hear that reading has gone on."""
        self._moved.set()
        self._moved.clear()

    async def can_resume(self, session: Session, position: Offsets) -> bool:
        """Return whether what follows the position is kept, without sending any of it. Raise `Unavailable`."""
        if not await self._is_reached(position):
            return False
        wanted = self._recent.within(position)
        missing = self._recent.missing(wanted)
        if not missing or missing > self._limits.past_records:
            return not missing
        try:
            async with (
                asyncio.timeout(PAST_S),
                self._past.turn(session.id, id(session)),
                aclosing(self._past.read(wanted)) as stretches,
            ):
                await anext(stretches)
        except (NotKept, TimeoutError, Crowded):
            return False
        return True

    async def resume(self, session: Session, position: Offsets) -> None:
        """Send what the session has missed since the position, or say that it has to load everything anew."""
        try:
            if await self._is_resumed(session, position):
                await self.follow(session)
            else:
                self.start_over(session)
        except Unavailable as error:
            log.warning("realtime.past_unavailable", code=error.code)
            self._end(session, "hang_up")
        except _Stalled:
            self._end(session, "stalled")

    async def follow(self, session: Session) -> None:
        """Send what this node keeps for the session until it is live or cut."""
        while not self._sent_all(session):
            if not await self._has_room(session):
                self._end(session, "stalled")
                return

    def start(self, session: Session) -> None:
        """Begin with what happens from now on."""
        self._ready(session, copied(self._recent.reached), resumed=False)
        session.go_live()

    async def _is_resumed(self, session: Session, position: Offsets) -> bool:
        """Bring the session to where memory begins and tell it so. False: that cannot be, and it was told nothing."""
        if not await self._is_reached(position):
            return False
        session.progress = self._recent.within(position)
        given = copied(session.progress)
        if await self._past_is_sent(session, given):
            self._ready(session, given, resumed=True)
            session.seq = self._recent.start
            return True
        if session.is_ready:  # too late to say no; it comes back with the position it has by now
            raise _Stalled
        return False

    async def _past_is_sent(self, session: Session, given: Offsets) -> bool:
        """Send what the topics have for the session before memory begins, if that is little enough."""
        missing = self._recent.missing(session.progress)
        if not missing or missing > self._limits.past_records:
            return not missing
        try:
            while self._recent.missing(session.progress):
                async with asyncio.timeout(PAST_S), self._past.turn(session.id, id(session.connection)) as turn:
                    if not await self._turn_is_used(session, given, turn):
                        return False
        except (NotKept, TimeoutError, Crowded):
            return False
        return True

    async def _turn_is_used(self, session: Session, given: Offsets, turn: Turn) -> bool:
        """Send what the topics have until memory begins or others are to have a turn. False: it cannot be sent."""
        if session.ended:
            raise _Stalled
        async with aclosing(self._past.read(copied(session.progress))) as stretches:
            async for stretch in stretches:
                # What this node has not read itself yet would come once more when the session is live.
                if not await self._is_reached(stretch.reached):
                    return False
                self._ready(session, given, resumed=True)
                if not await self._is_page_sent(session, stretch.events, turn):
                    return True
                session.skip_to(stretch.reached)
                if self._past.is_over(turn) or not self._recent.missing(session.progress):
                    return True
        return False

    async def _is_page_sent(self, session: Session, page: Sequence[Recorded], turn: Turn) -> bool:
        """Send the page, or as much of it as there is time for: at least one delivery, so that each turn leads on."""
        if session.ended:
            raise _Stalled
        for recorded in page:
            self._erased.learn(recorded.event)  # one from before this node's time
        for recorded in map(self._erased.cleared, page):
            if recorded.id in session.replayed or self._recent.repeats(recorded):
                continue
            delivery = self._meaning.delivery_of(recorded.event)
            if delivery is None or delivery.recipients.isdisjoint(session.recipients):
                continue
            if session.ended or not await self._has_room(session):
                raise _Stalled
            session.replayed.add(recorded.id)
            entry = Entry(0, recorded.position, recorded.id, delivery, self._meaning.opening(recorded, delivery))
            self._send(session, entry)
            if self._past.is_over(turn):
                return False
        return True

    def _sent_all(self, session: Session) -> bool:
        """Queue as much as there is room for; True when the session is live or has ended."""
        while not session.ended:
            entries = self._recent.after(session.recipients, session.seq, PAGE)
            if entries is None:
                self._end(session, "too_slow")
                return True
            for entry in entries:
                if not session.passes(entry):
                    if session.is_full:
                        return False
                    self._send(session, entry)
                session.seq = entry.seq
            if len(entries) < PAGE:
                session.go_live()
                return True
        return True

    def _send(self, session: Session, entry: Entry) -> None:
        session.pass_by(entry)
        session.offer(entry, packets.completed(entry.text, self._seal(session.covered)))

    async def _has_room(self, session: Session) -> bool:
        connection = session.connection
        return connection is not None and await connection.outbox.has_room(self._limits.patience_s)

    async def _is_reached(self, position: Offsets) -> bool:
        try:
            async with asyncio.timeout(AHEAD_S):
                while self._recent.is_ahead(position):
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    def start_over(self, session: Session) -> None:
        """Nothing was missed silently: the client loads what there is and comes back with the position of that."""
        self.start(session)
        session.say("resync.required", {"scope": "all"})

    def _ready(self, session: Session, position: Offsets, *, resumed: bool) -> None:
        if session.is_ready or session.connection is None:
            return
        session.is_ready, session.begins = True, position
        self._began(session.connection.sid, session)
        ready = {
            "sid": session.connection.sid,
            "user_id": str(session.id),
            "position": self._seal(position),
            "resumed": resumed,
            "was_resuming": session.position is not None,
            "heartbeat": {
                "interval_ms": round(self._limits.heartbeat_s * 1000),
                "timeout_ms": round(self._limits.heartbeat_timeout_s * 1000),
            },
        }
        session.say("session.ready", ready)

    def _end(self, session: Session, reason: str) -> None:
        if session.ended or session.connection is None:
            return
        CUT.labels(reason).inc()
        log.info("realtime.cut", user=str(session.id), reason=reason)
        session.end()
        if reason == "hang_up":
            session.connection.hang_up()
        else:
            session.connection.cut()
