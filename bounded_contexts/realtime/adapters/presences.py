"""Who of the watched users is there: looked up when a signal says that it may have changed, and told where it has."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field

from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.ports import Contacts, PresenceStore
from bounded_contexts.realtime.application.presence import Attendance, Audience, Presence, Status, seen_by
from bounded_contexts.realtime.application.reactions import rfc3339

MOST_WATCHED = 200  # users, by one socket
LOOK_S = 1.0  # between looks at which nodes are there
GATHER_S = 0.1  # signals that come so close together are looked into together
SETTLE_S = 2.0  # within which nodes tell of themselves again when the database is back
SWEEP_S = 30.0  # after which everybody is looked at, whatever signals were lost
PAGE = 500  # users, in one question

log = structlog.get_logger()


class Set(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: Status


class Privacy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    who: Audience


class Subscribe(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_ids: Annotated[list[UUID], Field(max_length=MOST_WATCHED)]


class Presences:
    """A node's watchers and what each was told."""

    def __init__(self, store: PresenceStore, contacts: Contacts) -> None:
        self._store = store
        self._contacts = contacts
        self._told: dict[Session, dict[UUID, Presence | None]] = {}  # None: that is on its way
        self._watchers: dict[UUID, set[Session]] = {}
        self._due: dict[UUID, float] = {}  # when to look at a watched user again
        self._nodes: frozenset[UUID] = frozenset()
        self._nodes_due = self._sweep_due = 0.0
        self._stirred = asyncio.Event()

    async def choose(self, session: Session, payload: Any) -> Mapping[str, Any]:
        """Show the user in another state, now and from now on."""
        status = Set.model_validate(payload).status
        await self._store.choose(session.id, status)
        return {"status": status}

    async def show_to(self, session: Session, payload: Any) -> Mapping[str, Any]:
        """Let others see the user's presence, or only those the user talks to, or nobody."""
        who = Privacy.model_validate(payload).who
        await self._store.show_to(session.id, who)
        return {"who": who}

    async def subscribe(self, session: Session, payload: Any) -> Mapping[str, Any]:
        """Return how these users are, and tell from now on what changes; the list replaces a former one."""
        users = list(dict.fromkeys(Subscribe.model_validate(payload).user_ids))
        self.left(session)
        told: dict[UUID, Presence | None] = dict.fromkeys(users)
        if not session.ended:
            self._told[session] = told
            for user in users:
                self._watchers.setdefault(user, set()).add(session)
        try:
            found = await self._store.of(users)
            seen = {each.user_id: await self._seen_by(session, each) for each in found}
        except Exception:
            self.left(session)
            raise
        told.update(seen)
        return {"presences": [_data(seen[user]) for user in users]}

    def left(self, session: Session) -> None:
        """Forget what the session watches."""
        for user in self._told.pop(session, {}):
            self._watchers[user].discard(session)
            if not self._watchers[user]:
                del self._watchers[user]
                self._due.pop(user, None)

    def hear(self, users: Iterable[UUID]) -> None:
        """Look at those who are watched here."""
        self._look_at(users, 0)
        self._stirred.set()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):  # `wait_for` may swallow a cancellation when both come at once
                    await self._stirred.wait()
                await asyncio.sleep(GATHER_S)
            self._stirred.clear()
            try:
                await self._look()
            except Exception as error:  # whatever it is, what was told holds until it is over
                log.warning("realtime.presence_unknown", error=str(error))
                await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        if not self._watchers:
            return
        now = asyncio.get_running_loop().time()
        if now >= self._nodes_due:
            self._nodes_due = now + LOOK_S
            nodes = await self._store.nodes()
            if nodes != self._nodes:
                self._nodes = nodes
                self._look_at(self._watchers, SETTLE_S)
        if now >= self._sweep_due:
            self._sweep_due = now + SWEEP_S
            self._look_at(self._watchers, 0)
        due = [user for user, at in self._due.items() if at <= now]
        for at in range(0, len(due), PAGE):
            await self._look_into(due[at : at + PAGE])

    def _look_at(self, users: Iterable[UUID], wait_s: float) -> None:
        at = asyncio.get_running_loop().time() + wait_s
        for user in users:
            if user in self._watchers:
                self._due[user] = at

    async def _look_into(self, users: Sequence[UUID]) -> None:
        asked_at = asyncio.get_running_loop().time()
        found = await self._store.of(users)
        for user in users:
            if self._due.get(user, asked_at) < asked_at:
                del self._due[user]
        for attendance in found:
            if attendance.lingers_until:
                self._look_at(
                    [attendance.user_id], (attendance.lingers_until - datetime.now(UTC)).total_seconds() + GATHER_S
                )
            await self._tell(attendance)

    async def _tell(self, attendance: Attendance) -> None:
        user = attendance.user_id
        viewers = {session.id for session in self._watchers.get(user, ())}
        contacts = await self._contacts_of(attendance, viewers)
        for session in self._watchers.get(user, ()):
            presence, told = seen_by(session.id, attendance, contacts), self._told[session]
            # Who is slow is told by a later sweep.
            if told[user] not in (None, presence) and session.whisper("presence.changed", _data(presence)):
                told[user] = presence

    async def _seen_by(self, session: Session, attendance: Attendance) -> Presence:
        return seen_by(session.id, attendance, await self._contacts_of(attendance, {session.id}))

    async def _contacts_of(self, attendance: Attendance, viewers: Collection[UUID]) -> frozenset[UUID]:
        if attendance.visible_to != "contacts" or not viewers:
            return frozenset()
        return await self._contacts(attendance.user_id, list(viewers))


def _data(presence: Presence) -> Mapping[str, Any]:
    last_seen = rfc3339(presence.last_seen) if presence.last_seen else None
    return {"user_id": str(presence.user_id), "status": presence.status, "last_seen": last_seen}
