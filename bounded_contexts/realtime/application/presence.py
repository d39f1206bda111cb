"""Who is there, as others may see it. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

Status = Literal["online", "away", "dnd", "invisible"]  # what a user chooses
Shown = Literal["online", "away", "dnd", "offline"]
Audience = Literal["everybody", "contacts", "nobody"]

LEASE = timedelta(seconds=10)  # a node that has said nothing for so long is gone, and with it those on it
LINGER = timedelta(seconds=5)  # for so long who left is still here: pages are loaded anew, networks change


@dataclass(frozen=True, slots=True)
class Attendance:
    """What is known of a user."""

    user_id: UUID
    status: Status = "online"
    visible_to: Audience = "everybody"
    is_here: bool = False  # has a socket on a node that is there, or had one just now
    seen_at: datetime | None = None  # when last, as far as others may know
    lingers_until: datetime | None = None  # of one who is here only because they left just now


@dataclass(frozen=True, slots=True)
class Presence:
    """What another user sees."""

    user_id: UUID
    status: Shown
    last_seen: datetime | None  # of one who is offline


def seen_by(viewer: UUID, of: Attendance, contacts: Collection[UUID]) -> Presence:
    """Return what `viewer` sees of a user with these contacts. Who hides is offline, and was never seen."""
    is_shown = {"everybody": True, "contacts": viewer in contacts, "nobody": False}[of.visible_to]
    if not is_shown and viewer != of.user_id:
        return Presence(of.user_id, "offline", None)
    if of.is_here and of.status != "invisible":
        return Presence(of.user_id, of.status, None)
    return Presence(of.user_id, "offline", of.seen_at)
