"""What became of a record, as far as it is known: in consumer groups, and on devices."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

# done: its handler returned. dead_letter: it failed for good. waits_behind_letter: for an earlier one of its key.
# discarded: a dead letter that an operator gave up. passed: the group is past it, no more is known. not_yet: it is not.
Outcome = Literal["done", "dead_letter", "waits_behind_letter", "discarded", "passed", "not_yet"]


@dataclass(frozen=True, slots=True)
class Handling:
    """One group's part."""

    group: str
    outcome: Outcome
    at: datetime | None = None  # when it had that outcome, or at most a second later
    attempts: int | None = None
    error: str | None = None  # of a dead letter


@dataclass(frozen=True, slots=True)
class Device:
    """One socket of one person. queued: the event was put into its queue while it was connected. acknowledged: it came with a
    position behind the event, so its client had handled that by `connected_at`."""

    user_id: UUID
    session: str
    state: Literal["queued", "acknowledged"]
    connected_at: datetime
    ended_at: datetime | None
