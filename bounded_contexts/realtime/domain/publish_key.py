"""Publish key: what a backend signs its requests with, given to it by administrators."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from schemas.realtime.events import PublishKeyMade, PublishKeyRevoked, PublishKeyRotated
from shared_kernel.errors import NotFound
from shared_kernel.permissions import require

PERMISSION = "realtime:keys"
FORMER_HOLDS = timedelta(days=1)  # for the programs that have not got the new secret yet

PublishKeyEvent = PublishKeyMade | PublishKeyRotated | PublishKeyRevoked


@dataclass(frozen=True, slots=True)
class Asker:
    id: UUID
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeKey:
    key_id: UUID
    name: str
    channels: tuple[str, ...]  # globs
    may_public: bool
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey:
    key_id: UUID
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeKey:
    key_id: UUID
    asker: Asker
    at: datetime


Request = MakeKey | RotateKey | RevokeKey


@dataclass(frozen=True, slots=True)
class State:
    is_made: bool = False
    is_revoked: bool = False


INITIAL = State()


def decide(state: State, ask: Request) -> tuple[PublishKeyEvent, ...]:
    require(ask.asker.roles, PERMISSION)
    id_, by = ask.key_id, ask.asker.id
    if isinstance(ask, MakeKey):
        made = PublishKeyMade(
            key_id=id_,
            name=ask.name,
            channels=ask.channels,
            may_public=ask.may_public,
            made_by=by,
            made_at=ask.at,
        )
        return (made,)
    if not state.is_made:
        raise NotFound("publish_key_not_found")
    if isinstance(ask, RevokeKey):
        return () if state.is_revoked else (PublishKeyRevoked(key_id=id_, revoked_by=by, revoked_at=ask.at),)
    if state.is_revoked:
        raise NotFound("publish_key_not_found")
    return (PublishKeyRotated(key_id=id_, former_until=ask.at + FORMER_HOLDS, rotated_by=by, rotated_at=ask.at),)


def evolve(state: State, event: PublishKeyEvent) -> State:
    match event:
        case PublishKeyMade():
            return State(is_made=True)
        case PublishKeyRotated():
            return state
        case PublishKeyRevoked():
            return State(is_made=True, is_revoked=True)
