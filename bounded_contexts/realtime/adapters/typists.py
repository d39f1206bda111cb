"""Who types where: told to the other members' sockets on every node, and stored by nobody."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.ports import Members, Signals
from bounded_contexts.realtime.application.reactions import rfc3339
from bounded_contexts.realtime.application.signals import Typed, in_parts

QUIET_S = 3.0  # a user's starts in a conversation go further no more often than that
LASTING_S = 6.0  # without another start

Place = tuple[UUID, UUID]  # conversation, user


class Where(BaseModel):
    model_config = ConfigDict(extra="forbid")

    conversation_id: UUID


@dataclass(eq=False, slots=True)
class Typing:
    """A start that went further from this node."""

    others: tuple[UUID, ...]
    stopped: bool = False


class Typists:
    def __init__(self, members: Members, signals: Signals, sessions: Mapping[Any, set[Session]]) -> None:
        self._members = members
        self._signals = signals
        self._sessions = sessions  # of this node, by user
        self._quiet: set[Place] = set()
        self._typing: dict[Place, Typing] = {}
        self._heard: dict[tuple[UUID, ...], asyncio.TimerHandle] = {}  # whose end is told when the time is up

    async def start(self, session: Session, payload: Any) -> Mapping[str, Any]:
        """Tell the conversation's other members that the user types. Raise `NotFound` for who is no member."""
        place = (Where.model_validate(payload).conversation_id, session.id)
        if place not in self._quiet:
            others = tuple(sorted(await self._members(*place) - {session.id}))
            self._quiet.add(place)
            self._typing[place] = typing = Typing(others)
            loop = asyncio.get_running_loop()
            loop.call_later(QUIET_S, self._quiet.discard, place)
            loop.call_later(LASTING_S, self._forget, place, typing)
            await self._tell(place, others, datetime.now(UTC) + timedelta(seconds=LASTING_S))
        return {}

    async def stop(self, session: Session, payload: Any) -> Mapping[str, Any]:
        """Tell those who were told of the start."""
        place = (Where.model_validate(payload).conversation_id, session.id)
        typing = self._typing.get(place)
        if typing and not typing.stopped:
            typing.stopped = True
            await self._tell(place, typing.others, None)
        return {}

    def hear(self, signal: Typed) -> None:
        """Tell this node's sockets, and later that it is over, should nobody else do so."""
        key = (signal.conversation_id, signal.user_id, *signal.others[:1])
        if timer := self._heard.pop(key, None):
            timer.cancel()
        data = {"conversation_id": str(signal.conversation_id), "user_id": str(signal.user_id)}
        if signal.expires_at:
            self._heard[key] = asyncio.get_running_loop().call_later(LASTING_S, self._over, key, signal.others, data)
            self._whisper("typing.started", signal.others, data | {"expires_at": rfc3339(signal.expires_at)})
        else:
            self._whisper("typing.stopped", signal.others, data)

    def close(self) -> None:
        """Tell nothing more."""
        for timer in self._heard.values():
            timer.cancel()

    async def _tell(self, place: Place, others: tuple[UUID, ...], expires_at: datetime | None) -> None:
        await self._signals.send(*(Typed(*place, part, expires_at) for part in in_parts(others)))

    def _over(self, key: tuple[UUID, ...], others: tuple[UUID, ...], data: Mapping[str, Any]) -> None:
        del self._heard[key]
        self._whisper("typing.stopped", others, data)

    def _whisper(self, name: str, people: tuple[UUID, ...], data: Mapping[str, Any]) -> None:
        for session in (each for person in people for each in self._sessions.get(person, ())):
            session.whisper(name, data)

    def _forget(self, place: Place, typing: Typing) -> None:
        if self._typing.get(place) is typing:
            del self._typing[place]
